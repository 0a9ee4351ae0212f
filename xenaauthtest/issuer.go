// Package xenaauthtest is a test kit for resource servers: an identity server
// that runs inside the test process and speaks IdentityServer's dialect, as
// the login server of Xena does.
//
// [NewIssuer] makes an [Issuer] that is reached through its [Issuer.Client]
// only. It has no listener and starts no goroutine, so it can be used inside a
// testing/synctest bubble. [StartIssuer] makes one that listens on a loopback
// port as well, for tests that cross a process or a real connection:
//
//	issuer := xenaauthtest.NewIssuer(nil)
//	cfg := issuer.Config()                       // for the code under test
//	token := issuer.JWT(xenaauthtest.Token{})    // a token it accepts
//	issuer.Down()                                // now the issuer is unreachable
//
// Nothing here is safe for production: secrets are compared carelessly and
// the introspection endpoint believes what the issuer itself has minted.
package xenaauthtest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
)

// Version selects whose tokens and answers an [Issuer] makes.
type Version int

// The generations of IdentityServer that differ on the wire.
const (
	IdentityServer4   Version = iota // 4.x, the zero value
	IdentityServer3                  // the .NET Framework one
	IdentityServer4v1                // 1.x to 2.5
	IdentityServer4v3                // 3.0 and 3.1
	Duende                           // Duende IdentityServer, 5 and later
)

// String returns the product's name and, where it matters, its version.
func (v Version) String() string {
	switch v {
	case IdentityServer4:
		return "IdentityServer4 4.x"
	case IdentityServer3:
		return "IdentityServer3"
	case IdentityServer4v1:
		return "IdentityServer4 1.x"
	case IdentityServer4v3:
		return "IdentityServer4 3.x"
	case Duende:
		return "Duende IdentityServer"
	default:
		return fmt.Sprintf("Version(%d)", int(v))
	}
}

// IssuerOptions says what kind of identity server an [Issuer] is. The zero
// value, like a nil pointer, is IdentityServer4 4.x in the place of Xena's
// production issuer, signing with RS256.
type IssuerOptions struct {
	// URL is the issuer identifier. It may have a path. Empty is
	// [xenaauth.IssuerProduction], for [StartIssuer] the listener's URL.
	URL string

	// Version selects the dialect. The zero value is [IdentityServer4].
	Version Version

	// Algorithm is the JWS algorithm that tokens are signed with: RS256,
	// RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA or
	// Ed25519, which is EdDSA by its name of RFC 9864. Empty is RS256.
	Algorithm string

	// API is the name of the API resource: the audience of tokens and the
	// client id at the introspection endpoint. Empty is "testapi".
	API string

	// APISecret is the API's secret at the introspection endpoint. Empty is
	// a random one, with characters that clients must encode.
	APISecret string

	// ScopeOnly selects the model without API resources, in which tokens
	// carry no aud at all.
	ScopeOnly bool

	// ScopesAsString writes scope as one space-delimited string instead of
	// an array, as EmitScopesAsSpaceDelimitedStringInJwt does.
	ScopesAsString bool

	// OAuthMetadataOnly publishes metadata as RFC 8414 says, under
	// /.well-known/oauth-authorization-server before the issuer's path, and
	// answers 404 where OpenID Connect Discovery would look.
	OAuthMetadataOnly bool
}

// Issuer is an identity server. All methods are safe for concurrent use.
type Issuer struct {
	id       string     // the issuer identifier, exactly as configured
	addr     string     // base URL of the listener, "" without one
	base     string     // what the endpoints' URLs begin with; no slash at the end
	resource string     // the audience that stands for every API of the issuer
	servers  []*url.URL // where Client reaches the issuer
	opts     IssuerOptions
	paths    endpointPaths
	keys     keyRing

	server  *http.Server
	serving sync.WaitGroup

	mu           sync.Mutex
	minted       registry
	closed       bool
	down         bool
	slow         time.Duration
	faults       map[Endpoint]Fault
	calls        map[Endpoint]int
	lastHeader   http.Header
	lastForm     url.Values
	metadata     []byte // nil unless set by hand
	keySet       []byte // likewise
	cacheControl string
}

// NewIssuer returns an issuer that lives in memory only: it opens no listener,
// starts no goroutine and is reached through [Issuer.Client]. opts may be nil.
// It panics if opts names an unknown algorithm or version, or if its URL is not
// an absolute http or https URL.
func NewIssuer(opts *IssuerOptions) *Issuer {
	return newIssuer(opts, "")
}

