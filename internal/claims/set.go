package claims

import (
	"fmt"
)

// Source says who wrote a set of claims, which decides how much looseness is read as meant.
type Source int

// The sources.
const (
	// JWT: the payload of a token. Registered claims have the types that RFC 7519 and RFC 9068 give them.
	JWT Source = iota
	// Answer: an introspection response. Times may be strings of digits, as old identity servers write them, and
	// null stands for an absent member.
	Answer
)

// Member is one bit for each member name that a Set knows.
type Member uint32

// The members.
const (
	Iss Member = 1 << iota
	Sub
	Aud
	Exp
	Nbf
	Iat
	Jti
	ClientID
	Azp
	Scope
	Scp
	Sid
	AuthTime
	Idp
	Amr
	Acr
	Cnf
	Nonce
	AtHash
	CHash
	Events
	Active
	TokenType
	TokenIntrospection
	TokenUse
	Typ
)

// registered are the names in the order of their bits.
var registered = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "scope", "scp", "sid", "auth_time", "idp",
	"amr", "acr", "cnf", "nonce", "at_hash", "c_hash", "events", "active", "token_type", "token_introspection",
	"token_use", "typ",
}

var registeredNames = NewNames(registered...)

// TypeError says that a claim has a value of another type than it must have, or a time that is none.
type TypeError struct{ Name string }

func (e *TypeError) Error() string { return fmt.Sprintf("claim %q has an unusable value", e.Name) }

// Set is the claims of one token. It doesn't change after Parse, and strings in it share the memory of Raw.
type Set struct {
	Has    Member // which members were there, null in an Answer not counted
	Raw    string // the whole object
	Source Source // who wrote it

	Issuer, Subject, ClientID, AuthorizedParty, ID, SessionID string // required by type: a string or absent
	IdentityProvider, ContextClass                            string // "" unless a string
	Audience                                                  []string
	Scopes                                                    []string // of scope, or of scp where there is no scope
	ScopeIsList                                               bool     // scope or scp was an array
	Methods                                                   []string // amr; nil unless a string or an array of strings
	ExpiresAt, NotBefore, IssuedAt                            int64    // in seconds since 1970
	AuthTime                                                  int64    // likewise; 0 unless a time
	Active                                                    bool     // the JSON value true and nothing else
	TokenType                                                 string
	TokenUse, Typ                                             string // "" unless a string

	lists [8]string // backs the lists of an ordinary token, so that they cost no allocation
}

// Parse reads the claims of a token. The error is ErrSyntax or a *TypeError.
func Parse(text string, source Source) (*Set, error) {
	set := new(Set)
	if err := set.Parse(text, source); err != nil {
		return nil, err
	}
	return set, nil
}

// Parse is the function Parse, into a zero Set.
func (set *Set) Parse(text string, source Source) error {
	if !valid(text) {
		return ErrSyntax
	}
	set.Raw = text
	set.Source = source
	p := parser{Decoder: Decoder{s: text, left: boundsOf(source)}, set: set, source: source, lists: set.lists[:0]}
	defer p.free()
	p.space()
	if !p.eat('{') {
		return ErrSyntax
	}
	var others object
	for n := 0; ; n++ {
		name, more, ok := p.name('}', n == 0)
		if !ok || n > maxMembers {
			return ErrSyntax
		}
		if !more {
			break
		}
		bit := member(name)
		if bit == 0 {
			if !p.fresh(&others, name) || registeredNames.collides(name, p.kinds) || !p.skip(0) {
				return ErrSyntax
			}
			continue
		}
		if p.seen&bit != 0 || !take(&p.left.members) {
			return ErrSyntax
		}
		p.seen |= bit
		if source == Answer && bit != Active && p.Null() {
			continue
		}
		set.Has |= bit
		if !p.claim(bit) {
			return p.fault(name)
		}
	}
	p.space()
	if p.i != len(p.s) {
		return ErrSyntax
	}
	if set.Has&Scope == 0 {
		set.Scopes = p.scp
		set.ScopeIsList = p.scpIsList
	}
	return nil
}

