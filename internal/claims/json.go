// Package claims reads JSON strictly, as code that verifies tokens must. A text must be one object
// in UTF-8, with unique member names, limited nesting and a limited number of members, and nothing
// after it. A name is refused if another JSON reader could treat it as a registered name. The
// package also defines the claims of an access token, and the forms in which identity servers write
// them.
//
// Strangers can write the text. So the time to read it is proportional to its length, and the
// number of allocations grows only with the logarithm of its length.
package claims

import (
	"errors"
	"strings"
)

// ErrSyntax says that a text is not a strict JSON object: its JSON is malformed, or it breaks a
// rule of this package.
var ErrSyntax = errors.New("not a strict JSON object")

// maxDepth is how deep objects and arrays in a JSON text may be nested. In known tokens, the depth
// is at most five.
const maxDepth = 32

// Decoder reads the values of a JSON text. Its position is the beginning of a value, and each
// method reads that value. If the value does not have the type that a method reads, the method
// returns false. String, Bool and Null do not change the position then, so that another method can
// read the value.
type Decoder struct {
	s string
	i int
	// If lax is true, repeated member names are accepted, and members and elements are not counted.
	lax    bool
	budget bounds // budget is how many more members, elements and strings the text may contain
	// charKinds says which kinds of characters are in the string that was read last, for example
	// capital letters
	charKinds uint8
	// memberNames stores the names of the members of large JSON objects, so that repeated names are
	// found. A large object has more than maxComparedNames members.
	memberNames *nameTable
	unescaped   strings.Builder // unescaped is a buffer for strings with escape sequences
}

// Object reads a JSON object. It calls the function readMember for each member of the object. The
// function gets the name of the member and a decoder at the beginning of the value. It must read
// this value or return an error. The parameter registered contains registered names, or is nil. A
// name that differs from a registered name only in upper and lower case is refused, because some
// other JSON readers treat the two names as equal.
func Object(text string, registered *Names, readMember func(name string, d *Decoder) error) error {
	m := Members{Registered: registered}
	m.Open(text)
	m.budget = issuerBounds
	defer m.Close()
	for name, ok := m.Next(); ok; name, ok = m.Next() {
		if err := readMember(name, &m.Decoder); err != nil {
			return err
		}
	}
	return m.Err()
}

// Elements reads a JSON array. It calls the function readElement for each value of the array. The
// function must read this value or return an error. The elements are not counted.
func (d *Decoder) Elements(readElement func(d *Decoder) error) error {
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
		if err := readElement(d); err != nil {
			return err
		}
	}
}

// String reads a JSON string.
func (d *Decoder) String() (string, bool) { return d.str() }

// Strings reads a JSON array of strings. A single string is read as an array of one string.
func (d *Decoder) Strings() ([]string, bool) {
	list, _, ok := d.list(nil, false)
	return list, ok
}

// Bool reads the JSON value true or false.
func (d *Decoder) Bool() (value, ok bool) {
	switch {
	case d.word("true"):
		return true, true
	case d.word("false"):
		return false, true
	}
	return false, false
}

// Null reads the JSON value null.
func (d *Decoder) Null() bool { return d.word("null") }

// Raw reads any JSON value and returns its text.
func (d *Decoder) Raw() (string, bool) {
	start := d.i
	if !d.skip(0) {
		return "", false
	}
	return d.s[start:d.i], true
}

// Lax reads any JSON value, like Raw, but it accepts repeated names in the value and does not count
// the members and elements of the value. A caller uses Lax for a value that will be parsed by the
// strict rules later.
func (d *Decoder) Lax() (string, bool) {
	d.lax = true
	defer func() { d.lax = false }()
	return d.Raw()
}

func (d *Decoder) space() {
	// The compiler does not inline Decoder.spaces, so each call takes time. Most texts contain no
	// white space, and for them this condition avoids the call.
	if d.i < len(d.s) && d.s[d.i] <= ' ' {
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

// Decoder.next moves the decoder to the next element of a JSON array or object. After the last
// element, next moves the decoder behind the array or object.
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

// Decoder.name reads the name of the next member of a JSON object, and the colon after it. more is
// false if the object has no further member.
func (d *Decoder) name(end byte, first bool) (name string, more, ok bool) {
	// most texts have no white space before the colon
	if s := d.s[d.i:]; !first && len(s) > 1 && s[0] == ',' && s[1] == '"' {
		d.i++
	} else if more, ok = d.next(end, first); !more || !ok {
		return "", more, ok
	}
	start := d.i + 1
	if name, ok = d.str(); !ok {
		return "", false, false
	}
	// A member whose name contains escape sequences counts as two members, because reading such a
	// name takes twice the time.
	if len(name) != d.i-1-start && !d.lax {
		d.budget.members--
	}
	d.space()
	if !d.eat(':') {
		return "", false, false
	}
	d.space()
	return name, true, true
}
