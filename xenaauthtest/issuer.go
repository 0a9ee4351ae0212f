// Package xenaauthtest is a test kit for resource servers. It contains an identity server that runs
// in the test process. Its tokens, metadata and introspection responses have the form that the
// product IdentityServer writes. The identity server of Xena uses this product.
//
// [NewIssuer] returns an [Issuer] that a program calls with [Issuer.Client], or as an
// [http.Handler]. It has no listener and starts no goroutine, so a testing/synctest bubble can use
// it. [StartIssuer] returns an Issuer that also listens on a loopback port, for tests with several
// processes or real connections:
//
//	issuer := xenaauthtest.NewIssuer(nil)
//	cfg := issuer.Config()                       // for the code under test
//	token := issuer.JWT(xenaauthtest.Token{})    // a token that the code under test accepts
//	issuer.Down()                                // now the issuer is unreachable
//
// Nothing here is safe for production. For example, secrets are not compared in constant time.
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

// Version selects the product whose tokens and responses an [Issuer] imitates.
type Version int

// These constants are the products that an [Issuer] can imitate. Each product writes tokens or
// responses in another form.
const (
	// IdentityServer4 means the product IdentityServer4, version 4.x. This is the default.
	IdentityServer4 Version = iota
	// IdentityServer3 means the product IdentityServer3, for the .NET Framework.
	IdentityServer3
	// IdentityServer4v1 means the product IdentityServer4, versions 1.x to 2.5.
	IdentityServer4v1
	// IdentityServer4v3 means the product IdentityServer4, versions 3.0 and 3.1.
	IdentityServer4v3
	// Duende means the product Duende IdentityServer, version 5 and later.
	Duende
)

// String returns the name of the product, and adds the version if several versions have the same
// name.
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

// IssuerOptions configures an [Issuer]. The zero value and a nil pointer mean: the product is
// IdentityServer4 4.x, the URL is the URL of Xena's production issuer (or of the listener, if
// [StartIssuer] makes the issuer), and tokens are signed with RS256.
type IssuerOptions struct {
	// URL is the issuer identifier. It may have a path. "" means [xenaauth.IssuerProduction], or
	// the URL of the listener if [StartIssuer] makes the issuer.
	URL string

	// Version selects the product. The zero value is [IdentityServer4].
	Version Version

	// Algorithm is the JWS algorithm of the tokens: RS256, RS384, RS512, PS256, PS384, PS512,
	// ES256, ES384, ES512, EdDSA or Ed25519. (Ed25519 is the name of EdDSA in RFC 9864.) "" means
	// RS256.
	Algorithm string

	// API is the name of the API resource: the audience of tokens, and the client id of the API at
	// the introspection endpoint. "" means "testapi".
	API string

	// APISecret is the secret of the API at the introspection endpoint. "" means a random secret.
	// The random secret contains characters that clients must encode.
	APISecret string

	// ScopeOnly makes an issuer that has scopes and no API resources. The tokens of this issuer
	// have no aud.
	ScopeOnly bool

	// ScopesAsString writes scope as one space-delimited string instead of an array, like the
	// setting EmitScopesAsSpaceDelimitedStringInJwt of IdentityServer.
	ScopesAsString bool

	// OAuthMetadataOnly publishes the metadata only at the URL of RFC 8414, with
	// /.well-known/oauth-authorization-server before the path of the issuer. The URL of OpenID
	// Connect Discovery gets 404.
	OAuthMetadataOnly bool
}

