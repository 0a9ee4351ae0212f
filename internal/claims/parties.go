package claims

import "slices"

// Parties contains the user and the client that a token names, and the scopes of the token.
type Parties struct {
	// Subject is the claim sub; it is "" if the token has no sub or sub is the client
	Subject  string
	ClientID string   // ClientID is "" if no claim names the client
	Scopes   []string // Scopes is nil if no claim contains scopes
	// Unusable is the name of a claim that PartyNames lists and whose value has the wrong type. It
	// is "" if there is no such claim.
	Unusable string
	// NamedScopes reports whether the token has at least one of the claims in PartyNames.Scopes. It
	// is false if PartyNames.Scopes is nil.
	NamedScopes bool
	// BadIdentifier reports whether IsIdentifier rejects the id of the user, the client, the
	// session or the token.
	BadIdentifier bool
}

// PartyNames contains two lists of names of claims. Client lists the claims that can name the
// client, and Scopes lists the claims that can contain the scopes. Of each list, the first claim
// that the token has is used. If Client is nil, the list is client_id and azp. If Scopes is nil,
// the list is scope and scp.
type PartyNames struct{ Client, Scopes []string }

// Read returns the user, the client and the scopes that a set of claims names.
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
		// If sub is the id of the client, the client acts for itself, and the token names no user.
		// So Subject must be empty here. If Subject were the id of the client, a client that can
		// choose its id could pose as the user with the same id (RFC 9700, section 4.15).
		p.Subject = ""
	}
	return p
}

// readNamed reads the claims that PartyNames lists. It reads the JSON text of the claims only once,
// because a stranger may have written a long text.
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
