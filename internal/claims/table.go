package claims

import "math/bits"

// Member is a set of registered claims. Each claim is one bit.
type Member uint32

// This is the table of the registered claims. Each call registers a claim: its exact name, and how
// its value is read. The result is the bit that stands for the claim in Set.Has.
//
// If a claim decides whether a token is accepted, its value is read into a field of the Set. For
// any other claim, the Set only stores where the value is in the text. StringOf, StringsOf and
// TimeOf read such a value when it is needed.
var (
	Iss      = text("iss", func(s *Set) *string { return &s.Issuer })
	Sub      = text("sub", func(s *Set) *string { return &s.Subject })
	Aud      = row(claim{name: "aud", form: audience})
	Exp      = date("exp", func(s *Set) *int64 { return &s.ExpiresAt })
	Nbf      = date("nbf", func(s *Set) *int64 { return &s.NotBefore })
	Iat      = date("iat", func(s *Set) *int64 { return &s.IssuedAt })
	Jti      = text("jti", func(s *Set) *string { return &s.ID })
	ClientID = text("client_id", func(s *Set) *string { return &s.ClientID })
	Azp      = text("azp", func(s *Set) *string { return &s.AuthorizedParty })
	Scope    = row(claim{name: "scope", form: scope})
	Scp      = row(claim{name: "scp", form: scp})
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
	Active   = row(claim{name: "active", form: active})

	TokenType          = row(claim{name: "token_type", form: tokenType})
	TokenIntrospection = noted("token_introspection")
	TokenUse           = lenientText("token_use", func(s *Set) *string { return &s.TokenUse })
	Typ                = lenientText("typ", func(s *Set) *string { return &s.Typ })
)

// The type claim describes a registered claim: its name, and how its value is read.
type claim struct {
	name string
	bit  Member
	form form
	// text returns the field of a Set that stores the value of the claim. It is set only for a
	// claim whose form is aString or aLenientString.
	text func(*Set) *string
	// date returns the field of a Set that stores the value of the claim; it is set only for a
	// claim whose form is aDate
	date func(*Set) *int64
	// place is the index in Set.places that belongs to the claim; it is used only if the form is
	// aPlace
	place uint8
}

// The type form says which JSON type the value of a claim has, and what the Set stores of it.
type form uint8

const (
	// aPlace means that a value may have any type, and that the Set stores only where the value
	// begins and ends in the text
	aPlace         form = iota
	aString             // aString means that a value must be a string
	aLenientString      // aLenientString means that a value that is not a string counts as ""
	// aDate means that a value must be a NumericDate (RFC 7519, section 2). In an introspection
	// response it may also be a string of digits.
	aDate
	audience
	scope
	scp
	active
	tokenType
)

func noted(name string) Member { return row(claim{name: name, form: aPlace}) }

func text(name string, field func(*Set) *string) Member {
	return row(claim{name: name, form: aString, text: field})
}

func lenientText(name string, field func(*Set) *string) Member {
	return row(claim{name: name, form: aLenientString, text: field})
}

func date(name string, field func(*Set) *int64) Member {
	return row(claim{name: name, form: aDate, date: field})
}

// maxPlaces is the largest number of claims with the form aPlace. For these claims, a Set stores
// only where their values are.
const maxPlaces = 10

var (
	rows   []claim
	places uint8
)

func row(c claim) Member {
	c.bit = 1 << len(rows)
	if c.form == aPlace {
		c.place = places
		places++
	}
	if c.bit == 0 || places > maxPlaces {
		panic("claims: the table is full")
	}
	rows = append(rows, c)
	return c.bit
}

// The array slots is a hash table of the names of the registered claims. It maps a name to the
// number of the claim in the list rows. No two names have the same index in slots, because init
// chooses a suitable factor for the hash.
var (
	// each element is the number of a claim in rows, counted from 1, or 0 if no name has this index
	slots      [128]uint8
	slotFactor uint32
)

// registeredNames contains the names of all registered claims.
var registeredNames *Names

func init() {
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = rows[i].name
	}
	registeredNames = NewNames(names...)
	for slotFactor = 0x9e3779b1; !fillSlots(); slotFactor += 2 {
		slots = [128]uint8{}
	}
}

func fillSlots() bool {
	for i := range rows {
		s := &slots[slotOf(rows[i].name)]
		if *s != 0 {
			return false
		}
		*s = uint8(i + 1)
	}
	return true
}

// slotOf returns the index of a claim's name in the array slots, which is a hash table. It computes
// the index from the length of the name and three of its characters. The name must not be empty.
func slotOf(name string) uint32 {
	n := len(name)
	h := uint32(n) | uint32(name[0])<<8 | uint32(name[n/2])<<16 | uint32(name[n-1])<<24
	return h * slotFactor >> 25
}

// The function find returns the registered claim with this name, or nil if there is no such claim.
func find(name string) *claim {
	if name == "" {
		return nil
	}
	i := slots[slotOf(name)]
	if i == 0 || rows[i-1].name != name {
		return nil
	}
	return &rows[i-1]
}

// rowOf returns the registered claim that has the bit m.
func rowOf(m Member) *claim { return &rows[bits.TrailingZeros32(uint32(m))] }
