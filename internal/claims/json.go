// Package claims reads JSON strictly, as a verifier must: one object, in UTF-8, with unique member
// names, bounded nesting, a bounded number of members, and nothing after it. It refuses a name that
// another reader could take for a registered name. It also knows the claims of an access token, and
// the forms in which identity servers write them.
//
// Strangers write the text. The time to read it is proportional to its length, and the number of
// allocations to the logarithm of its length.
package claims

import (
	"errors"
	"strings"
)

// ErrSyntax says that a text is not strict JSON.
var ErrSyntax = errors.New("not a strict JSON object")

// maxDepth bounds nesting. The deepest known token has five levels.
const maxDepth = 32

// Decoder is at the beginning of a value of a JSON text. Its methods read that value. If the value
// has another type, they return false and do not skip it.
type Decoder struct {
	s         string
	i         int
	lax       bool            // accept repeated names
	left      bounds          // how many more members, elements and strings the text may have
	kinds     uint8           // the kinds of characters of the string that was read last
	names     *table          // the names of objects with more than a few members
	unescaped strings.Builder // the strings that had escapes
}

// Object reads a JSON object and calls member for each of its members, with the decoder at the
// beginning of the value. member must read the value or return an error. A name that differs from a
// registered name only by case folding is refused, because other readers would take it for that
// name. registered may be nil.
func Object(text string, registered *Names, member func(name string, d *Decoder) error) error {
	m := Members{Registered: registered}
	m.Open(text)
	m.left = ofIssuer
	defer m.Close()
	for name, ok := m.Next(); ok; name, ok = m.Next() {
		if err := member(name, &m.Decoder); err != nil {
			return err
		}
	}
	return m.Err()
}

// Elements reads an array and calls element for each of its values. element must read the value.
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

// Strings reads an array of strings. One string counts as an array of one string.
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

// Raw reads any value and returns its JSON text.
func (d *Decoder) Raw() (string, bool) {
	start := d.i
	if !d.skip(0) {
		return "", false
	}
	return d.s[start:d.i], true
}

// Lax is Raw for a value that is checked later. It accepts repeated names and does not count
// members.
func (d *Decoder) Lax() (string, bool) {
	d.lax = true
	defer func() { d.lax = false }()
	return d.Raw()
}

func (d *Decoder) space() {
	if d.i < len(d.s) && d.s[d.i] <= ' ' { // the compiler inlines space; most texts have no white space
		d.spaces()
	}
}

func (d *Decoder) spaces() {
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

// next moves to the next element of an array or object, or after its end.
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

// name moves to the next member of an object, after its name and colon, or after the end of the
// object.
func (d *Decoder) name(end byte, first bool) (name string, more, ok bool) {
	if s := d.s[d.i:]; !first && len(s) > 1 && s[0] == ',' && s[1] == '"' { // the usual form
		d.i++
	} else if more, ok = d.next(end, first); !more || !ok {
		return "", more, ok
	}
	start := d.i + 1
	if name, ok = d.str(); !ok {
		return "", false, false
	}
	if len(name) != d.i-1-start && !d.lax { // a name with escapes takes as long as two members
		d.left.members--
	}
	d.space()
	if !d.eat(':') {
		return "", false, false
	}
	d.space()
	return name, true, true
}
