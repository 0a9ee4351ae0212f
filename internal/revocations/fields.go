package revocations

// tokenHashBit is the bit of the field TokenHash in a shape. It is 1, because TokenHash is the
// first field in list.
const tokenHashBit = 1

func (f *Fields) list() [5]*string {
	return [...]*string{&f.TokenHash, &f.TokenID, &f.SessionID, &f.Subject, &f.ClientID}
}

// The method shape returns which fields are set. The result has one bit for each field, in the
// order of list.
func (f *Fields) shape() (bits int) {
	for i, field := range f.list() {
		if *field != "" {
			bits |= 1 << i
		}
	}
	return bits
}

// The method restricted returns a copy of f that has only the fields in shape. ok is false if one
// of these fields is not set in f.
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
