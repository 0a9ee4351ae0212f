package xenaauth

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/internal/bearer"
	"github.com/xenaauth/xenaauth/internal/claims"
)

// Proof checks that a client possesses the key that its token is bound to. A token is bound to a key
// by its claim cnf (RFC 7800). A Proof checks one member of it, and plugs into [Options.Proofs].
//
// The methods are called by many goroutines at the same time.
type Proof interface {
	// Scheme is the authentication scheme of the tokens that need this proof, for example "DPoP"
	// (RFC 9449). The middleware accepts tokens of this scheme beside "Bearer", if they are bound
	// by Member, and it refuses such a token with another scheme. "Bearer" is for proofs that come
	// with any scheme, as certificates do (RFC 8705).
	Scheme() string
	// Member is the member of cnf that the proof confirms, for example "jkt" or "x5t#S256".
	Member() string
	// Params are the parameters of the challenge of the scheme, for example algs. They must be the
	// same at each call.
	Params() map[string]string
	// Confirm returns nil if the client of r possesses the key. value is the string of Member in
	// the token's cnf. The token is valid. Confirm is called at most once for each request and
	// Middleware, also if several guards check the request. It must not read the body.
	//
	// A refusal is an [*Error], usually with ReasonConfirmation. Its Params may contain an error code
	// of the proof. Any other error is an outage: 503. The text of the error is logged, so it must
	// not contain the token or the proof.
	Confirm(r *http.Request, token, value string) error
	// Respond may add header fields to the response, for example a nonce. err is nil if the request
	// may pass: then Respond is called if this proof was confirmed for the request. Otherwise err is
	// the refusal, and Respond is called for each proof of the middleware. If it has set a challenge
	// already, Respond must leave it as it is.
	Respond(h http.Header, r *http.Request, err error)
}

// proofs are the proofs of possession that a middleware checks, and the schemes that it accepts.
type proofs struct {
	all     []Proof
	member  []string // of each proof
	scheme  []uint8  // of each proof: its place in schemes
	schemes []scheme // the first is Bearer
	names   []string // of the schemes
	known   []string // the members that need a proof
}

// scheme is an accepted authentication scheme.
type scheme struct {
	name   string
	params []bearer.Param // of each challenge
}

// The schemes of a middleware without proofs.
var (
	bearerScheme = []scheme{{name: "Bearer"}}
	bearerName   = []string{"Bearer"}
)

// accepted returns the schemes. p may be nil.
func (p *proofs) accepted() []scheme {
	if p == nil {
		return bearerScheme
	}
	return p.schemes
}

// acceptedNames returns the names of the schemes. p may be nil.
func (p *proofs) acceptedNames() []string {
	if p == nil {
		return bearerName
	}
	return p.names
}

// schemeOf returns the place of the scheme that a refused request used, or that of Bearer. p and r
// may be nil.
func (p *proofs) schemeOf(r *http.Request) uint8 {
	if p == nil || r == nil {
		return 0
	}
	c := bearer.Parse(r.Header["Authorization"], p.names, 0)
	return c.Scheme
}

// confirmations are the members of cnf that always need a proof (RFC 9449, section 6.1; RFC 8705,
// section 3.1).
var confirmations = []string{"jkt", "x5t#S256"}

// newProofs panics if a proof is nil or describes itself in a way that can't work.
func newProofs(all []Proof) *proofs {
	if len(all) == 0 {
		return nil
	}
	p := &proofs{
		all: slices.Clone(all), schemes: slices.Clone(bearerScheme), names: slices.Clone(bearerName),
	}
	for _, one := range p.all {
		v := reflect.ValueOf(one)
		if !v.IsValid() || !v.Comparable() || v.Kind() == reflect.Pointer && v.IsNil() {
			panic("xenaauth: Options.Proofs: a Proof is nil or not comparable")
		}
		name, member := one.Scheme(), one.Member()
		if !bearer.IsToken(name) || len(name) > 32 || len(p.schemes) > 8 {
			panic(fmt.Sprintf("xenaauth: Options.Proofs: %q is not a scheme, or the schemes are too many", name))
		}
		if member == "" || slices.Contains(p.member, member) {
			panic(fmt.Sprintf("xenaauth: Options.Proofs: the member %q is empty, or of two proofs", member))
		}
		at := slices.IndexFunc(p.schemes, func(s scheme) bool { return strings.EqualFold(s.name, name) })
		if at < 0 {
			at = len(p.schemes)
			p.schemes = append(p.schemes, scheme{name: name})
			p.names = append(p.names, name)
		}
		params := bearer.Params(one.Params(), ownParams...)
		if len(params) != len(one.Params()) {
			panic(fmt.Sprintf("xenaauth: Options.Proofs: the challenge of %s can't have these parameters", name))
		}
		for _, param := range params {
			if !slices.Contains(p.schemes[at].params, param) {
				p.schemes[at].params = append(p.schemes[at].params, param)
			}
		}
		p.member = append(p.member, member)
		p.scheme = append(p.scheme, uint8(at))
	}
	p.known = append(slices.Clone(confirmations), p.member...)
	return p
}

