package claims

import "strings"

// Decoder.number reads a JSON number and returns it as text.
func (d *Decoder) number() (string, bool) {
	start := d.i
	d.eat('-')
	if !d.eat('0') && !d.digits() {
		return "", false
	}
	if d.i >= len(d.s) || d.s[d.i] <= ',' || d.s[d.i] >= ']' && d.s[d.i] != 'e' {
		return d.s[start:d.i], true // this number has neither a fraction nor an exponent
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

// Decoder.list reads a JSON array of strings, or one string. It stores the strings in buffer if
// there is enough space. unusedBuffer is the part of buffer that the list does not use. If
// splitWords is true, a single string is split at each space.
func (d *Decoder) list(buffer []string, splitWords bool) (list, unusedBuffer []string, ok bool) {
	if d.i < len(d.s) && d.s[d.i] == '"' {
		s, ok := d.str()
		if !ok {
			return nil, buffer, false
		}
		if !splitWords {
			list, ok = d.add(d.newList(buffer, 1), s)
			return finishList(list, buffer, ok)
		}
		list = d.newList(buffer, 1+strings.Count(s, " "))
		for s != "" && ok {
			var w string
			if w, s, _ = strings.Cut(s, " "); w != "" {
				list, ok = d.add(list, w)
			}
		}
		return finishList(list, buffer, ok)
	}
	if !d.eat('[') {
		return nil, buffer, false
	}
	// This count of the commas is only an estimate of the number of strings in the array, because a
	// string may itself contain commas and brackets.
	inside, _, _ := strings.Cut(d.s[d.i:], "]")
	list = d.newList(buffer, 1+strings.Count(inside, ","))
	for first := true; ; first = false {
		more, ok := d.next(']', first)
		if !ok || !more {
			return finishList(list, buffer, ok)
		}
		s, ok := d.str()
		if !ok {
			return nil, buffer, false
		}
		if list, ok = d.add(list, s); !ok {
			return nil, buffer, false
		}
	}
}

// Decoder.newList returns an empty list with space for n strings. If the parameter buffer has
// enough space, the list uses the memory of buffer. A JSON text may contain only a limited number
// of strings (budget.listStrings). A new list never gets space for more strings than this limit
// still allows.
func (d *Decoder) newList(buffer []string, n int) []string {
	if n <= cap(buffer) {
		return buffer[:0]
	}
	return make([]string, 0, min(n, d.budget.listStrings))
}

// Decoder.add appends a string of the JSON text to a list. It returns false if all lists of the
// text together now have too many strings.
func (d *Decoder) add(list []string, s string) ([]string, bool) {
	if !spendOne(&d.budget.listStrings) {
		return nil, false
	}
	return append(list, s), true
}

// finishList is called after all strings of a list were read. It returns the list, and the part of
// the parameter buffer that the list does not use.
func finishList(list, buffer []string, ok bool) (_, unusedBuffer []string, _ bool) {
	if !ok {
		return nil, buffer, false
	}
	if n := len(list); n > 0 && n <= cap(buffer) && &list[0] == &buffer[:1][0] {
		buffer = buffer[n:n:cap(buffer)]
	}
	return list[:len(list):len(list)], buffer, true
}

// Decoder.skip reads any JSON value and does not store it. It refuses a value that is not strict
// JSON. depth is how many objects and arrays skip has entered already.
func (d *Decoder) skip(depth int) bool {
	if depth >= maxDepth || d.i >= len(d.s) {
		return false
	}
	switch d.s[d.i] {
	case '"':
		return d.skipString()
	case '{':
		d.i++
		return d.skipObject(depth)
	case '[':
		d.i++
		return d.skipArray(depth)
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

func (d *Decoder) skipArray(depth int) bool {
	if d.space(); d.eat(']') {
		return true
	}
	for d.skip(depth + 1) {
		if !d.lax && !spendOne(&d.budget.elements) {
			return false
		}
		if d.space(); d.i >= len(d.s) {
			return false
		}
		c := d.s[d.i]
		d.i++
		if c != ',' {
			return c == ']'
		}
		d.space()
	}
	return false
}

func (d *Decoder) skipObject(depth int) bool {
	var o objectNames
	for first := true; ; first = false {
		name, more, ok := d.name('}', first)
		if !ok || !more {
			return ok
		}
		if !d.lax && !d.addName(&o, name) || !d.skip(depth+1) {
			return false
		}
	}
}
