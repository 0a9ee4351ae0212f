package claims

import "unicode/utf8"

// These constants are the kinds of characters in a JSON string. Each kind is a bit, so a byte can
// be a set of kinds.
const (
	// stopKind is the kind of the characters that end a simple string: quotation mark, backslash
	// and control characters
	stopKind     uint8 = 1 << iota
	capitalKind        // capitalKind is the kind of the letters from A to Z
	nonASCIIKind       // nonASCIIKind is the kind of all characters that are not ASCII
)

var kinds = func() (table [256]uint8) {
	for c := range table {
		switch {
		case c < 0x20 || c == '"' || c == '\\':
			table[c] = stopKind
		case c >= 'A' && c <= 'Z':
			table[c] = capitalKind
		case c >= utf8.RuneSelf:
			table[c] = nonASCIIKind
		}
	}
	return table
}()

// kindsOf returns the kinds of all characters of s, for example ASCII capital letters. Each kind is
// one bit.
func kindsOf(s string) (all uint8) {
	for i := range len(s) {
		all |= kinds[s[i]]
	}
	return all
}

// Decoder.run moves the decoder to the next quotation mark, backslash or control character, or else
// to the end of the text. It adds the kinds of the characters that it passes to d.charKinds.
func (d *Decoder) run() {
	s := d.s[d.i:]
	const short = 12
	i, all := 0, d.charKinds
	for ; i < len(s) && i < short; i++ {
		kind := kinds[s[i]]
		if kind == stopKind {
			d.i += i
			d.charKinds = all
			return
		}
		all |= kind
	}
	// this loop checks eight bytes at a time, which for a long string takes a third of the time
	// that a loop over single bytes takes
	for ; len(s)-i >= 8; i += 8 {
		t := s[i : i+8]
		eight := kinds[t[0]] | kinds[t[1]] | kinds[t[2]] | kinds[t[3]] | kinds[t[4]] | kinds[t[5]] | kinds[t[6]] | kinds[t[7]]
		if eight&stopKind != 0 {
			break
		}
		all |= eight
	}
	for ; i < len(s) && kinds[s[i]] != stopKind; i++ {
		all |= kinds[s[i]]
	}
	d.i += i
	d.charKinds = all
}

// Decoder.str reads a JSON string. If the string has no escapes, the result shares the memory of
// the text.
func (d *Decoder) str() (string, bool) {
	if !d.eat('"') {
		return "", false
	}
	start := d.i
	d.charKinds = 0
	if d.run(); d.i >= len(d.s) {
		return "", false
	}
	if d.s[d.i] == '"' {
		d.i++
		return d.s[start : d.i-1], true
	}
	if d.s[d.i] == '\\' {
		return d.escaped(start)
	}
	return "", false
}

// Decoder.escaped reads the rest of a JSON string that contains an escape sequence. All strings
// with escape sequences share one buffer, so that a text with thousands of these strings does not
// cause thousands of allocations.
func (d *Decoder) escaped(start int) (string, bool) {
	b := &d.unescaped
	from := b.Len()
	b.Grow(d.i - start + 32)
	b.WriteString(d.s[start:d.i])
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case '"':
			d.i++
			text := b.String()[from:]
			d.charKinds = kindsOf(text)
			return text, true
		case '\\':
			r, ok := d.escape()
			if !ok {
				return "", false
			}
			b.WriteRune(r)
		default:
			begin := d.i
			if d.run(); d.i == begin {
				return "", false // here the string contains a control character without an escape
			}
			b.WriteString(d.s[begin:d.i])
		}
	}
	return "", false
}

// skipString reads a JSON string and does not store it.
func (d *Decoder) skipString() bool {
	d.i++ // here the decoder is after the string's first quotation mark
	for {
		d.run()
		if d.i >= len(d.s) {
			return false
		}
		switch d.s[d.i] {
		case '"':
			d.i++
			return true
		case '\\':
			if _, ok := d.escape(); !ok {
				return false
			}
		default:
			return false // here the string contains a control character without an escape
		}
	}
}

// Decoder.escape reads an escape sequence such as \n. The position of the decoder is the backslash.
func (d *Decoder) escape() (rune, bool) {
	if d.i+1 >= len(d.s) {
		return 0, false
	}
	c := d.s[d.i+1]
	d.i += 2
	switch c {
	case 'u':
		return d.unicode()
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

// Decoder.unicode reads the digits of an escape sequence \uXXXX. If the sequence stands for the
// first half of a surrogate pair, unicode also reads the second half. A text with only one half of
// a surrogate pair is refused, because JSON readers treat it differently.
func (d *Decoder) unicode() (rune, bool) {
	r, ok := d.hex4()
	if !ok || r < 0xd800 || r > 0xdfff {
		return r, ok
	}
	if r > 0xdbff || !d.word(`\u`) {
		return 0, false
	}
	low, ok := d.hex4()
	if !ok || low < 0xdc00 || low > 0xdfff {
		return 0, false
	}
	return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, true
}

func (d *Decoder) hex4() (r rune, ok bool) {
	if len(d.s)-d.i < 4 {
		return 0, false
	}
	for _, c := range []byte(d.s[d.i : d.i+4]) {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	d.i += 4
	return r, true
}

// isUTF8 reports whether text is UTF-8. RFC 8259, section 8.1, requires that JSON is UTF-8.
func isUTF8(text string) bool { return utf8.ValidString(text) }
