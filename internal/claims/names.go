package claims

import "unicode/utf8"

// Names are names of members that no other name may fold to. They are lower-case ASCII.
type Names struct {
	byLength [maxName + 1][]string
	firsts   [maxName + 1]uint32 // a bit for each first letter that a name of this length has
	longest  int
}

// maxName is the length of the longest name that can be registered.
const maxName = 31

// NewNames prepares a set of names. It panics on a name that is not lower-case ASCII, or too long.
func NewNames(names ...string) *Names {
	n := new(Names)
	for _, name := range names {
		if name == "" || len(name) > maxName || kindsOf(name) != 0 {
			panic("claims: " + name + " can't be a registered name")
		}
		n.byLength[len(name)] = append(n.byLength[len(name)], name)
		n.firsts[len(name)] |= letterBit(name[0])
		n.longest = max(n.longest, len(name))
	}
	return n
}

func letterBit(letter byte) uint32 { return 1 << (letter & 31) }

// collides reports whether name is none of the names but folds to one. They are lower-case ASCII, so a name that is
// that too can only equal one. kinds are those of its characters.
func (n *Names) collides(name string, kinds uint8) bool {
	if n == nil || kinds == 0 || len(name) > 3*n.longest { // no letter that folds to ASCII takes more than three bytes
		return false
	}
	if kinds&beyond == 0 {
		return n.folds(name)
	}
	var buf [maxName]byte
	folded, ok := fold(buf[:0], name, n.longest)
	return ok && n.folds(string(folded)) // which copies nothing
}

// folds reports whether an ASCII name, put into lower case, is one of the names.
func (n *Names) folds(name string) bool {
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

// fold appends name in ASCII. ok is false if it is longer than longest then, or can't be written so.
func fold(b []byte, name string, longest int) (folded []byte, ok bool) {
	for i := 0; i < len(name); {
		c := name[i]
		if c < utf8.RuneSelf {
			b = append(b, c)
			i++
		} else {
			r, size := utf8.DecodeRuneInString(name[i:])
			letters := ascii(r)
			if letters == "" {
				return b, false
			}
			b = append(b, letters...)
			i += size
		}
		if len(b) > longest {
			return b, false
		}
	}
	return b, true
}

// ascii returns what a character beyond ASCII is in lower-case ASCII to some reader, or "". encoding/json compares by
// simple case folding; others convert both names to one case, some of them character by character and some by full
// case folding (Unicode, section 3.13), which makes one letter several.
func ascii(r rune) string {
	switch r {
	case 0x130, 0x131: // the dotted I and the dotless i
		return "i"
	case 0x17f: // the long s
		return "s"
	case 0x212a: // the Kelvin sign
		return "k"
	case 0xdf, 0x1e9e: // the sharp s
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
