// Package claims reads JSON the way a verifier has to: one object, in UTF-8, with unique member names, no name that a
// lax reader would take for another one, bounded nesting and nothing behind it. It also knows the claims of an access
// token and the shapes in which identity servers write them.
package claims

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrSyntax says that the text is not the strict JSON that this package reads.
var ErrSyntax = errors.New("not a strict JSON object")

// maxDepth bounds nesting. The deepest token seen in the wild has five levels.
const maxDepth = 32

// Decoder stands before a value of a JSON text. Its methods read that value; a value that is not of the wanted type
// is reported and not passed over.
type Decoder struct {
	s   string
	i   int
	lax bool // repeated names pass
}

// Object reads text as one JSON object and calls member for each of its members with the decoder before the value.
// member must read the value or return an error. Names are compared exactly; a name that equals one of the registered
// (lower-case) ones under case folding only is refused, since other readers would take it for that one.
func Object(text string, registered []string, member func(name string, d *Decoder) error) error {
	m := Members{Registered: registered}
	m.Open(text)
	for name, ok := m.Next(); ok; name, ok = m.Next() {
		if err := member(name, &m.Decoder); err != nil {
			return err
		}
	}
	return m.Err()
}

// Elements reads an array and calls element before each of its values, which element must read.
func (d *Decoder) Elements(element func(d *Decoder) error) error {
	if !d.eat('[') {
		return ErrSyntax
	}
	for first := true; ; first = false {
		more, ok := d.next(']', first)
		if !ok {
			return ErrSyntax
		}
		if !more {
			return nil
		}
		if err := element(d); err != nil {
			return err
		}
	}
}

// String reads a string.
func (d *Decoder) String() (string, bool) { return d.str() }

// Strings reads an array of strings, or one string, which it returns alone.
func (d *Decoder) Strings() ([]string, bool) {
	list, _, ok := d.list(nil, false)
	return list, ok
}

// Bool reads true or false.
func (d *Decoder) Bool() (value, ok bool) {
	switch {
	case d.word("true"):
		return true, true
	case d.word("false"):
		return false, true
	}
	return false, false
}

// Null reads null.
func (d *Decoder) Null() bool { return d.word("null") }

// Raw reads any value and returns its text.
func (d *Decoder) Raw() (string, bool) {
	start := d.i
	if !d.skip(0) {
		return "", false
	}
	return d.s[start:d.i], true
}

// Lax is Raw for a value that is judged later and apart: names may be repeated in it.
func (d *Decoder) Lax() (string, bool) {
	d.lax = true
	defer func() { d.lax = false }()
	return d.Raw()
}

func (d *Decoder) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

