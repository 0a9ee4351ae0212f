package revocations

// A shape is a set of bits that says which of the Fields are set. tokenHashBit is the bit for
// TokenHash, the first field in the result of Fields.list.
const tokenHashBit = 1

func (f *Fields) list() [5]*string {
	return [...]*string{&f.TokenHash, &f.TokenID, &f.SessionID, &f.Subject, &f.ClientID}
}

// Fields.shape returns one bit for each field that is set, in the order of the result of
// Fields.list.
func (f *Fields) shape() (bits int) {
	for i, field := range f.list() {
		if *field != "" {
			bits |= 1 << i
		}
	}
	return bits
}

// Fields.restricted returns a copy of f with only the fields whose bits are in shape. ok is false
// if one of these fields is not set in f.
func (f Fields) restricted(shape int) (_ Fields, ok bool) {
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
