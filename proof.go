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

// Proof checks that a client possesses the key to which its token is bound. The claim cnf of a
// token names this key (RFC 7800), in a member for each kind of proof. A Proof checks one member.
// [Options.Proofs] contains the Proofs of a middleware.
//
// Many goroutines may call the methods at the same time.
type Proof interface {
	// Scheme is the authentication scheme of tokens that need this proof, for example "DPoP" (RFC
	// 9449). The middleware accepts this scheme in addition to "Bearer". A token whose cnf has the
	// member that this Proof checks must be sent with this scheme. And a token that is sent with
	// this scheme must have the member. But if Scheme returns "Bearer", the token may be sent with
	// any accepted scheme. The Proof for client certificates (RFC 8705) does so.
	Scheme() string
	// Member is the member of cnf that this Proof checks, for example "jkt" or "x5t#S256".
	Member() string
	// Params are parameters for the challenge of this authentication scheme, for example algs. Each
	// call must return the same parameters.
	Params() map[string]string
	// Confirm returns nil if the client that sent r possesses the key. token is valid. value is the
	// string that the member of this Proof has in the cnf of the token. Each Middleware calls
	// Confirm at most once for a request, also if several of its guards check the request. Confirm
	// must not read the body.
	//
	// A refusal is an [*Error], usually with ReasonConfirmation. Its Params may contain the error
	// code of the proof. Any other error counts as an outage: 503. The text of the error is logged,
	// so it must contain neither the token nor the proof.
	Confirm(r *http.Request, token, value string) error
	// Respond may add header fields to the response, for example a nonce. If the request is
	// allowed, err is nil, and Respond is called only if this proof was confirmed for the request.
	// Otherwise err is the refusal, and Respond is called for each Proof of the middleware. The
	// header of a refusal may contain a challenge, and Respond must not change this challenge. If
	// several guards check a request, each of them calls Respond. So use Set and not Add.
	Respond(h http.Header, r *http.Request, err error)
}

// proofs are the proofs of possession that a middleware checks, with the schemes that it accepts.
type proofs struct {
	proofList []Proof
	members   []string // members contains the member of cnf that each Proof in proofList checks
	// schemeIndexes contains, for each Proof in proofList, the index of its scheme in the list
	// schemes.
	schemeIndexes []uint8
	// confirmOrder contains the indexes of proofList, in the order in which the proofs are
	// confirmed: first the proofs whose scheme is Bearer, for example client certificates. A proof
	// with a scheme of its own, for example DPoP, may be valid only once. So it is confirmed last,
	// and a request without its client certificate does not use up its DPoP proof.
	confirmOrder []int
	schemes      []scheme // schemes are the accepted schemes; the first is Bearer
	schemeNames  []string // schemeNames contains the names of the accepted schemes
	knownMembers []string // knownMembers are the members of cnf that need a proof
}

// scheme is an accepted authentication scheme.
type scheme struct {
	name     string
	params   []bearer.Param // params are the parameters in each challenge of this scheme
	hasProof bool           // hasProof says that at least one Proof has this authentication scheme
}

// unclearScheme stands for the scheme of a request in two cases: the Authorization field is
// repeated, or the route does not offer the scheme of the request. In all other cases, the scheme
// is stored as its index in the list proofs.schemes. The list has at most 9 schemes, so no index is
// 255.
const unclearScheme = 255

// Without proofs of possession, a middleware accepts only the scheme Bearer.
var (
	bearerScheme = []scheme{{name: "Bearer"}}
	bearerName   = []string{"Bearer"}
)

// proofs.acceptedSchemes returns the schemes that a middleware accepts. p is nil if the middleware
// has no proofs.
func (p *proofs) acceptedSchemes() []scheme {
	if p == nil {
		return bearerScheme
	}
	return p.schemes
}

// acceptedNames returns the names of the accepted schemes. p is nil if the middleware has no
// proofs.
func (p *proofs) acceptedNames() []string {
	if p == nil {
		return bearerName
	}
	return p.schemeNames
}

// proofs.schemeOf returns the authentication scheme that the request r used, as an index of the
// list proofs.schemes. If r has no accepted scheme, the result is the index of Bearer. If the
// Authorization field is repeated, the result is unclearScheme. The receiver p may be nil, because
// a middleware may have no proofs. The parameter r is nil if there is no request.
func (p *proofs) schemeOf(r *http.Request) uint8 {
	if p == nil || r == nil {
		return 0
	}
	if len(r.Header["Authorization"]) > 1 {
		return unclearScheme
	}
	c := bearer.Parse(r.Header["Authorization"], p.schemeNames, 0)
	return c.Scheme
}

