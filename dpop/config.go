package dpop

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/replay"
)

// Config says which proofs a [Proof] accepts. PublicOrigins is required. The zero value of every
// other field is its default.
type Config struct {
	// PublicOrigins are the origins of this service, as its clients write them. An origin is a
	// scheme and a host, for example "https://api.example". A port that is not the default port of
	// the scheme follows the host. The claim htu of a proof must name one of the origins. The
	// library does not learn the origin from the request, because fields such as X-Forwarded-Host
	// may come from the client.
	//
	// If the host of the request is the host of one of the origins, htu must name this host. So a
	// proof for one host is not accepted at another host of the same service. If several origins
	// have this host, and the request names the port of one of them, htu must name this port too.
	// If the request names no host or any other host, for example the internal name that a proxy
	// uses, htu may name any of the origins. A request is refused if its host is neither a plain
	// name nor an address.
	PublicOrigins []string
	// PathPrefix is the text that a proxy removes from the beginning of the path, before it passes
	// the request on. For example "/api", if clients use https://example.com/api/orders and the
	// service gets /orders. The path of htu must be PathPrefix followed by the path of the request.
	// PathPrefix has no slash at the end. "" means that no proxy changes the path.
	PathPrefix string
	// Replay records which proofs were used. If nil, New makes a [replay.Local] store for this
	// Proof, which is enough for a service with one instance. Several instances need a store that
	// they share, for example that of adapters/rediscache: without it, a proof can be used once at
	// each instance. Use one Proof for all middlewares of a service: a second Proof with the same
	// store would refuse what the first has accepted.
	Replay replay.Store
	// ReplayCheckedElsewhere turns the replay check of this Proof off: it accepts a proof more than
	// once. It is for a service behind a gateway that has already checked that the proof is used
	// for the first time. If the service checked it again, it would refuse the proof, because the
	// gateway has recorded it. The risk: a client that reaches the service without the gateway can
	// use a proof many times. ReplayCheckedElsewhere can't be combined with Replay.
	ReplayCheckedElsewhere bool
	// NonceSecrets turn nonces on (RFC 9449, section 9): each proof must have a recent nonce that
	// this service has issued for the key of the proof. So an attacker can't make a proof today for
	// a use in the far future. The service does not store nonces. All instances of the service need
	// the same secrets. New nonces are made with the first secret, and nonces that were made with
	// any secret of the list are accepted. The list has at most 4 secrets, and a secret has at
	// least 32 bytes. A secret may also be used for another purpose, because nonces are made with a
	// key that is derived from it.
	//
	// To replace a secret, first add the new secret at the end of the list in all instances, then
	// move it to the front, and remove the old secret after NonceLifetime. If NonceSecrets is nil,
	// nonces are off.
	NonceSecrets [][]byte
	// NonceLifetime is the longest time during which a nonce is accepted. Every nonce is accepted
	// for at least half of this time. 0 means 5 minutes. Other values must be between 10 seconds
	// and one hour.
	NonceLifetime time.Duration
	// Window is the largest accepted age of a proof: the time since the iat of the proof. ClockSkew
	// is added to Window. 0 means one minute. Other values must be between 1 second and 10 minutes.
	Window time.Duration
	// ClockSkew is the largest accepted difference between the clock of the client and the clock of
	// this machine. 0 means 30 seconds. Other values must be between 1 second and 2 minutes.
	ClockSkew time.Duration
	// Algorithms are the accepted signature algorithms. The challenge of a refusal lists them. If
	// nil, all supported algorithms are accepted: ES256 Ed25519 EdDSA ES384 PS256 PS384 PS512 RS256
	// RS384 RS512. EdDSA and Ed25519 (RFC 9864) are two names of one algorithm: if the list
	// contains one of these names, proofs with either name are accepted.
	Algorithms []string
}

// supportedAlgorithms are the signature algorithms that this package supports, the preferred ones
// first.
var supportedAlgorithms = []string{
	"ES256", "Ed25519", "EdDSA", "ES384", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512",
}

const (
	minSecret   = 32
	maxSecrets  = 4
	maxWindow   = 10 * time.Minute
	maxSkew     = 2 * time.Minute
	minLifetime = 10 * time.Second
	maxLifetime = time.Hour
)

// Proof checks DPoP proofs. It implements [xenaauth.Proof]. Many goroutines may use it at the same
// time.
type Proof struct {
	origins []origin
	prefix  string
	// store records which proofs were used. It is nil if ReplayCheckedElsewhere is set.
	store      replay.Store
	nonceMaker *nonceMaker // nonceMaker is nil if nonces are off
	window     time.Duration
	skew       time.Duration
	algorithms []string
	// verifySignature is the function that verifies the signature of a DPoP proof. Tests replace it
	// by a function that counts the calls.
	verifySignature func(*jose.Embedded, jose.Token) error
}

