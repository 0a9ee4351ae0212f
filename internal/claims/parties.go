package claims

import "slices"

// Parties are the user and the client that a set of claims names, with the scopes of the client.
type Parties struct {
	Subject  string   // sub; "" if it is missing, or if it is the client
	ClientID string   // "" if no claim names the client
	Scopes   []string // nil if no claim has scopes
	// Unusable is the name of a claim that PartyNames lists and whose value has the wrong type.
	Unusable string
	// NamedScopes reports whether a claim that PartyNames.Scopes lists is there.
	NamedScopes bool
	// BadIdentifier reports whether the user, the client, the session or the token has an
	// identifier that IsIdentifier rejects.
	BadIdentifier bool
}

// PartyNames lists the claims that name the client and the scopes. In each list, the first claim
// that a token has is used. A nil list is the default: client_id before azp, and scope before scp.
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
		// The client acts for itself. A client that could choose its id could otherwise pose as a
		// user (RFC 9700, section 4.15).
		p.Subject = ""
	}
	return p
}

// readNamed reads the claims that n lists. It reads the text of the claims once, because a stranger
// may have written it.
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

// maxIdentifier bounds the identifiers of users, clients, sessions and tokens, in bytes. OpenID
// Connect allows a sub of 255 characters.
const maxIdentifier = 512

// IsIdentifier reports whether s can be an identifier: short enough, and without control
// characters, so that it can be logged, compared and stored.
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