// standardMembers contains the members of cnf that are always known (RFC 9449, section 6.1; RFC
// 8705, section 3.1). If a middleware has no Proof for such a member, it refuses each token with
// this member.
var standardMembers = []string{"jkt", "x5t#S256"}

// newProofs returns the proofs of a middleware. It panics if a proof is nil or not comparable, or
// if its scheme, member or parameters are unusable.
func newProofs(all []Proof) *proofs {
	if len(all) == 0 {
		return nil
	}
	p := &proofs{
		proofList: slices.Clone(all), schemes: slices.Clone(bearerScheme), schemeNames: slices.Clone(bearerName),
	}
	for _, one := range p.proofList {
		v := reflect.ValueOf(one)
		if !v.IsValid() || !v.Comparable() || v.Kind() == reflect.Pointer && v.IsNil() {
			panic("xenaauth: Options.Proofs: a Proof is nil or not comparable")
		}
		name, member := one.Scheme(), one.Member()
		if !bearer.IsToken(name) || len(name) > 32 || len(p.schemes) > 8 {
			panic(fmt.Sprintf("xenaauth: Options.Proofs: %q is not a scheme, or the schemes are too many", name))
		}
		if member == "" || slices.Contains(p.members, member) {
			panic(fmt.Sprintf("xenaauth: Options.Proofs: the member %q is empty, or of two proofs", member))
		}
		schemeIndex := slices.IndexFunc(p.schemes, func(s scheme) bool { return strings.EqualFold(s.name, name) })
		if schemeIndex < 0 {
			schemeIndex = len(p.schemes)
			p.schemes = append(p.schemes, scheme{name: name})
			p.schemeNames = append(p.schemeNames, name)
		}
		p.schemes[schemeIndex].hasProof = true
		params := bearer.Params(one.Params())
		if len(params) != len(one.Params()) {
			panic(fmt.Sprintf("xenaauth: Options.Proofs: the challenge of %s can't have these parameters", name))
		}
		for _, param := range params {
			if slices.Contains(p.schemes[schemeIndex].params, param) {
				continue
			}
			sameName := func(q bearer.Param) bool { return q.Name == param.Name }
			if slices.ContainsFunc(p.schemes[schemeIndex].params, sameName) {
				// A challenge can't contain two parameters with the same name (RFC 9110, section
				// 11.2).
				panic(fmt.Sprintf("xenaauth: Options.Proofs: two proofs of %s have different %s", name, param.Name))
			}
			p.schemes[schemeIndex].params = append(p.schemes[schemeIndex].params, param)
		}
		p.members = append(p.members, member)
		p.schemeIndexes = append(p.schemeIndexes, uint8(schemeIndex))
	}
	for i := range p.proofList {
		p.confirmOrder = append(p.confirmOrder, i)
	}
	slices.SortStableFunc(p.confirmOrder, func(i, j int) int {
		return min(int(p.schemeIndexes[i]), 1) - min(int(p.schemeIndexes[j]), 1)
	})
	p.knownMembers = append(slices.Clone(standardMembers), p.members...)
	return p
}

// confirmedProof is a proof that was confirmed for a request. The proofs that one middleware has
// confirmed for a request are a linked list.
type confirmedProof struct {
	proof       Proof
	memberValue string
	method      string // method, host and target are those of the request
	host        string
	target      string
	next        *confirmedProof
}

// confirmedProof.isFor reports whether the proof was confirmed for the method, the host and the
// target of the request r. If c is nil, the result is true, because no proof was needed. A proof
// may be for one method and one target (RFC 9449, section 4.2). So the proof of one request proves
// nothing for a second request, also if code gives the second request the context and the
// credentials of the first.
func (c *confirmedProof) isFor(r *http.Request) bool {
	return c == nil || c.method == r.Method && c.host == r.Host && c.target == targetOf(r)
}