// confirmed is a list of proofs that were confirmed for a request. Several middlewares may add to it.
type confirmed struct {
	proof Proof
	value string
	next  *confirmed
}

// has reports whether the proof was confirmed for a key.
func (c *confirmed) has(proof Proof, value string) bool {
	for ; c != nil; c = c.next {
		if c.proof == proof && c.value == value {
			return true
		}
	}
	return false
}

// isBound reports whether a token has a claim cnf.
func (u *User) isBound() bool { return u.set != nil && u.set.Has&claims.Cnf != 0 }

// isBoundLike reports whether the token of u is bound to no key, or to the keys of the other's.
func (u *User) isBoundLike(other *User) bool {
	if !u.isBound() {
		return true
	}
	var mine, others map[string]any
	return u.Claim("cnf", &mine) == nil && other.Claim("cnf", &others) == nil &&
		reflect.DeepEqual(mine, others)
}

// confirm checks the proofs that a valid token needs, and returns them. The token is bound to a key,
// or its scheme is not Bearer. p may be nil.
func (p *proofs) confirm(r *http.Request, u *User, c *bearer.Credentials) (*confirmed, error) {
	if p == nil {
		return nil, refuse(ReasonConfirmation, errUnconfirmed)
	}
	if !u.isBound() {
		return nil, refuse(ReasonConfirmation,
			fmt.Errorf("the scheme is %s, but the token has no cnf", p.names[c.Scheme]))
	}
	values, err := p.valuesOf(u)
	if err != nil {
		return nil, err
	}
	ofScheme := false // a proof of the scheme that the client used
	for i, value := range values {
		if value == "" {
			continue
		}
		if p.scheme[i] != 0 && p.scheme[i] != c.Scheme { // else a stolen token would pass as Bearer
			return nil, refuse(ReasonConfirmation,
				fmt.Errorf("cnf.%s needs the scheme %s", p.member[i], p.names[p.scheme[i]]))
		}
		ofScheme = ofScheme || p.scheme[i] == c.Scheme
	}
	if c.Scheme != 0 && !ofScheme {
		return nil, refuse(ReasonConfirmation,
			fmt.Errorf("cnf has no member for the scheme %s", p.names[c.Scheme]))
	}
	var before, list *confirmed
	earlier, ok := r.Context().Value(userKey{}).(*userContext)
	if ok && earlier.credentials.Same(r.Header["Authorization"]) {
		// Another middleware may have confirmed the proof, which may be good for one use only.
		before = earlier.confirmed
	}
	for i, value := range values {
		if value == "" {
			continue
		}
		if !before.has(p.all[i], value) {
			if err := p.all[i].Confirm(r, c.Token(), value); err != nil {
				return nil, err
			}
		}
		list = &confirmed{p.all[i], value, list}
	}
	return list, nil
}

// valuesOf returns the value of each proof in the token's cnf, or "" (RFC 7800, section 3.1). It
// ignores members that it does not know, if there is one that it knows. A known member without a
// proof is refused.
func (p *proofs) valuesOf(u *User) ([]string, error) {
	raw, _ := u.set.Find("cnf")
	values := make([]string, len(p.all))
	found := false
	err := claims.Object(raw, nil, func(name string, d *claims.Decoder) error {
		i := slices.Index(p.member, name)
		if i < 0 {
			for _, known := range p.known { // a name in another case may be meant for a known one
				if strings.EqualFold(name, known) {
					return fmt.Errorf("no proof is configured for the member %s", shown(name))
				}
			}
			if _, ok := d.Raw(); !ok {
				return claims.ErrSyntax
			}
			return nil
		}
		value, ok := d.String()
		if !ok || value == "" {
			return fmt.Errorf("the member %s is not a string", name)
		}
		values[i], found = strings.Clone(value), true
		return nil
	})
	if err == nil && !found {
		err = errors.New("no member is known")
	}
	if err != nil {
		return nil, refuse(ReasonConfirmation, fmt.Errorf("cnf: %w", err))
	}
	return values, nil
}