var _ xenaauth.Proof = (*Proof)(nil)

// New returns a Proof. The error lists all mistakes in c, joined by [errors.Join], and contains no
// secret. New does no I/O.
func New(c Config) (*Proof, error) {
	var errs []error
	addMistake := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("dpop: Config.%s %s", field, fmt.Sprintf(format, args...)))
	}
	p := &Proof{
		prefix: c.PathPrefix, store: c.Replay, window: c.Window, skew: c.ClockSkew,
		algorithms: slices.Clone(c.Algorithms), verifySignature: (*jose.Embedded).Verify,
	}
	if len(c.PublicOrigins) == 0 {
		addMistake("PublicOrigins", "is empty: list the origins that clients use, such as https://api.example")
	}
	for _, text := range c.PublicOrigins {
		o, err := parseOrigin(text)
		if err != nil {
			addMistake("PublicOrigins", "holds %q, which is not an origin such as https://api.example: %v", text, err)
		}
		p.origins = append(p.origins, o)
	}
	if prefix, err := normalPath(p.prefix); err != nil || p.prefix != "" && prefix != p.prefix || strings.HasSuffix(p.prefix, "/") {
		addMistake("PathPrefix", "is %q, which is not a path in normal form without a slash at the end", p.prefix)
	}
	switch {
	case c.ReplayCheckedElsewhere && c.Replay != nil:
		addMistake("Replay", "and ReplayCheckedElsewhere exclude each other")
	case c.Replay == nil && !c.ReplayCheckedElsewhere:
		p.store = replay.NewLocal(replay.Options{})
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(supportedAlgorithms, a) {
			addMistake("Algorithms", "holds %q, which is not supported", a)
		}
	}
	if c.Algorithms == nil {
		p.algorithms = slices.Clone(supportedAlgorithms)
	} else if len(c.Algorithms) == 0 {
		addMistake("Algorithms", "is an empty list: nil is the default")
	}
	if p.window == 0 {
		p.window = time.Minute
	}
	if p.skew == 0 {
		p.skew = 30 * time.Second
	}
	if p.window < time.Second || p.window > maxWindow {
		addMistake("Window", "is not within 1 second and %v", maxWindow)
	}
	if p.skew < time.Second || p.skew > maxSkew {
		addMistake("ClockSkew", "is not within 1 second and %v", maxSkew)
	}
	p.nonceMaker = nonceMakerFor(c, addMistake)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// nonceMakerFor returns the nonceMaker with the secrets of the Config c, or nil if nonces are off.
// It calls addMistake for each mistake in c.
func nonceMakerFor(c Config, addMistake func(field, format string, args ...any)) *nonceMaker {
	if c.NonceSecrets == nil {
		if c.NonceLifetime != 0 {
			addMistake("NonceLifetime", "needs NonceSecrets")
		}
		return nil
	}
	if n := len(c.NonceSecrets); n == 0 || n > maxSecrets {
		addMistake("NonceSecrets", "has %d secrets: it must have 1 to %d, and nil turns nonces off", n, maxSecrets)
	}
	for i, secret := range c.NonceSecrets {
		if len(secret) < minSecret {
			addMistake("NonceSecrets", "has a secret of fewer than %d bytes: number %d", minSecret, i+1)
		}
	}
	lifetime := c.NonceLifetime
	if lifetime == 0 {
		lifetime = 5 * time.Minute
	}
	if lifetime < minLifetime || lifetime > maxLifetime {
		addMistake("NonceLifetime", "is not within %v and %v", minLifetime, maxLifetime)
		return nil
	}
	return newNonceMaker(c.NonceSecrets, lifetime)
}

// Scheme returns "DPoP", the authentication scheme of tokens that need a DPoP proof.
func (p *Proof) Scheme() string { return "DPoP" }

// Member returns "jkt", the name of a member of the claim cnf. In the access token, this member
// contains the thumbprint of the client's key (RFC 9449, section 6.1).
func (p *Proof) Member() string { return "jkt" }

// Params returns algs, the list of the accepted algorithms (RFC 9449, section 7.1). The values are
// separated by spaces.
func (p *Proof) Params() map[string]string {
	return map[string]string{"algs": strings.Join(p.algorithms, " ")}
}

// String returns the public origins of the Config, and no secret.
func (p *Proof) String() string {
	return fmt.Sprintf("DPoP proofs for %v", p.origins)
}

// GoString returns the same text as String, so that %#v shows no secret.
func (p *Proof) GoString() string { return p.String() }