// targetOf returns the target of the request r. RequestURI is the target that the client sent, also
// if a handler changed the URL, for example to remove a prefix. A request that this program has
// made itself may have no RequestURI; the target is then that of its URL.
func targetOf(r *http.Request) string {
	if r.RequestURI != "" || r.URL == nil {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// wasConfirmed reports whether an earlier guard has confirmed the same proof for the request r and
// its credentials. The earlier guard may belong to another middleware. memberValue is the value of
// the proof's member in cnf, which names the key of the client.
func wasConfirmed(r *http.Request, proof Proof, memberValue string) bool {
	for c := range userContexts(r.Context()) {
		if !c.guardResult.confirmedProofs.isFor(r) || !bearer.Same(c.authorization, r.Header["Authorization"]) {
			continue
		}
		for one := c.guardResult.confirmedProofs; one != nil; one = one.next {
			if one.proof == proof && one.memberValue == memberValue {
				return true
			}
		}
	}
	return false
}

// isBound reports whether the token of u is bound to a key: whether it has a claim cnf.
func (u *User) isBound() bool { return u.set != nil && u.set.Has&claims.Cnf != 0 }

// User.hasKeyOf reports whether the token of the user u is bound to the same key as the token of
// otherUser. If the token of u is not bound to a key, the result is true.
func (u *User) hasKeyOf(otherUser *User) bool {
	if !u.isBound() {
		return true
	}
	var ownKey, otherKey map[string]any
	return u.Claim("cnf", &ownKey) == nil && otherUser.Claim("cnf", &otherKey) == nil &&
		reflect.DeepEqual(ownKey, otherKey)
}

// refuseUnbound returns the refusal of a token that is not bound to a key although the route
// requires a bound token.
func refuseUnbound(cause error) error {
	return &Error{
		Reason: ReasonConfirmation, Err: cause, boundOnly: true,
		Params: map[string]string{
			"error_description": "This resource needs an access token that is bound to a key.",
		},
	}
}

// proofs.confirmAll checks the proofs of possession that a valid token needs, and returns them. It
// is called if the token is bound to a key, or if the token was sent with another scheme than
// Bearer. p is nil if the middleware has no proofs.
func (p *proofs) confirmAll(r *http.Request, u *User, c *bearer.Credentials) (*confirmedProof, error) {
	if p == nil {
		return nil, refuse(ReasonConfirmation, errUnconfirmed)
	}
	if !u.isBound() {
		return nil, &Error{
			Reason: ReasonConfirmation, Err: p.unboundError(c),
			Params: map[string]string{"error_description": "The access token is not bound to a key."},
		}
	}
	values, err := p.valuesOf(u)
	if err != nil {
		return nil, err
	}
	// c.Scheme is the scheme with which the client sent the token. memberFound becomes true if the
	// claim cnf has a member for this scheme: a member that a Proof with this scheme checks.
	memberFound := false
	for i, value := range values {
		if value == "" {
			continue
		}
		// A token that is bound by DPoP must be refused if it is sent as a Bearer token (RFC 9449,
		// section 7.2).
		if p.schemeIndexes[i] != 0 && p.schemeIndexes[i] != c.Scheme {
			return nil, refuse(ReasonConfirmation,
				fmt.Errorf("cnf.%s needs the scheme %s", p.members[i], p.schemeNames[p.schemeIndexes[i]]))
		}
		memberFound = memberFound || p.schemeIndexes[i] == c.Scheme
	}
	if c.Scheme != 0 && !memberFound {
		return nil, refuse(ReasonConfirmation,
			fmt.Errorf("cnf has no member for the scheme %s", p.schemeNames[c.Scheme]))
	}
	var list *confirmedProof
	for _, i := range p.confirmOrder {
		value := values[i]
		if value == "" {
			continue
		}
		// A proof that was confirmed is not checked again, because it may be valid only once.
		if !wasConfirmed(r, p.proofList[i], value) {
			if err := p.proofList[i].Confirm(r, c.Token(), value); err != nil {
				return nil, err
			}
		}
		list = &confirmedProof{p.proofList[i], value, r.Method, r.Host, targetOf(r), list}
	}
	return list, nil
}

// unboundError returns the error for a token without cnf that was sent with the scheme of a proof,
// for example DPoP.
func (p *proofs) unboundError(c *bearer.Credentials) error {
	return fmt.Errorf("the scheme is %s, but the token has no cnf", p.schemeNames[c.Scheme])
}

// valuesOf reads the claim cnf of a token (RFC 7800, section 3.1). Each Proof of the middleware
// checks one member of cnf. valuesOf returns the value of this member for each Proof, or "" for a
// Proof whose member is missing. It returns a refusal if the members of all Proofs are missing, if
// the value of such a member is not a string or is empty, or if cnf contains a known member for
// which there is no Proof. It ignores members that are not known.
func (p *proofs) valuesOf(u *User) ([]string, error) {
	raw, _ := u.set.Find("cnf")
	values := make([]string, len(p.proofList))
	found := false
	err := claims.Object(raw, nil, func(name string, d *claims.Decoder) error {
		i := slices.Index(p.members, name)
		if i < 0 {
			// If a member of cnf differs from a known member only in upper and lower case, the
			// issuer may have made a mistake. A token with such a member is refused.
			for _, known := range p.knownMembers {
				if strings.EqualFold(name, known) {
					return fmt.Errorf("no proof is configured for the member %s", quoteValue(name))
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
