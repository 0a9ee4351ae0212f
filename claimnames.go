package xenaauth

import (
	"slices"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// claimNames says which claims of a token name its client and its scopes. In each list the first claim that the token
// has is the one that counts. A nil list is the default: client_id before azp, scope before scp.
type claimNames struct{ client, scopes []string }

// find returns the values of the claims that n names: first those for the client, then those for the scopes. It reads
// the claims once, for a stranger may have written them.
func (n claimNames) find(set *claims.Set) (client, scopes []string) {
	names := slices.Concat(n.client, n.scopes)
	values := make([]string, len(names))
	set.FindAll(names, values)
	return values[:len(n.client)], values[len(n.client):]
}

// read fills in the client, the scopes and the subject of u from its claims.
func (n claimNames) read(u *User) {
	set := u.set
	u.subject, u.clientID, u.scopes = set.Subject, set.ClientID, set.Scopes
	if set.Has&claims.ClientID == 0 {
		u.clientID = set.AuthorizedParty
	}
	if n.client != nil || n.scopes != nil {
		n.readNamed(u)
	}
	if u.subject == u.clientID {
		u.subject = "" // a client for itself, and no user whose id a client could choose (RFC 9700, section 4.15)
	}
}

func (n claimNames) readNamed(u *User) {
	client, scopes := n.find(u.set)
	if n.client != nil {
		u.clientID = n.readClient(u, client)
	}
	if n.scopes != nil {
		u.scopes = n.readScopes(u, scopes)
	}
}

func (n claimNames) readClient(u *User, values []string) string {
	for i, name := range n.client {
		client, found, ok := u.set.Text(values[i])
		if found && !ok {
			u.unusable = name
		}
		if found {
			return client
		}
	}
	return ""
}

func (n claimNames) readScopes(u *User, values []string) []string {
	for i, name := range n.scopes {
		scopes, found, ok := u.set.Words(values[i])
		if found && !ok {
			u.unusable = name
		}
		if found {
			u.grants = true
			return scopes
		}
	}
	return nil
}

// otherMeaning are claims that neither name a client nor hold scopes.
var otherMeaning = []string{
	"iss", "sub", "exp", "nbf", "iat", "jti", "sid", "nonce", "at_hash", "c_hash", "cnf", "events", "active",
	"token_type", "token_use", "typ", "auth_time", "acr", "amr", "idp",
}

// checkNames reports claims that ClientClaims and ScopeClaims must not name, and settings that the profile excludes.
func (c Config) checkNames(wrong func(field, format string, args ...any)) {
	check := func(field string, names, never []string) {
		if names != nil && len(names) == 0 {
			wrong(field, "is an empty list: nil is the default")
		}
		for i, name := range names {
			switch {
			case name == "" || slices.Contains(names[:i], name):
				wrong(field, "holds an empty or a repeated name")
			case slices.Contains(never, name) || slices.Contains(otherMeaning, name):
				wrong(field, "holds %q, which has another meaning", name)
			}
		}
		if names != nil && c.Profile == ProfileRFC9068 {
			wrong(field, "and ProfileRFC9068 exclude each other")
		}
	}
	check("ClientClaims", c.ClientClaims, []string{"scope", "scp"})
	check("ScopeClaims", c.ScopeClaims, []string{"aud", "client_id", "azp"})
	if slices.Contains(c.ClientClaims, "aud") && !c.AllowClientAudience {
		wrong("ClientClaims", "holds aud, which needs AllowClientAudience: the client is then the only audience")
	}
	if c.AllowMissingClientID && c.Introspection == nil {
		wrong("AllowMissingClientID", "is about introspection, which is not configured")
	}
}
