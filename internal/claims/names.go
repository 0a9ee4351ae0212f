package claims

import "unicode/utf8"

// Names is a set of registered member names, in lower-case ASCII. A JSON text must not contain
// another name that some JSON readers treat as equal to one of them.
type Names struct {
	byLength [maxName + 1][]string
	// firsts[n] is the set of the first letters of all registered names that are n bytes long. Each
	// letter is one bit.
	firsts  [maxName + 1]uint32
	longest int
}

// maxName is the largest length of a registered name.
const maxName = 31

// NewNames returns a set of registered names. It panics if a name is empty, too long or not in
// lower-case ASCII.
func NewNames(names ...string) *Names {
	n := new(Names)
	for _, name := range names {
		if name == "" || len(name) > maxName || kindsOf(name) != 0 {
			panic("claims: " + name + " is not a valid registered name")
		}
		n.byLength[len(name)] = append(n.byLength[len(name)], name)
		n.firsts[len(name)] |= letterBit(name[0])
		n.longest = max(n.longest, len(name))
	}
	return n
}

func letterBit(letter byte) uint32 { return 1 << (letter & 31) }

// Names.collides reports whether some JSON reader could treat memberName as a registered name
// although the two names differ. charKinds says which kinds of characters memberName contains, for
// example capital letters. A name in lower-case ASCII never collides, because every reader treats
// it as different from the registered names.
func (n *Names) collides(memberName string, charKinds uint8) bool {
	// A character that some JSON reader converts to an ASCII letter has at most three bytes. So no
	// JSON reader treats memberName as a registered name if it is more than three times as long as
	// the longest registered name.
	if n == nil || charKinds == 0 || len(memberName) > 3*n.longest {
		return false
	}
	if charKinds&nonASCIIKind == 0 {
		return n.containsLower(memberName)
	}
	var buf [maxName]byte
	folded, ok := foldName(buf[:0], memberName, n.longest)
	// this conversion to a string allocates no memory, because the string is short and only this
	// call uses it
	return ok && n.containsLower(string(folded))
}

// Names.containsLower reports whether the lower-case form of name is a registered name. The caller
// passes only names in ASCII.
func (n *Names) containsLower(name string) bool {
	if len(name) > n.longest || n.firsts[len(name)]&letterBit(name[0]) == 0 {
		return false
	}
	for _, registered := range n.byLength[len(name)] {
		i := 0
		for i < len(name) && (name[i] == registered[i] || name[i]-'A' < 26 && name[i]|0x20 == registered[i]) {
			i++
		}
		if i == len(name) {
			return true
		}
	}
	return false
}

// foldName appends name to b. It replaces each character that is not ASCII by the lower-case ASCII
// letters to which some JSON reader converts it. ok is false if there are no such letters, or if
// the result is longer than maxLength.
func foldName(b []byte, name string, maxLength int) (folded []byte, ok bool) {
	for i := 0; i < len(name); {
		c := name[i]
		if c < utf8.RuneSelf {
			b = append(b, c)
			i++
		} else {
			r, size := utf8.DecodeRuneInString(name[i:])
			letters := asciiLetters(r)
			if letters == "" {
				return b, false
			}
			b = append(b, letters...)
			i += size
		}
		if len(b) > maxLength {
			return b, false
		}
	}
	return b, true
}

// asciiLetters returns the lower-case ASCII letters to which some JSON reader converts the
// character r, or "" if there are none. encoding/json uses simple case folding. Other readers
// convert names to upper or lower case. Some use full case folding (Unicode, section 3.13), which
// may turn one character into several letters.
func asciiLetters(r rune) string {
	switch r {
	case 0x130, 0x131:
		// 0x130 is the capital I with a dot, and 0x131 is the small i without a dot
		return "i"
	case 0x17f: // 0x17f is an old form of the small letter s; its upper case is S
		return "s"
	case 0x212a: // 0x212a is the Kelvin sign, which looks like K
		return "k"
	case 0xdf, 0x1e9e: // 0xdf is the small sharp s, and 0x1e9e the capital
		return "ss"
	case 0xfb00:
		return "ff"
	case 0xfb01:
		return "fi"
	case 0xfb02:
		return "fl"
	case 0xfb03:
		return "ffi"
	case 0xfb04:
		return "ffl"
	case 0xfb05, 0xfb06:
		return "st"
	}
	return ""
}