// Issuer is an identity server for tests. All methods are safe for concurrent use.
type Issuer struct {
	id   string // id is the issuer identifier, exactly as configured
	addr string // addr is the base URL of the listener; "" without a listener
	// base is the beginning of the URL of each endpoint in the metadata, without a slash at the
	// end.
	base string
	// resource is the audience that most versions of IdentityServer write into every token. It is
	// the same audience for all APIs of the issuer.
	resource string
	servers  []*url.URL // servers are the addresses at which Client reaches the issuer
	opts     IssuerOptions
	paths    endpointPaths
	keys     keyRing

	server  *http.Server
	serving sync.WaitGroup

	mu         sync.Mutex
	minted     registry
	closed     bool
	down       bool
	slow       time.Duration
	faults     map[Endpoint]Fault
	calls      map[Endpoint]int
	lastHeader http.Header
	lastForm   url.Values
	// If SetMetadata was called, metadata is what the issuer serves instead of its real metadata.
	metadata     []byte
	keySet       []byte // keySet is set by SetJWKS, and is served instead of the real key set
	cacheControl string
}

// NewIssuer returns an issuer in memory. It opens no listener and starts no goroutine.
// [Issuer.Client] and [Issuer.ServeHTTP] call it directly. opts may be nil. NewIssuer panics if
// opts has an unknown algorithm or version, or if opts.URL is not an absolute http or https URL.
//
// Each issuer has keys of its own. But all issuers of NewIssuer have the same URL, unless opts.URL
// is set. A validator that uses one issuer refuses the tokens of another issuer with
// [xenaauth.ReasonUnknownKey]. So a test uses one issuer for its validator and its tokens.
func NewIssuer(opts *IssuerOptions) *Issuer {
	return newIssuer(opts, "")
}

// StartIssuer returns an issuer that also listens on a free loopback port until [Issuer.Close]. In
// all other respects, StartIssuer works like [NewIssuer]. If opts.URL is "", the issuer identifier
// is the URL of the listener, http://127.0.0.1:port. The URLs of the endpoints in the metadata are
// always URLs of the listener. StartIssuer panics if no port is free.
func StartIssuer(opts *IssuerOptions) *Issuer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("xenaauthtest: no loopback port to listen on: " + err.Error())
	}
	i := newIssuer(opts, "http://"+listener.Addr().String())
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second}
	i.serving.Go(func() {
		// Serve always returns an error. After Close, the error is expected. An error before Close
		// need not be reported: the issuer then does not respond, so the requests of the tests
		// fail.
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

// Issuer.setURL sets the issuer identifier, and each field of the Issuer whose value depends on it.
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
	// If the issuer identifier ends in a slash, IdentityServer writes no second slash into the URLs
	// of its endpoints, nor into the audience that is derived from the identifier.
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

// Close stops the listener, if there is one, and closes its connections. After Close, an issuer in
// memory refuses connections too. A second Close does nothing.
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

// Addr returns the base URL of the listener, without a slash at the end. It is "" for an issuer in
// memory.
func (i *Issuer) Addr() string { return i.addr }

// API returns the name of the API resource.
func (i *Issuer) API() string { return i.opts.API }

// APISecret returns the API's secret at the introspection endpoint.
func (i *Issuer) APISecret() string { return i.opts.APISecret }

// Config returns a configuration that accepts the access tokens of this issuer for the API. The
// audience is the API. For IdentityServer3, the URL of the issuer with "/resources" is an audience
// too. With ScopeOnly, any audience is allowed. HTTPClient is [Issuer.Client]. But HTTPClient is
// nil if the issuer identifier is the URL of the listener, because every client reaches the
// listener.
func (i *Issuer) Config() xenaauth.Config {
	cfg := xenaauth.Config{Issuer: i.id}
	if i.opts.ScopeOnly {
		cfg.AllowAnyAudience = true
	} else {
		cfg.Audiences = []string{i.opts.API}
		if i.opts.Version == IdentityServer3 {
			// The tokens of IdentityServer3 have one audience for all APIs of the issuer.
			cfg.Audiences = append(cfg.Audiences, i.resource)
		}
	}
	if i.addr == "" || i.opts.URL != "" {
		cfg.HTTPClient = i.Client()
	}
	return cfg
}

// HybridConfig returns [Issuer.Config] with introspection, so that a Validator accepts JWTs and
// opaque tokens. The Validator calls the introspection endpoint with the name and the secret of the
// API.
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
	_, _ = rand.Read(b) // Read never returns an error: if it fails, the program ends
	return b
}
