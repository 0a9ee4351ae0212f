package claims

import "slices"

// Parties are the user and the client of a token, and the scopes of the client.
type Parties struct {
	Subject  string   // sub; "" if it is missing or is the id of the client
	ClientID string   // "" if no claim names the client
	Scopes   []string // nil if no claim has scopes
	// Unusable is the name of a claim in PartyNames whose value has the wrong type, or "".
	Unusable string
	// NamedScopes reports whether the token has one of the claims in PartyNames.Scopes.
	NamedScopes bool
	// BadIdentifier reports whether IsIdentifier rejects the id of the user, the client, the
	// session or the token.
	BadIdentifier bool
}

// PartyNames are two lists of names of claims: those that can contain the client, and those that can
// contain the scopes. In each list, the first claim that the token has is used. If Client is nil,
// that is client_id, or else azp. If Scopes is nil, that is scope, or else scp.
type PartyNames struct{ Client, Scopes []string }

// Read returns the parties of a set of claims.
func (n *PartyNames) Read(set *Set) (p Parties) {
	p.Subject, p.ClientID, p.Scopes = set.Subject, set.ClientID, set.Scopes
	if set.Has&ClientID == 0 {
		p.ClientID = set.AuthorizedParty
	}
	if n.Client != nil || n.Scopes != nil {
		n.readNamed(set, &p)
	}
	p.BadIdentifier = !IsIdentifier(p.ClientID) || !IsIdentifier(set.Subject) ||
		!IsIdentifier(set.ID) || !IsIdentifier(set.SessionID)
	if p.Subject == p.ClientID {
		// The client acts for itself. If its id were used as a subject, a client that can choose
		// its id could pose as a user (RFC 9700, section 4.15).
		p.Subject = ""
	}
	return p
}

// readNamed reads the claims that n names. It finds all of them in one pass over the text, because
// a stranger may have written a long text.
func (n *PartyNames) readNamed(set *Set, p *Parties) {
	values := make([]string, len(n.Client)+len(n.Scopes))
	set.FindAll(slices.Concat(n.Client, n.Scopes), values)
	if n.Client != nil {
		p.ClientID = ""
	}
	for i, name := range n.Client {
		client, found, ok := set.Text(values[i])
		if found {
			p.ClientID = client
			if !ok {
				p.Unusable = name
			}
			break
		}
	}
	if n.Scopes != nil {
		p.Scopes = nil
	}
	for i, name := range n.Scopes {
		scopes, found, ok := set.Words(values[len(n.Client)+i])
		if found {
			p.Scopes, p.NamedScopes = scopes, true
			if !ok {
				p.Unusable = name
			}
			break
		}
	}
}

// maxIdentifier is the largest length in bytes of the id of a user, a client, a session or a token.
// OpenID Connect allows a sub of 255 characters.
const maxIdentifier = 512

// IsIdentifier reports whether s is safe to log, compare and store: not too long, and without
// control characters.
func IsIdentifier(s string) bool {
	if len(s) > maxIdentifier {
		return false
	}
	for i := range len(s) {
		c := s[i]
		// U+0080 to U+009F are control characters too. UTF-8 writes them with the first byte 0xc2.
		if c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 {
			return false
		}
	}
	return true
}