type parser struct {
	Decoder
	set       *Set
	source    Source
	seen      Member
	lists     []string // where the next list goes
	scp       []string
	scpIsList bool
	at        int // where the value began that couldn't be read
}

// fault tells a wrong type from text that is no JSON at all.
func (p *parser) fault(name string) error {
	p.i = p.at
	if p.left.strings >= 0 && !p.skip(0) {
		return ErrSyntax
	}
	return &TypeError{Name: name}
}

func (p *parser) claim(bit Member) (ok bool) {
	p.at = p.i
	s := p.set
	switch bit {
	case Iss:
		s.Issuer, ok = p.str()
	case Sub:
		s.Subject, ok = p.str()
	case ClientID:
		s.ClientID, ok = p.str()
	case Azp:
		s.AuthorizedParty, ok = p.str()
	case Jti:
		s.ID, ok = p.str()
	case Sid:
		s.SessionID, ok = p.str()
	case Exp:
		s.ExpiresAt, ok = p.time(p.source == Answer)
	case Nbf:
		s.NotBefore, ok = p.time(p.source == Answer)
	case Iat:
		s.IssuedAt, ok = p.time(p.source == Answer)
	case Aud:
		s.Audience, p.lists, ok = p.list(p.lists, false)
	case Scope:
		s.ScopeIsList = p.isList()
		s.Scopes, p.lists, ok = p.list(p.lists, true)
	case Scp:
		p.scpIsList = p.isList()
		p.scp, p.lists, ok = p.list(p.lists, true)
	case Active:
		s.Active, ok = p.Bool()
		if !ok { // whatever else it is, it doesn't say that the token is active
			s.Active, ok = false, p.skip(0)
		}
	case Amr:
		var list []string
		if list, p.lists, ok = p.list(p.lists, false); ok {
			s.Methods = list
		}
		ok = p.orSkip(ok)
	case AuthTime:
		var t int64
		if t, ok = p.time(true); ok {
			s.AuthTime = t
		}
		ok = p.orSkip(ok)
	case Idp:
		s.IdentityProvider, ok = p.str()
		ok = p.orSkip(ok)
	case Acr:
		s.ContextClass, ok = p.str()
		ok = p.orSkip(ok)
	case TokenType:
		s.TokenType, ok = p.str()
		if !ok && p.source == JWT {
			ok = p.orSkip(ok)
		}
	case TokenUse:
		s.TokenUse, ok = p.str()
		ok = p.orSkip(ok)
	case Typ:
		s.Typ, ok = p.str()
		ok = p.orSkip(ok)
	default: // it matters only that it is there
		ok = p.skip(0)
	}
	return ok
}

// orSkip passes over a value that informs and doesn't decide, whatever its type.
func (p *parser) orSkip(ok bool) bool {
	if ok {
		return true
	}
	p.i = p.at
	return p.left.strings >= 0 && p.skip(0)
}

func (p *parser) isList() bool { return p.i < len(p.s) && p.s[p.i] == '[' }

// member returns the bit of a name, or 0.
func member(name string) Member {
	switch name {
	case "iss":
		return Iss
	case "sub":
		return Sub
	case "aud":
		return Aud
	case "exp":
		return Exp
	case "nbf":
		return Nbf
	case "iat":
		return Iat
	case "jti":
		return Jti
	case "client_id":
		return ClientID
	case "azp":
		return Azp
	case "scope":
		return Scope
	case "scp":
		return Scp
	case "sid":
		return Sid
	case "auth_time":
		return AuthTime
	case "idp":
		return Idp
	case "amr":
		return Amr
	case "acr":
		return Acr
	case "cnf":
		return Cnf
	case "nonce":
		return Nonce
	case "at_hash":
		return AtHash
	case "c_hash":
		return CHash
	case "events":
		return Events
	case "active":
		return Active
	case "token_type":
		return TokenType
	case "token_introspection":
		return TokenIntrospection
	case "token_use":
		return TokenUse
	case "typ":
		return Typ
	}
	return 0
}
