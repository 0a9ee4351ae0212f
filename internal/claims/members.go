package claims

// Members reads the members of a JSON object one by one, for example of a JOSE header. The caller
// calls Members.Open first. For each member, it calls Members.Next, which returns the name, and
// then reads the value. At the end it must call Members.Close.
type Members struct {
	// Decoder reads the value of a member. After a call of Members.Next, it is at the beginning of
	// this value.
	Decoder
	// Registered contains the registered names. The text is refused if it has another name that
	// some JSON reader could treat as a registered name.
	Registered *Names

	seenNames objectNames
	hasBegun  bool
	isBroken  bool
}

// Open starts reading a JSON object. The parameter text is this object. Open sets the limits for a
// JOSE header: 128 members, array elements and strings in lists.
func (m *Members) Open(text string) {
	m.s = text
	m.budget = headerBounds
	m.isBroken = !isUTF8(text)
	m.space()
	m.isBroken = m.isBroken || !m.eat('{')
}

// Close frees the memory in which the member names are stored.
func (m *Members) Close() { m.free() }

// Next moves to the next member of the object and returns its name. ok is false after the last
// member, or if the text is not strict JSON: see Err.
func (m *Members) Next() (name string, ok bool) {
	if m.isBroken {
		return "", false
	}
	name, more, ok := m.name('}', !m.hasBegun)
	m.hasBegun = true
	if !ok || more && (!m.addName(&m.seenNames, name) || m.Registered.collides(name, m.charKinds)) {
		m.isBroken = true
		return "", false
	}
	if !more {
		m.space()
		m.isBroken = m.i != len(m.s)
	}
	return name, more
}

// Err returns ErrSyntax if Open or Next has found that the text is not strict JSON, and nil
// otherwise. If a method that reads a value returns false, Err does not report it.
func (m *Members) Err() error {
	if m.isBroken {
		return ErrSyntax
	}
	return nil
}
