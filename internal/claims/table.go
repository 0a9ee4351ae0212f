package claims

import "math/bits"

// Member is a set of registered claims. Each claim is one bit.
type Member uint32

// This is the table of the registered claims. Each call registers a claim: its exact name, and how
// its value is read. The result is the bit that stands for the claim in Set.Has.
//
// If the Set has a field for a claim, the value is read into this field. For any other claim, the
// Set only stores where the value is in the text. StringOf, StringsOf and TimeOf read such a value
// when it is needed.
var (
	Iss      = text("iss", func(s *Set) *string { return &s.Issuer })
	Sub      = text("sub", func(s *Set) *string { return &s.Subject })
	Aud      = registerClaim(claim{name: "aud", form: formAudience})
	Exp      = date("exp", func(s *Set) *int64 { return &s.ExpiresAt })
	Nbf      = date("nbf", func(s *Set) *int64 { return &s.NotBefore })
	Iat      = date("iat", func(s *Set) *int64 { return &s.IssuedAt })
	Jti      = text("jti", func(s *Set) *string { return &s.ID })
	ClientID = text("client_id", func(s *Set) *string { return &s.ClientID })
	Azp      = text("azp", func(s *Set) *string { return &s.AuthorizedParty })
	Scope    = registerClaim(claim{name: "scope", form: formScope})
	Scp      = registerClaim(claim{name: "scp", form: formScp})
	Sid      = text("sid", func(s *Set) *string { return &s.SessionID })
	AuthTime = noted("auth_time")
	Idp      = noted("idp")
	Amr      = noted("amr")
	Acr      = noted("acr")
	Cnf      = noted("cnf")
	Nonce    = noted("nonce")
	AtHash   = noted("at_hash")
	CHash    = noted("c_hash")
	Events   = noted("events")
	Active   = registerClaim(claim{name: "active", form: formActive})

	TokenType          = registerClaim(claim{name: "token_type", form: formTokenType})
	TokenIntrospection = noted("token_introspection")
	TokenUse           = lenientText("token_use", func(s *Set) *string { return &s.TokenUse })
	Typ                = lenientText("typ", func(s *Set) *string { return &s.Typ })
)

// claim describes one registered claim: its name, and how its value is read.
type claim struct {
	name string
	bit  Member
	form claimForm
	// textField returns the field of a Set that stores the value of the claim. It is nil unless the
	// form of the claim is formString or formLenientString.
	textField func(*Set) *string
	// dateField returns the field of a Set that stores the value of the claim; it is nil unless the
	// form of the claim is formDate
	dateField func(*Set) *int64
	// place is the index in Set.places that belongs to the claim; it is used only if the form of
	// the claim is formPlace
	place uint8
}

// A claimForm says which JSON type the value of a claim must have, and what a Set stores of the
// value.
type claimForm uint8

const (
	// formPlace means that a value may have any type, and that the Set stores only where the value
	// begins and ends in the text
	formPlace  claimForm = iota
	formString           // formString means that a value must be a string
	// formLenientString means that a value that is not a string counts as ""
	formLenientString
	// formDate means that a value must be a NumericDate (RFC 7519, section 2). In an introspection
	// response it may also be a string of digits.
	formDate
	formAudience
	formScope
	formScp
	formActive
	formTokenType
)

func noted(name string) Member { return registerClaim(claim{name: name, form: formPlace}) }

func text(name string, field func(*Set) *string) Member {
	return registerClaim(claim{name: name, form: formString, textField: field})
}

func lenientText(name string, field func(*Set) *string) Member {
	return registerClaim(claim{name: name, form: formLenientString, textField: field})
}

func date(name string, field func(*Set) *int64) Member {
	return registerClaim(claim{name: name, form: formDate, dateField: field})
}

// maxPlaces is the largest number of registered claims with the form formPlace. A Set does not
// store the value of such a claim: it stores only where the value begins and ends in the text.
const maxPlaces = 10

var (
	registeredClaims []claim
	places           uint8
)

func registerClaim(c claim) Member {
	c.bit = 1 << len(registeredClaims)
	if c.form == formPlace {
		c.place = places
		places++
	}
	if c.bit == 0 || places > maxPlaces {
		panic("claims: the table is full")
	}
	registeredClaims = append(registeredClaims, c)
	return c.bit
}

// nameSlots is a hash table of the names of the registered claims. It maps a name to the position
// of the claim in the list registeredClaims. No two names have the same index in nameSlots, because
// init chooses a suitable factor for the hash.
var (
	// an element of nameSlots is 0 if its slot is free; otherwise it is the position of a claim in
	// registeredClaims, counted from 1
	nameSlots  [128]uint8
	slotFactor uint32
)

// registeredNames contains the names of all registered claims.
var registeredNames *Names

func init() {
	names := make([]string, len(registeredClaims))
	for i := range registeredClaims {
		names[i] = registeredClaims[i].name
	}
	registeredNames = NewNames(names...)
	for slotFactor = 0x9e3779b1; !fillSlots(); slotFactor += 2 {
		nameSlots = [128]uint8{}
	}
}

func fillSlots() bool {
	for i := range registeredClaims {
		s := &nameSlots[slotOf(registeredClaims[i].name)]
		if *s != 0 {
			return false
		}
		*s = uint8(i + 1)
	}
	return true
}

// slotOf returns the index of a claim's name in the hash table nameSlots. It computes the index
// from the length of the name and three of its characters. The name must not be empty.
func slotOf(name string) uint32 {
	n := len(name)
	h := uint32(n) | uint32(name[0])<<8 | uint32(name[n/2])<<16 | uint32(name[n-1])<<24
	return h * slotFactor >> 25
}

// findClaim returns the registered claim with this name, or nil if there is no such claim.
func findClaim(name string) *claim {
	if name == "" {
		return nil
	}
	i := nameSlots[slotOf(name)]
	if i == 0 || registeredClaims[i-1].name != name {
		return nil
	}
	return &registeredClaims[i-1]
}

// claimOfBit returns the registered claim for its bit in a Member. It returns nil if bit does not
// contain exactly one bit, or if no claim has this bit.
func claimOfBit(bit Member) *claim {
	i := bits.TrailingZeros32(uint32(bit))
	if bits.OnesCount32(uint32(bit)) != 1 || i >= len(registeredClaims) {
		return nil
	}
	return &registeredClaims[i]
}
