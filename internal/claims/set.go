package claims

import (
	"fmt"
)

// Source says whether claims are from a JWT or from an introspection response. The source decides
// which forms of values are accepted.
type Source int

// These constants are the sources of claims.
const (
	// JWT means that the claims are the payload of a JWT. A time must be a number (RFC 7519,
	// section 2). A claim with the value null counts as present.
	JWT Source = iota
	// Answer means that the claims are an introspection response. A time may be a string of digits,
	// because old identity servers write times in this form. A claim with the value null counts as
	// absent; only the claim active then counts as present.
	Answer
)

// TypeError says that the value of a claim has the wrong type, is a time that is too early or too
// late, or has too many strings.
type TypeError struct{ Name string }

func (e *TypeError) Error() string { return fmt.Sprintf("claim %q has an unusable value", e.Name) }

// Set contains the claims of one token. It doesn't change after Parse. Its strings without escape
// sequences share the memory of Raw.
type Set struct {
	// Has is the set of the claims that the token has. In an introspection response, a claim with
	// the value null counts as absent (except active).
	Has    Member
	Raw    string // Raw is the JSON text of all claims
	Source Source

	Issuer, Subject, ClientID, AuthorizedParty, ID, SessionID string
	Audience                                                  []string
	// Scopes is the value of the claim "scope". If the token has no such claim, Scopes is the value
	// of the claim "scp".
	Scopes []string
	// ScopeIsList reports whether the claim from which Scopes was read is a JSON array.
	ScopeIsList bool
	// ExpiresAt, NotBefore and IssuedAt are times in seconds since 1970
	ExpiresAt, NotBefore, IssuedAt int64
	Active                         bool // Active is true if the claim "active" is true
	TokenType                      string
	// TokenUse and Typ are "" if the claim is absent or its value is not a string.
	TokenUse, Typ string

	places [maxPlaces]place
	// listMemory is memory for the lists of strings in an ordinary token, so that they need no
	// allocation
	listMemory [8]string
}

// place says where the value of a claim begins and ends in the text Set.Raw.
type place struct{ from, to uint32 }

// Parse parses the claims of a token. The error is ErrSyntax or a *TypeError.
func Parse(text string, source Source) (*Set, error) {
	set := new(Set)
	if err := set.Parse(text, source); err != nil {
		return nil, err
	}
	return set, nil
}

// Parse parses the JSON text of the claims of a token, and stores the claims in set. Before the
// call, set must be an empty Set (the zero value). The error is ErrSyntax or a *TypeError.
func (set *Set) Parse(text string, source Source) error {
	if !isUTF8(text) {
		return ErrSyntax
	}
	set.Raw = text
	set.Source = source
	p := parser{Decoder: Decoder{s: text, budget: boundsOf(source)}, set: set, source: source, unusedLists: set.listMemory[:0]}
	defer p.free()
	p.space()
	if !p.eat('{') {
		return ErrSyntax
	}
	var others objectNames
	for n := 0; ; n++ {
		name, more, ok := p.name('}', n == 0)
		if !ok || n > maxMembers {
			return ErrSyntax
		}
		if !more {
			break
		}
		c := findClaim(name)
		if c == nil {
			if !p.addName(&others, name) || registeredNames.collides(name, p.charKinds) || !p.skip(0) {
				return ErrSyntax
			}
			continue
		}
		if p.seen&c.bit != 0 || !spendOne(&p.budget.members) {
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
	set         *Set
	source      Source
	seen        Member
	unusedLists []string // unusedLists is the unused part of Set.listMemory
	scp         []string
	scpIsList   bool
	valueStart  int // valueStart is where the current value begins in the text
}

// parser.claim reads the value of the registered claim c.
func (p *parser) claim(c *claim) (ok bool) {
	p.valueStart = p.i
	s := p.set
	switch c.form {
	case formPlace:
		ok = p.skip(0)
		s.places[c.place] = place{uint32(p.valueStart), uint32(p.i)}
	case formString:
		*c.textField(s), ok = p.str()
	case formLenientString:
		*c.textField(s), ok = p.str()
		ok = ok || p.skipAgain()
	case formDate:
		*c.dateField(s), ok = p.time(p.source == Answer)
	case formAudience:
		s.Audience, p.unusedLists, ok = p.list(p.unusedLists, false)
	case formScope:
		s.ScopeIsList = p.isList()
		s.Scopes, p.unusedLists, ok = p.list(p.unusedLists, true)
	case formScp: // the claim "scp" is used only if there is no claim "scope"
		p.scpIsList = p.isList()
		p.scp, p.unusedLists, ok = p.list(p.unusedLists, true)
	case formActive:
		// The token is active only if the claim "active" has the value true. Any other value means
		// that the token is not active.
		if s.Active, ok = p.Bool(); !ok {
			s.Active, ok = false, p.skip(0)
		}
	case formTokenType:
		// RFC 7662 defines token_type for responses only, so in a JWT this claim may have any type
		s.TokenType, ok = p.str()
		ok = ok || p.source == JWT && p.skipAgain()
	}
	return ok
}

// skipAgain is called if the value of a claim has the wrong type. It goes back to the beginning of
// the value and reads the value without storing it.
func (p *parser) skipAgain() bool {
	p.i = p.valueStart
	return p.budget.listStrings >= 0 && p.skip(0)
}

func (p *parser) isList() bool { return p.i < len(p.s) && p.s[p.i] == '[' }

// parser.fault returns the error for a value of a claim that could not be read. The error is a
// *TypeError if the value has the wrong type or too many strings, and ErrSyntax if the value is not
// strict JSON.
func (p *parser) fault(name string) error {
	p.i = p.valueStart
	if p.budget.listStrings >= 0 && !p.skip(0) {
		return ErrSyntax
	}
	return &TypeError{Name: name}
}

// Set.value returns a decoder for the value of a claim with the form formPlace. The Set does not
// contain this value: it stores only where in the text the value begins and ends. If the token does
// not have the claim, or the claim has another form, the text of the decoder is empty.
func (set *Set) value(claim Member) parser {
	var at place
	if c := claimOfBit(claim); c != nil && c.form == formPlace {
		at = set.places[c.place]
	}
	return parser{Decoder: Decoder{s: set.Raw[at.from:at.to], budget: boundsOf(set.Source)}}
}

// StringOf returns the value of a claim that is a string. It reads only claims for which Set has no
// field, for example Acr. StringOf returns "" if Set has a field for the claim, if the token does
// not have the claim, or if the value is not a string.
func (set *Set) StringOf(claim Member) string {
	p := set.value(claim)
	s, _ := p.str()
	return s
}

// StringsOf returns the value of a claim as a list: an array of strings, or one string. It returns
// nil if the token does not have the claim or the value has another type. It also returns nil if
// Set has a field for the claim.
func (set *Set) StringsOf(claim Member) []string {
	p := set.value(claim)
	list, _, _ := p.list(nil, false)
	return list
}

// TimeOf returns the value of a claim that is a time, in seconds since 1970. A string of digits is
// accepted too. TimeOf returns 0 if the token does not have the claim or the value is not a time.
// It also returns 0 if Set has a field for the claim.
func (set *Set) TimeOf(claim Member) int64 {
	p := set.value(claim)
	t, ok := p.time(true)
	if !ok {
		return 0
	}
	return t
}
