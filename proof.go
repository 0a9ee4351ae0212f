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
	// 9449). The middleware accepts this scheme in addition to "Bearer". A token bound by Member
	// must be sent with Scheme, and a token that is sent with Scheme must be bound by Member. If
	// Scheme is "Bearer", the token may be sent with any accepted scheme. A client certificate (RFC
	// 8705) is such a proof.
	Scheme() string
	// Member is the member of cnf that this Proof checks, for example "jkt" or "x5t#S256".
	Member() string
	// Params are parameters for the challenge of Scheme, for example algs. Each call must return
	// the same parameters.
	Params() map[string]string
	// Confirm returns nil if the client that sent r possesses the key. token is valid, and value is
	// the string of Member in its cnf. Each Middleware calls Confirm at most once for a request,
	// also if several of its guards check the request. Confirm must not read the body.
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
	all    []Proof
	member []string // member contains the Member of each Proof in the list all
	// scheme contains, for each Proof in the list all, the index of its scheme in the list schemes.
	scheme []uint8
	// order contains the indexes of the list all, in the order in which the proofs are confirmed:
	// first the proofs whose scheme is Bearer. A proof with a scheme of its own may be valid only
	// once. So it is confirmed last, and a request without its client certificate does not use up
	// its DPoP proof.
	order   []int
	schemes []scheme // schemes are the accepted schemes; the first is Bearer
	names   []string // names contains the names of the accepted schemes
	known   []string // known are the members of cnf that need a proof
}

// scheme is an accepted authentication scheme.
type scheme struct {
	name   string
	params []bearer.Param // params are the parameters in each challenge of this scheme
	proves bool           // proves says that a Proof requires this scheme
}

// unclear stands for the scheme of a request in two cases: the scheme is ambiguous, or the route
// does not offer it. It is larger than every index of an accepted scheme.
const unclear = 255

// Without proofs of possession, a middleware accepts only the scheme Bearer.
var (
	bearerScheme = []scheme{{name: "Bearer"}}
	bearerName   = []string{"Bearer"}
)

// proofs.accepted returns the schemes that a middleware accepts. p may be nil.
func (p *proofs) accepted() []scheme {
	if p == nil {
		return bearerScheme
	}
	return p.schemes
}

// acceptedNames returns the names of the accepted schemes. p may be nil.
func (p *proofs) acceptedNames() []string {
	if p == nil {
		return bearerName
	}
	return p.names
}

// schemeOf returns the index of the scheme that the request r used. It returns the index of Bearer
// if r has no accepted scheme, and unclear if the Authorization field is repeated. p and r may be
// nil.
func (p *proofs) schemeOf(r *http.Request) uint8 {
	if p == nil || r == nil {
		return 0
	}
	if len(r.Header["Authorization"]) > 1 {
		return unclear
	}
	c := bearer.Parse(r.Header["Authorization"], p.names, 0)
	return c.Scheme
}

// The list confirmations contains the members of cnf that are always known (RFC 9449, section 6.1;
// RFC 8705, section 3.1). If a middleware has no Proof for such a member, it refuses each token
// with this member.
var confirmations = []string{"jkt", "x5t#S256"}

// newProofs returns the proofs of a middleware. It panics if a proof is nil, or if its scheme,
// member or parameters are unusable.
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
		p.schemes[at].proves = true
		params := bearer.Params(one.Params(), ownParams...)
		if len(params) != len(one.Params()) {
			panic(fmt.Sprintf("xenaauth: Options.Proofs: the challenge of %s can't have these parameters", name))
		}
		for _, param := range params {
			if slices.Contains(p.schemes[at].params, param) {
				continue
			}
			sameName := func(q bearer.Param) bool { return q.Name == param.Name }
			if slices.ContainsFunc(p.schemes[at].params, sameName) {
				// A challenge can't contain two parameters with the same name (RFC 9110, section
				// 11.2).
				panic(fmt.Sprintf("xenaauth: Options.Proofs: two proofs of %s have different %s", name, param.Name))
			}
			p.schemes[at].params = append(p.schemes[at].params, param)
		}
		p.member = append(p.member, member)
		p.scheme = append(p.scheme, uint8(at))
	}
	for i := range p.all {
		p.order = append(p.order, i)
	}
	slices.SortStableFunc(p.order, func(i, j int) int {
		return min(int(p.scheme[i]), 1) - min(int(p.scheme[j]), 1)
	})
	p.known = append(slices.Clone(confirmations), p.member...)
	return p
}

// The type confirmed is a linked list of the proofs that were confirmed for a request. Each
// middleware adds the proofs that it has confirmed.
type confirmed struct {
	proof  Proof
	value  string
	method string // method, host and target are those of the request
	host   string
	target string
	next   *confirmed
}

