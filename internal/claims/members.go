package claims

// Members reads the members of a JOSE header one by one. After each call of Next, the caller reads
// the value of the member. The caller calls Close at the end.
type Members struct {
	Decoder // at the beginning of the value after Next
	// Registered are the names that no other name may fold to.
	Registered *Names

	shown  object
	begun  bool
	broken bool
}

// Open begins with a text.
func (m *Members) Open(text string) {
	m.s = text
	m.left = ofHeader
	m.broken = !valid(text)
	m.space()
	m.broken = m.broken || !m.eat('{')
}

// Close releases the memory that is needed to find repeated names.
func (m *Members) Close() { m.free() }

// Next moves to the next member. ok is false after the last member, and if the text is not strict
// JSON.
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

// Err returns ErrSyntax if the text is not strict JSON, as far as it was read.
func (m *Members) Err() error {
	if m.broken {
		return ErrSyntax
	}
	return nil
}
