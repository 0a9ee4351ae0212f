// Package fieldname compares the names of header fields as the most careless server does. CGI, WSGI
// and similar interfaces turn each sign in a name into "_", so that X_Auth_User, X.Auth.User and
// X-Auth-User become one field. Such a server also ignores the case.
package fieldname

// FoldByte returns c in lower case if c is a letter, c itself if c is a digit, and "-" otherwise.
func FoldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// IsSign reports whether c is neither a letter nor a digit.
func IsSign(c byte) bool { return FoldByte(c) == '-' }

// AppendFold appends name to b, each byte folded.
func AppendFold(b []byte, name string) []byte {
	for i := range len(name) {
		b = append(b, FoldByte(name[i]))
	}
	return b
}

// Fold returns name, each byte folded.
func Fold(name string) string {
	for i := range len(name) {
		if FoldByte(name[i]) != name[i] {
			return string(AppendFold(nil, name))
		}
	}
	return name
}

// Equal reports whether name is folded once its bytes are folded. It doesn't allocate.
func Equal(name, folded string) bool {
	return len(name) == len(folded) && HasPrefix(name, folded)
}

// HasPrefix reports whether name begins with folded once its bytes are folded. It doesn't allocate.
func HasPrefix(name, folded string) bool {
	if len(name) < len(folded) {
		return false
	}
	for i := range len(folded) {
		if FoldByte(name[i]) != folded[i] {
			return false
		}
	}
	return true
}
