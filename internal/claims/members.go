package claims

// Members is Object for a JOSE header, which strangers write: it walks the members one by one. Close it when done.
type Members struct {
	Decoder // before a member's value, which must be read, after Next
	// Registered are the names that no other one may fold to.
	Registered *Names

	shown  object
	begun  bool
	broken bool
}

// Open stands before the first member of a text.
func (m *Members) Open(text string) {
	m.s = text
	m.left = ofHeader
	m.broken = !valid(text)
	m.space()
	m.broken = m.broken || !m.eat('{')
}

// Close frees what was needed to tell repeated names.
func (m *Members) Close() { m.free() }

// Next moves to the next member. ok is false behind the last one, and where the text breaks the rules.
func (m *Members) Next() (name string, ok bool) {
	if m.broken {
		return "", false
	}
	name, more, ok := m.name('}', !m.begun)
	m.begun = true
	if !ok || more && (!m.fresh(&m.shown, name) || m.Registered.collides(name, m.kinds)) {
		m.broken = true
		return "", false
	}
	if !more {
		m.space()
		m.broken = m.i != len(m.s)
	}
	return name, more
}

// Err is ErrSyntax if Next stopped, or a value was, where the text breaks the rules.
func (m *Members) Err() error {
	if m.broken {
		return ErrSyntax
	}
	return nil
}
