package claims

// Find returns the text of the value of a top-level member, as it stands in Raw.
func (set *Set) Find(name string) (raw string, ok bool) {
	var values [1]string
	set.FindAll([]string{name}, values[:])
	return values[0], values[0] != ""
}

// FindAll finds the top-level members with the given names, in one pass over the text. values[i] becomes the text of
// the value of the member names[i], or stays as it is if there is no such member.
func (set *Set) FindAll(names, values []string) {
	d := Decoder{s: set.Raw, lax: true} // Parse has read it already
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

// Text reads the text of a value that names something. found is false if it is "" or null. ok is false if it is neither
// a string nor an array of one string.
func (set *Set) Text(raw string) (value string, found, ok bool) {
	list, found, ok := set.read(raw, false)
	if !found || !ok || len(list) != 1 {
		return "", found, !found
	}
	return list[0], true, true
}

// Words reads the text of a value that holds scopes: a string is split at spaces, the elements of an array of strings
// are taken as they are. found is false if it is "" or null. ok is false if it has another type.
func (set *Set) Words(raw string) (words []string, found, ok bool) { return set.read(raw, true) }

func (set *Set) read(raw string, words bool) (list []string, found, ok bool) {
	if raw == "" || raw == "null" {
		return nil, false, true
	}
	d := Decoder{s: raw, left: boundsOf(set.Source)}
	list, _, ok = d.list(nil, words)
	return list, true, ok
}
