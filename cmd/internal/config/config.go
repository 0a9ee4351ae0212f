// Package config reads the configuration of xenagate. The configuration consists of a YAML file and
// of the files with secrets that the YAML file names. If the YAML file lacks a key, an environment
// variable that [xenaauth.ConfigFromEnv] reads can set the value.
//
// A file with a mistake is refused as a whole. Unknown and repeated keys, keys without a value,
// anchors, aliases and tags are mistakes. The error lists all mistakes, each with the file and the
// line.
package config

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// Config is the content of a configuration file. Keys that the file lacks have their defaults.
// README.md of cmd/xenagate explains each key.
type Config struct {
	Listen         string        `yaml:"listen"`
	TLS            *TLS          `yaml:"tls"`
	Tokens         Tokens        `yaml:"tokens"`
	Possession     Possession    `yaml:"possession"`
	Challenge      Challenge     `yaml:"challenge"`
	RoutesNode     yaml.Node     `yaml:"routes"`
	RoutesFile     string        `yaml:"routes_file"`
	RoutesInterval time.Duration `yaml:"routes_interval"`
	Upstreams      []Upstream    `yaml:"upstreams"`
	Authorization  string        `yaml:"authorization"`
	TrustedProxies []string      `yaml:"trusted_proxies"`
	Limits         Limits        `yaml:"limits"`
	Timeouts       Timeouts      `yaml:"timeouts"`
	Identity       Identity      `yaml:"identity"`
	ForwardAuth    *ForwardAuth  `yaml:"forward_auth"`
	ExtAuthz       *ExtAuthz     `yaml:"ext_authz"`
	Logout         *Logout       `yaml:"logout"`
	Redis          *Redis        `yaml:"redis"`
	Admin          *Admin        `yaml:"admin"`
	Audit          *Audit        `yaml:"audit"`
	ProblemTypes   string        `yaml:"problem_types"`

	// Routes is the table of routes, or nil if it has mistakes.
	Routes *Routes `yaml:"-"`

	source *source
}

// Tokens says which access tokens are accepted.
type Tokens struct {
	Config        xenaauth.Config `yaml:"-"` // the keys in tokenKeys set this field
	Introspection *Introspection  `yaml:"introspection"`
}

// Introspection says how tokens are introspected at the issuer.
type Introspection struct {
	// introspectionKeys lists the keys of the file that set the fields of Config
	Config           xenaauth.Introspection `yaml:"-"`
	ClientSecretFile string                 `yaml:"client_secret_file"`
}

// Challenge contains the parameters realm and resource_metadata of the challenges in
// WWW-Authenticate.
type Challenge struct {
	Realm            string `yaml:"realm"`
	ResourceMetadata string `yaml:"resource_metadata"`
}

// Upstream is a service behind the gateway. Host and path say which requests the service gets.
type Upstream struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"`
	Host string `yaml:"host"`
	Path string `yaml:"path"`
}

// Limits are the largest sizes of the parts of a request.
type Limits struct {
	HeaderBytes int   `yaml:"header_bytes"`
	BodyBytes   int64 `yaml:"body_bytes"`
}

// Timeouts limit the time for the parts of a request, and for the drain.
type Timeouts struct {
	Header         time.Duration `yaml:"header"`
	Read           time.Duration `yaml:"read"`
	Write          time.Duration `yaml:"write"`
	Idle           time.Duration `yaml:"idle"`
	Dial           time.Duration `yaml:"dial"`
	ResponseHeader time.Duration `yaml:"response_header"`
	DrainDelay     time.Duration `yaml:"drain_delay"`
	Drain          time.Duration `yaml:"drain"`
}

// Identity says how the gateway tells services who the user is.
type Identity struct {
	Config    identity.Config `yaml:"-"` // the keys in identityKeys set this field
	Assertion *Assertion      `yaml:"assertion"`
}

// Assertion configures the signed token for services.
type Assertion struct {
	Config   identity.AssertionConfig `yaml:"-"` // the keys in assertionKeys set this field
	KeyFiles []string                 `yaml:"key_files"`
	JWKSPath string                   `yaml:"jwks_path"`
}

// ForwardAuth configures the listener for proxies that call the gateway over HTTP.
type ForwardAuth struct {
	Listen    string     `yaml:"listen"`
	Endpoints []Endpoint `yaml:"endpoints"`
}

// Endpoint is the path that proxies of one kind, such as nginx, call.
type Endpoint struct {
	Path         string   `yaml:"path"`
	Dialect      string   `yaml:"dialect"`
	TrustedPeers []string `yaml:"trusted_peers"`
}

// ExtAuthz configures the listener for Envoy, which calls the gateway over gRPC.
type ExtAuthz struct {
	Listen       string   `yaml:"listen"`
	TrustedPeers []string `yaml:"trusted_peers"`
}

// Logout configures the endpoint for the issuer's logout tokens.
type Logout struct {
	Path      string   `yaml:"path"`
	ClientIDs []string `yaml:"client_ids"`
}

// Redis configures the Redis through which the gateways of a fleet share responses and revocations.
type Redis struct {
	Addresses    []string      `yaml:"addresses"`
	MasterName   string        `yaml:"master_name"`
	Username     string        `yaml:"username"`
	PasswordFile string        `yaml:"password_file"`
	TLS          bool          `yaml:"tls"`
	SecretFiles  []string      `yaml:"secret_files"`
	Prefix       string        `yaml:"prefix"`
	Timeout      time.Duration `yaml:"timeout"`
}

// Admin configures the listener for probes, metrics and operators.
type Admin struct {
	Listen           string `yaml:"listen"`
	RevokeSecretFile string `yaml:"revoke_secret_file"`
}
