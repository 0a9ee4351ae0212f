package claims

// Find returns the JSON text of the value of a top-level member.
func (set *Set) Find(name string) (raw string, ok bool) {
	var values [1]string
	set.FindAll([]string{name}, values[:])
	return values[0], values[0] != ""
}

// FindAll finds the top-level members with the given names, in one pass over Raw. It sets values[i]
// to the JSON text of the value of the member names[i], and does not change it if there is no such
// member.
func (set *Set) FindAll(names, values []string) {
	d := Decoder{s: set.Raw, lax: true} // Parse has checked the text
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

// Text reads a value that names something. raw is its JSON text. found is false if raw is "" or
// null. ok is false if the value is neither a string nor an array of one string.
func (set *Set) Text(raw string) (value string, found, ok bool) {
	list, found, ok := set.read(raw, false)
	if !found || !ok || len(list) != 1 {
		return "", found, !found
	}
	return list[0], true, true
}

// Words reads a value that contains scopes. raw is its JSON text. A string is split at spaces, and
// the elements of an array of strings are not split. found is false if raw is "" or null. ok is
// false if the value has another type.
func (set *Set) Words(raw string) (words []string, found, ok bool) { return set.read(raw, true) }

func (set *Set) read(raw string, words bool) (list []string, found, ok bool) {
	if raw == "" || raw == "null" {
		return nil, false, true
	}
	d := Decoder{s: raw, left: boundsOf(set.Source)}
	list, _, ok = d.list(nil, words)
	return list, true, ok
}