// isFor reports whether the proof in c was confirmed for the method and the target of the request
// r. If c is nil, the result is true, because no proof was needed. A proof may be for one method
// and one target (RFC 9449, section 4.2). So the proof of one request proves nothing for a second
// request, also if code gives the second request the context and the credentials of the first.
func (c *confirmed) isFor(r *http.Request) bool {
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

// wasConfirmed reports whether an earlier guard has confirmed proof for the request r, its
// credentials, and the key that value names. This guard may belong to another middleware.
func wasConfirmed(r *http.Request, proof Proof, value string) bool {
	for c := range userContexts(r.Context()) {
		if !c.check.confirmed.isFor(r) || !bearer.Same(c.field, r.Header["Authorization"]) {
			continue
		}
		for one := c.check.confirmed; one != nil; one = one.next {
			if one.proof == proof && one.value == value {
				return true
			}
		}
	}
	return false
}

// isBound reports whether the token of u is bound to a key: whether it has a claim cnf.
func (u *User) isBound() bool { return u.set != nil && u.set.Has&claims.Cnf != 0 }

// isBoundLike reports whether the token of u is bound to the same key as the token of other. It
// also returns true if the token of u is not bound to a key.
func (u *User) isBoundLike(other *User) bool {
	if !u.isBound() {
		return true
	}
	var mine, others map[string]any
	return u.Claim("cnf", &mine) == nil && other.Claim("cnf", &others) == nil &&
		reflect.DeepEqual(mine, others)
}

// refuseUnbound returns the refusal of a token that is not bound to a key although the route
// requires a bound token.
func refuseUnbound(cause error) error {
	return &Error{
		Reason: ReasonConfirmation, Err: cause, bound: true,
		Params: map[string]string{
			"error_description": "This resource needs an access token that is bound to a key.",
		},
	}
}

// proofs.confirm checks the proofs of possession that a valid token needs, and returns them. It is
// called if the token is bound to a key, or if the token was sent with another scheme than Bearer.
// p may be nil.
func (p *proofs) confirm(r *http.Request, u *User, c *bearer.Credentials) (*confirmed, error) {
	if p == nil {
		return nil, refuse(ReasonConfirmation, errUnconfirmed)
	}
	if !u.isBound() {
		return nil, &Error{
			Reason: ReasonConfirmation, Err: p.errScheme(c),
			Params: map[string]string{"error_description": "The access token is not bound to a key."},
		}
	}
	values, err := p.valuesOf(u)
	if err != nil {
		return nil, err
	}
	// The variable ofScheme says that cnf has a member whose Proof requires the scheme of the
	// request.
	ofScheme := false
	for i, value := range values {
		if value == "" {
			continue
		}
		// Without this comparison, a client could send a stolen DPoP token as a Bearer token
		// and would then need no proof.
		if p.scheme[i] != 0 && p.scheme[i] != c.Scheme {
			return nil, refuse(ReasonConfirmation,
				fmt.Errorf("cnf.%s needs the scheme %s", p.member[i], p.names[p.scheme[i]]))
		}
		ofScheme = ofScheme || p.scheme[i] == c.Scheme
	}
	if c.Scheme != 0 && !ofScheme {
		return nil, refuse(ReasonConfirmation,
			fmt.Errorf("cnf has no member for the scheme %s", p.names[c.Scheme]))
	}
	var list *confirmed
	for _, i := range p.order {
		value := values[i]
		if value == "" {
			continue
		}
		// A proof that was confirmed is not checked again, because it may be valid only once.
		if !wasConfirmed(r, p.all[i], value) {
			if err := p.all[i].Confirm(r, c.Token(), value); err != nil {
				return nil, err
			}
		}
		list = &confirmed{p.all[i], value, r.Method, r.Host, targetOf(r), list}
	}
	return list, nil
}

// errScheme says that a token without cnf was sent with the scheme of a proof.
func (p *proofs) errScheme(c *bearer.Credentials) error {
	return fmt.Errorf("the scheme is %s, but the token has no cnf", p.names[c.Scheme])
}

// valuesOf looks up each Proof of the middleware in the token's cnf (RFC 7800, section 3.1). It
// returns, for each Proof, the value of its member, or "" if cnf has no such member. It returns a
// refusal if cnf contains no member of a Proof, or if cnf contains a known member for which there
// is no Proof. It ignores other members.
func (p *proofs) valuesOf(u *User) ([]string, error) {
	raw, _ := u.set.Find("cnf")
	values := make([]string, len(p.all))
	found := false
	err := claims.Object(raw, nil, func(name string, d *claims.Decoder) error {
		i := slices.Index(p.member, name)
		if i < 0 {
			// If the name of a member differs from a known name only in upper and lower case, the
			// issuer may have made a mistake. A token with such a member is refused too.
			for _, known := range p.known {
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
