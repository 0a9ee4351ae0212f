package revocations

// tokenHashBit is the bit of TokenHash in a shape: list has it first.
const tokenHashBit = 1

func (f *Fields) list() [5]*string {
	return [...]*string{&f.TokenHash, &f.TokenID, &f.SessionID, &f.Subject, &f.ClientID}
}

// shape tells which fields are set: one bit for each field, in the order of list.
func (f *Fields) shape() (bits int) {
	for i, field := range f.list() {
		if *field != "" {
			bits |= 1 << i
		}
	}
	return bits
}

// only returns f with the fields of the shape alone. ok is false if f lacks one of these fields.
func (f Fields) only(shape int) (_ Fields, ok bool) {
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
