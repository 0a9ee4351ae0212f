// Package fieldname compares the names of header fields as the least strict servers do. For CGI,
// WSGI and similar interfaces, some servers replace each character of a name that is not a letter
// or digit by "_". To a service behind such a server, X_Auth_User, X.Auth.User and X-Auth-User are
// one field, in upper or lower case.
package fieldname

// FoldByte folds one character of the name of a header field. It returns c in lower case if c is a
// letter, c itself if c is a digit, and "-" otherwise.
func FoldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// IsSign reports whether the character c is neither a letter nor a digit. Some servers replace such
// a character in the name of a header field.
func IsSign(c byte) bool { return FoldByte(c) == '-' }

// AppendFold appends Fold(name) to b.
func AppendFold(b []byte, name string) []byte {
	for i := range len(name) {
		b = append(b, FoldByte(name[i]))
	}
	return b
}

// Fold returns the name of a header field with FoldByte applied to each byte. Some servers treat
// two names with the same result as one field.
func Fold(name string) string {
	for i := range len(name) {
		if FoldByte(name[i]) != name[i] {
			return string(AppendFold(nil, name))
		}
	}
	return name
}

// Equal reports whether Fold(name) equals the text foldedName, without allocating memory.
func Equal(name, foldedName string) bool {
	return len(name) == len(foldedName) && HasPrefix(name, foldedName)
}

// HasPrefix reports whether Fold(name) begins with the text foldedPrefix, without allocating
// memory.
func HasPrefix(name, foldedPrefix string) bool {
	if len(name) < len(foldedPrefix) {
		return false
	}
	for i := range len(foldedPrefix) {
		if FoldByte(name[i]) != foldedPrefix[i] {
			return false
		}
	}
	return true
}
