package claims

// Text returns the string value of a top-level member by its exact name. found is false if the member is absent or
// null. ok is false if it is there and is neither a string nor an array of one string.
func (set *Set) Text(name string) (value string, found, ok bool) {
	list, found, ok := set.read(name, false)
	if !found || !ok || len(list) != 1 {
		return "", found, !found
	}
	return list[0], true, true
}

// Words returns the scopes in a top-level member by its exact name: a string is split at spaces, the elements of an
// array of strings are taken as they are. found is false if the member is absent or null. ok is false if it is there
// and has another type.
func (set *Set) Words(name string) (words []string, found, ok bool) { return set.read(name, true) }

func (set *Set) read(name string, words bool) (list []string, found, ok bool) {
	raw, found := set.Find(name)
	if !found || raw == "null" {
		return nil, false, true
	}
	d := Decoder{s: raw, left: set.bounds}
	list, _, ok = d.list(nil, words)
	return list, true, ok
}