func (d *Decoder) eat(c byte) bool {
	if d.i < len(d.s) && d.s[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *Decoder) word(w string) bool {
	if strings.HasPrefix(d.s[d.i:], w) {
		d.i += len(w)
		return true
	}
	return false
}

// next moves to the next element of an array or object, or past its end.
func (d *Decoder) next(end byte, first bool) (more, ok bool) {
	d.space()
	if d.eat(end) {
		return false, true
	}
	if !first {
		if !d.eat(',') {
			return false, false
		}
		d.space()
	}
	return true, true
}

// name moves to the next member of an object, behind its name and colon, or past the end of the object.
func (d *Decoder) name(end byte, first bool) (name string, more, ok bool) {
	if more, ok = d.next(end, first); !more || !ok {
		return "", more, ok
	}
	if name, ok = d.str(); !ok {
		return "", false, false
	}
	d.space()
	if !d.eat(':') {
		return "", false, false
	}
	d.space()
	return name, true, true
}

func (d *Decoder) str() (string, bool) {
	if !d.eat('"') {
		return "", false
	}
	start := d.i
	rest := d.s[start:]
	for i := range len(rest) {
		c := rest[i]
		if !stops[c] {
			continue
		}
		if d.i += i; c == '"' {
			d.i++
			return rest[:i], true
		}
		if c == '\\' {
			return d.escaped(start)
		}
		break
	}
	return "", false
}

// stops has the characters that end a string, or that none may hold as they are.
var stops = func() (table [256]bool) {
	for c := range table {
		table[c] = c < 0x20 || c == '"' || c == '\\'
	}
	return table
}()

// escaped finishes a string that has escapes.
func (d *Decoder) escaped(start int) (string, bool) {
	b := append(make([]byte, 0, d.i-start+32), d.s[start:d.i]...)
	for d.i < len(d.s) {
		c := d.s[d.i]
		d.i++
		switch {
		case c == '"':
			return string(b), true
		case c < 0x20:
			return "", false
		case c != '\\':
			b = append(b, c)
			continue
		}
		if d.i >= len(d.s) {
			return "", false
		}
		c = d.s[d.i]
		d.i++
		if c == 'u' {
			r, ok := d.unicode()
			if !ok {
				return "", false
			}
			b = utf8.AppendRune(b, r)
			continue
		}
		k := strings.IndexByte(`"\/bfnrt`, c)
		if k < 0 {
			return "", false
		}
		b = append(b, "\"\\/\b\f\n\r\t"[k])
	}
	return "", false
}

// unicode reads the rest of \uXXXX, with its second half where it is half of a pair. A half without its other half
// is refused: readers differ in what they make of it.
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

func (d *Decoder) hex4() (rune, bool) {
	if len(d.s)-d.i < 4 {
		return 0, false
	}
	text := d.s[d.i : d.i+4]
	d.i += 4
	for k := range text { // ParseUint takes a sign
		if c := text[k] | 0x20; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(text, 16, 32)
	return rune(n), err == nil
}

// number reads a number and returns its text.
func (d *Decoder) number() (string, bool) {
	start := d.i
	d.eat('-')
	if !d.eat('0') && !d.digits() {
		return "", false
	}
	if d.eat('.') && !d.digits() {
		return "", false
	}
	if d.eat('e') || d.eat('E') {
		if !d.eat('+') {
			d.eat('-')
		}
		if !d.digits() {
			return "", false
		}
	}
	return d.s[start:d.i], true
}

func (d *Decoder) digits() bool {
	start := d.i
	for d.i < len(d.s) && d.s[d.i] >= '0' && d.s[d.i] <= '9' {
		d.i++
	}
	return d.i > start
}

// list reads an array of strings or one string, appending to buf, which the caller owns. With words, one string is
// split at each space character.
func (d *Decoder) list(buf []string, words bool) (part, rest []string, ok bool) {
	n := len(buf)
	if d.i < len(d.s) && d.s[d.i] == '"' {
		s, ok := d.str()
		if !ok {
			return nil, buf, false
		}
		for words && s != "" {
			var w string
			if w, s, _ = strings.Cut(s, " "); w != "" {
				buf = append(buf, w)
			}
		}
		if !words {
			buf = append(buf, s)
		}
		return buf[n:len(buf):len(buf)], buf, true
	}
	if !d.eat('[') {
		return nil, buf, false
	}
	for first := true; ; first = false {
		more, ok := d.next(']', first)
		if !ok {
			return nil, buf, false
		}
		if !more {
			return buf[n:len(buf):len(buf)], buf, true
		}
		s, ok := d.str()
		if !ok {
			return nil, buf, false
		}
		buf = append(buf, s)
	}
}

// skip passes over any value and holds it to the same strictness.
func (d *Decoder) skip(depth int) bool {
	if depth >= maxDepth || d.i >= len(d.s) {
		return false
	}
	switch c := d.s[d.i]; c {
	case '"':
		_, ok := d.str()
		return ok
	case '{':
		d.i++
		return d.skipObject(depth)
	case '[':
		d.i++
		for first := true; ; first = false {
			more, ok := d.next(']', first)
			if !ok || !more {
				return ok
			}
			if !d.skip(depth + 1) {
				return false
			}
		}
	case 't':
		return d.word("true")
	case 'f':
		return d.word("false")
	case 'n':
		return d.word("null")
	default:
		_, ok := d.number()
		return ok
	}
}

func (d *Decoder) skipObject(depth int) bool {
	var seen names
	for first := true; ; first = false {
		name, more, ok := d.name('}', first)
		if !ok || !more {
			return ok
		}
		if !d.lax && !seen.add(name) || !d.skip(depth+1) {
			return false
		}
	}
}
