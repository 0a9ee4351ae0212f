// Package claims reads JSON the way a verifier has to: one object, in UTF-8, with unique member names, no name that a
// lax reader would take for another one, bounded nesting, a bounded number of members and nothing behind it. It also
// knows the claims of an access token and the shapes in which identity servers write them.
//
// The text comes from strangers. Reading it costs time in proportion to its length, and allocations in proportion to
// the logarithm of its length.
package claims

import (
	"errors"
	"strings"
)

// ErrSyntax says that the text is not the strict JSON that this package reads.
var ErrSyntax = errors.New("not a strict JSON object")

// maxDepth bounds nesting. The deepest token seen in the wild has five levels.
const maxDepth = 32

// Decoder stands before a value of a JSON text. Its methods read that value; a value that is not of the wanted type
// is reported and not passed over.
type Decoder struct {
	s         string
	i         int
	lax       bool            // repeated names pass
	left      bounds          // how much more of everything the text may have
	kinds     uint8           // of the characters of the string that was read last
	names     *table          // the names of objects with more than a few members
	unescaped strings.Builder // the strings that had escapes
}

// Object reads text as one JSON object and calls member for each of its members with the decoder before the value.
// member must read the value or return an error. Names are compared exactly; a name that equals one of the registered
// ones under case folding only is refused, since other readers would take it for that one. registered may be nil.
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

// Lax is Raw for a value that is judged later and apart: names may be repeated in it, and its members aren't counted.
func (d *Decoder) Lax() (string, bool) {
	d.lax = true
	defer func() { d.lax = false }()
	return d.Raw()
}

func (d *Decoder) space() {
	if d.i < len(d.s) && d.s[d.i] <= ' ' { // the function is inlined; most texts have no space
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
	if s := d.s[d.i:]; !first && len(s) > 1 && s[0] == ',' && s[1] == '"' { // as most writers write it
		d.i++
	} else if more, ok = d.next(end, first); !more || !ok {
		return "", more, ok
	}
	start := d.i + 1
	if name, ok = d.str(); !ok {
		return "", false, false
	}
	if len(name) != d.i-1-start && !d.lax { // it has escapes, which take as long as another member does
		d.left.members--
	}
	d.space()
	if !d.eat(':') {
		return "", false, false
	}
	d.space()
	return name, true, true
}
