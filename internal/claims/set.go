package claims

import (
	"fmt"
)

// Source tells where a set of claims comes from, and so which loose forms are accepted.
type Source int

// The sources.
const (
	// JWT is the payload of a token. Claims have the types that RFC 7519 and RFC 9068 define.
	JWT Source = iota
	// Answer is an introspection response. Times may be strings of digits, as old identity servers
	// write them, and null counts as an absent member.
	Answer
)

// TypeError says that a claim has a value of the wrong type, or a time out of range.
type TypeError struct{ Name string }

func (e *TypeError) Error() string { return fmt.Sprintf("claim %q has an unusable value", e.Name) }

// Set is the claims of one token. It doesn't change after Parse. Its strings share the memory of
// Raw.
type Set struct {
	Has    Member // which members are there; a null in an Answer does not count
	Raw    string // the whole object
	Source Source

	Issuer, Subject, ClientID, AuthorizedParty, ID, SessionID string
	Audience                                                  []string
	Scopes                                                    []string // of scope, or of scp if there is no scope
	ScopeIsList                                               bool     // whether that claim is an array
	ExpiresAt, NotBefore, IssuedAt                            int64    // in seconds since 1970
	Active                                                    bool     // whether the value is true
	TokenType                                                 string
	TokenUse, Typ                                             string // "" if the value is not a string

	places [maxPlaces]place
	lists  [8]string // backs the lists of an ordinary token, so that they need no allocation
}

// place is where the value of a claim is in Raw.
type place struct{ from, to uint32 }

// Parse reads the claims of a token. The error is ErrSyntax or a *TypeError.
func Parse(text string, source Source) (*Set, error) {
	set := new(Set)
	if err := set.Parse(text, source); err != nil {
		return nil, err
	}
	return set, nil
}

// Parse is the function Parse for a Set that exists. The Set must be zero.
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
		c := find(name)
		if c == nil {
			if !p.fresh(&others, name) || registeredNames.collides(name, p.kinds) || !p.skip(0) {
				return ErrSyntax
			}
			continue
		}
		if p.seen&c.bit != 0 || !take(&p.left.members) {
			return ErrSyntax
		}
		p.seen |= c.bit
		if source == Answer && c.bit != Active && p.Null() {
			continue
		}
		set.Has |= c.bit
		if !p.claim(c) {
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
	lists     []string // the free part of Set.lists
	scp       []string
	scpIsList bool
	at        int // where the value begins
}

// claim reads the value of a claim.
func (p *parser) claim(c *claim) (ok bool) {
	p.at = p.i
	s := p.set
	switch c.form {
	case aPlace:
		ok = p.skip(0)
		s.places[c.place] = place{uint32(p.at), uint32(p.i)}
	case aString:
		*c.text(s), ok = p.str()
	case aLenientString:
		*c.text(s), ok = p.str()
		ok = ok || p.skipAgain()
	case aDate:
		*c.date(s), ok = p.time(p.source == Answer)
	case audience:
		s.Audience, p.lists, ok = p.list(p.lists, false)
	case scope:
		s.ScopeIsList = p.isList()
		s.Scopes, p.lists, ok = p.list(p.lists, true)
	case scp: // counts if there is no scope
		p.scpIsList = p.isList()
		p.scp, p.lists, ok = p.list(p.lists, true)
	case active: // no other value than true says that the token is active
		if s.Active, ok = p.Bool(); !ok {
			s.Active, ok = false, p.skip(0)
		}
	case tokenType: // RFC 7662 defines it; in a JWT it may be anything
		s.TokenType, ok = p.str()
		ok = ok || p.source == JWT && p.skipAgain()
	}
	return ok
}

// skipAgain skips a value that was read as the wrong type.
func (p *parser) skipAgain() bool {
	p.i = p.at
	return p.left.strings >= 0 && p.skip(0)
}

func (p *parser) isList() bool { return p.i < len(p.s) && p.s[p.i] == '[' }

// fault returns the error for a value that could not be read: a wrong type, or text that is not
// JSON.
func (p *parser) fault(name string) error {
	p.i = p.at
	if p.left.strings >= 0 && !p.skip(0) {
		return ErrSyntax
	}
	return &TypeError{Name: name}
}

// value returns a decoder for the value of a claim whose place is noted. It is empty if the claim
// is absent.
func (set *Set) value(claim Member) parser {
	at := set.places[rowOf(claim).place]
	return parser{Decoder: Decoder{s: set.Raw[at.from:at.to], left: boundsOf(set.Source)}}
}

// StringOf returns the value of a claim, or "" if it is absent or not a string.
func (set *Set) StringOf(claim Member) string {
	p := set.value(claim)
	s, _ := p.str()
	return s
}

// StringsOf returns the value of a claim, or nil if it is absent and neither a string nor an array
// of strings.
func (set *Set) StringsOf(claim Member) []string {
	p := set.value(claim)
	list, _, _ := p.list(nil, false)
	return list
}

// TimeOf returns the value of a claim in seconds since 1970, or 0 if it is absent or not a time. A
// string of digits is a time too.
func (set *Set) TimeOf(claim Member) int64 {
	p := set.value(claim)
	t, ok := p.time(true)
	if !ok {
		return 0
	}
	return t
}
