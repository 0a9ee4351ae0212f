package revocations

// A shape is a set of bits that says which fields of a Fields value are set. The bits have the same
// order as the result of Fields.list. TokenHash is the first field in that result, so its bit is
// the lowest bit.
const tokenHashBit = 1

func (f *Fields) list() [5]*string {
	return [...]*string{&f.TokenHash, &f.TokenID, &f.SessionID, &f.Subject, &f.ClientID}
}

// Fields.shape returns a set of bits that says which fields are set. The bits have the same order
// as the result of Fields.list.
func (f *Fields) shape() (bits int) {
	for i, field := range f.list() {
		if *field != "" {
			bits |= 1 << i
		}
	}
	return bits
}

// Fields.withShape returns a copy of f in which only some fields are set. The bits of the parameter
// shape say which fields. ok is false if one of these fields is not set in f.
func (f Fields) withShape(shape int) (_ Fields, ok bool) {
	for i, field := range f.list() {
		switch {
		case shape&(1<<i) == 0:
			*field = ""
		case *field == "":
			return Fields{}, false
		}
	}
	return f, true
}
