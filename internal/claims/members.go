package claims

// Members reads the members of a JOSE header one by one. Next reads the name of a member, and the
// caller must then read its value. At the end the caller must call Close.
type Members struct {
	// after a call of Next, Decoder is at the beginning of the member's value, so its methods can
	// read the value
	Decoder
	// Registered contains the registered names. The text is refused if it has another name that
	// some JSON reader could treat as a registered name.
	Registered *Names

	shown  objectNames
	begun  bool
	broken bool
}

// Open starts reading a JOSE header, which the parameter text contains.
func (m *Members) Open(text string) {
	m.s = text
	m.budget = headerBounds
	m.broken = !isUTF8(text)
	m.space()
	m.broken = m.broken || !m.eat('{')
}

// Close frees the memory in which the member names are stored.
func (m *Members) Close() { m.free() }

// Next moves to the next member of the header and returns its name. ok is false after the last
// member, or if the text is not strict JSON: see Err.
func (m *Members) Next() (name string, ok bool) {
	if m.broken {
		return "", false
	}
	name, more, ok := m.name('}', !m.begun)
	m.begun = true
	if !ok || more && (!m.addName(&m.shown, name) || m.Registered.collides(name, m.charKinds)) {
		m.broken = true
		return "", false
	}
	if !more {
		m.space()
		m.broken = m.i != len(m.s)
	}
	return name, more
}

// Err returns ErrSyntax if the text that was read so far is not strict JSON, and nil otherwise.
func (m *Members) Err() error {
	if m.broken {
		return ErrSyntax
	}
	return nil
}