// StartIssuer is like [NewIssuer] and also listens on a free loopback port
// until [Issuer.Close]. Unless opts.URL is set, the issuer identifier is the
// listener's URL, http://127.0.0.1:port; if it is set, the endpoints in the
// metadata still are the listener's. It panics if there is no port to listen on.
func StartIssuer(opts *IssuerOptions) *Issuer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("xenaauthtest: no loopback port to listen on: " + err.Error())
	}
	i := newIssuer(opts, "http://"+listener.Addr().String())
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second}
	i.serving.Go(func() {
		// Serve always ends with an error; after Close that is no news, and
		// before it every client of the issuer will tell.
		_ = i.server.Serve(listener)
	})
	return i
}

func newIssuer(opts *IssuerOptions, addr string) *Issuer {
	i := &Issuer{
		addr:   addr,
		faults: make(map[Endpoint]Fault),
		calls:  make(map[Endpoint]int),
	}
	if opts != nil {
		i.opts = *opts
	}
	if i.opts.Version < IdentityServer4 || i.opts.Version > Duende {
		panic("xenaauthtest: unknown " + i.opts.Version.String())
	}
	if i.opts.API == "" {
		i.opts.API = "testapi"
	}
	if i.opts.APISecret == "" {
		i.opts.APISecret = base64.StdEncoding.EncodeToString(randomBytes(32))
	}
	i.setURL()
	i.keys = newKeyRing(i.opts.Version, i.opts.Algorithm)
	return i
}

// setURL derives everything that depends on the issuer identifier.
func (i *Issuer) setURL() {
	i.id = i.opts.URL
	if i.id == "" {
		i.id = i.addr
	}
	if i.id == "" {
		i.id = xenaauth.IssuerProduction
	}
	u, err := url.Parse(i.id)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		panic(fmt.Sprintf("xenaauthtest: %q is no issuer URL", i.id))
	}
	i.servers = []*url.URL{u}
	// An identifier may end in a slash; the endpoints have one slash all the
	// same, and so has the audience that IdentityServer derives from it.
	path := strings.TrimRight(u.Path, "/")
	origin := u.Scheme + "://" + u.Host
	i.resource = origin + path + "/resources"
	if i.addr != "" {
		origin = i.addr
		listener, err := url.Parse(i.addr)
		if err != nil {
			panic("xenaauthtest: " + err.Error())
		}
		i.servers = append(i.servers, listener)
	}
	i.base = origin + path
	i.paths = newEndpointPaths(path, i.opts.Version)
}

// Close stops the listener, if there is one, and drops its connections. From
// then on an issuer in memory refuses connections too. Closing again does
// nothing.
func (i *Issuer) Close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	if i.server != nil {
		_ = i.server.Close()
		i.serving.Wait()
	}
}

// URL returns the issuer identifier.
func (i *Issuer) URL() string { return i.id }

// Addr returns the base URL of the listener, without a slash at the end; it is
// empty for an issuer in memory.
func (i *Issuer) Addr() string { return i.addr }

// API returns the name of the API resource.
func (i *Issuer) API() string { return i.opts.API }

// APISecret returns the API's secret at the introspection endpoint.
func (i *Issuer) APISecret() string { return i.opts.APISecret }

// Config returns a configuration that trusts this issuer for the API, and so
// accepts its access tokens: the audience is the API, with IdentityServer3 also
// the issuer's URL and "/resources"; with ScopeOnly, any is allowed. Its
// HTTPClient is [Issuer.Client], or nil where the issuer identifier is the
// listener's own URL, which any client reaches.
func (i *Issuer) Config() xenaauth.Config {
	cfg := xenaauth.Config{Issuer: i.id}
	if i.opts.ScopeOnly {
		cfg.AllowAnyAudience = true
	} else {
		cfg.Audiences = []string{i.opts.API}
		if i.opts.Version == IdentityServer3 {
			// Its tokens name no API, only the issuer's resources at large.
			cfg.Audiences = append(cfg.Audiences, i.resource)
		}
	}
	if i.addr == "" || i.opts.URL != "" {
		cfg.HTTPClient = i.Client()
	}
	return cfg
}

// HybridConfig returns [Issuer.Config] with introspection, authenticated as
// the API, so that opaque tokens are accepted beside JWTs.
func (i *Issuer) HybridConfig() xenaauth.Config {
	cfg := i.Config()
	cfg.Introspection = &xenaauth.Introspection{
		ClientID:     i.opts.API,
		ClientSecret: i.opts.APISecret,
	}
	return cfg
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return b
}
