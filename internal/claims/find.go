package claims

// Find returns the JSON text of the value of a top-level member of the claims.
func (set *Set) Find(name string) (raw string, ok bool) {
	var values [1]string
	set.FindAll([]string{name}, values[:])
	return values[0], values[0] != ""
}

// FindAll finds several top-level members of the claims, and reads the text Raw only once. It sets
// values[i] to the JSON text of the member names[i]. If there is no such member, values[i] stays
// unchanged.
func (set *Set) FindAll(names, values []string) {
	// a name occurs only once: Parse refuses texts with repeated names
	d := Decoder{s: set.Raw, lax: true}
	d.space()
	d.eat('{')
	missing := len(names)
	for first := true; missing > 0; first = false {
		have, more, ok := d.name('}', first)
		if !ok || !more {
			return
		}
		raw, ok := d.Raw()
		if !ok {
			return
		}
		for i, name := range names {
			if name == have {
				values[i] = raw
				missing--
			}
		}
	}
}

// Text reads a value that is a string or an array of one string. raw is the JSON text of the value.
// found is false if raw is "" or null. ok is false if the value has another type: it is neither a
// string, nor an array of one string, nor null.
func (set *Set) Text(raw string) (value string, found, ok bool) {
	list, found, ok := set.read(raw, false)
	if !found || !ok || len(list) != 1 {
		return "", found, !found
	}
	return list[0], true, true
}

// Words reads the scopes in the value of a claim. raw is the JSON text of the value. A string is
// split at its spaces; the elements of an array are not. found is false if raw is "" or null. ok is
// false if raw is neither a string nor an array of strings.
func (set *Set) Words(raw string) (words []string, found, ok bool) { return set.read(raw, true) }

func (set *Set) read(raw string, splitWords bool) (list []string, found, ok bool) {
	if raw == "" || raw == "null" {
		return nil, false, true
	}
	d := Decoder{s: raw, budget: boundsOf(set.Source)}
	list, _, ok = d.list(nil, splitWords)
	return list, true, ok
}
