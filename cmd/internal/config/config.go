// Package config reads the configuration of xenagate. The configuration consists of a YAML file and
// of the files that the YAML file names, for example files with secrets. If the YAML file lacks a
// key in the section tokens, an environment variable that [xenaauth.ConfigFromEnv] reads can set
// the value. XENA_DPOP and XENA_PUBLIC_ORIGINS can set two keys in the section possession.dpop.
//
// A file with a mistake is refused as a whole. Unknown and repeated keys, keys without a value,
// anchors, aliases and tags are mistakes. The error lists all mistakes. It contains the file and
// the line of each mistake in a key of the file. If the YAML can't be parsed, the error contains
// only this mistake.
package config

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// Config is the content of a configuration file. If the file lacks a key, the field for this key
// contains the default. README.md of cmd/xenagate explains each key.
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

	// Routes is the table of routes. It is nil if the table has mistakes.
	Routes *Routes `yaml:"-"`

	source *sourceFile
}

// Tokens is the section tokens of the configuration file. It says which access tokens are accepted.
type Tokens struct {
	Config        xenaauth.Config `yaml:"-"` // the keys that tokenKeys lists set this field
	Introspection *Introspection  `yaml:"introspection"`
}

// Introspection is the section tokens.introspection of the configuration file. It says how the
// gateway asks the issuer about tokens.
type Introspection struct {
	// Config has the values of the keys that introspectionKeys lists.
	Config           xenaauth.Introspection `yaml:"-"`
	ClientSecretFile string                 `yaml:"client_secret_file"`
}

// Challenge contains the parameters realm and resource_metadata that the gateway writes into the
// header field WWW-Authenticate of a refusal.
type Challenge struct {
	Realm            string `yaml:"realm"`
	ResourceMetadata string `yaml:"resource_metadata"`
}

// Upstream is a service behind the gateway. Its host and path in the configuration file say which
// requests the service gets.
type Upstream struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"`
	Host string `yaml:"host"`
	Path string `yaml:"path"`
}

// Limits are the largest sizes, in bytes, of the header and of the body of a request. If BodyBytes
// is 0, the body has no limit.
type Limits struct {
	HeaderBytes int   `yaml:"header_bytes"`
	BodyBytes   int64 `yaml:"body_bytes"`
}

// Timeouts say how long the gateway waits for a client or an upstream, at most. DrainDelay and
// Drain are for its shutdown.
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

// Identity is the section identity of the configuration file. It says how the gateway tells
// services who the user of a request is.
type Identity struct {
	Config    identity.Config `yaml:"-"` // the keys that identityKeys lists set this field
	Assertion *Assertion      `yaml:"assertion"`
}

// Assertion configures the assertion, a signed token with which the gateway tells services who the
// user is.
type Assertion struct {
	Config   identity.AssertionConfig `yaml:"-"` // the keys that assertionKeys lists set this field
	KeyFiles []string                 `yaml:"key_files"`
	JWKSPath string                   `yaml:"jwks_path"`
}

// ForwardAuth configures the listener for proxies that ask the gateway over HTTP whether a request
// may pass.
type ForwardAuth struct {
	Listen    string     `yaml:"listen"`
	Endpoints []Endpoint `yaml:"endpoints"`
}

// Endpoint is an endpoint of the gateway for one kind of proxy, such as nginx. A proxy calls it to
// ask whether a request may pass.
type Endpoint struct {
	Path         string   `yaml:"path"`
	Dialect      string   `yaml:"dialect"`
	TrustedPeers []string `yaml:"trusted_peers"`
}

// ExtAuthz configures the listener for Envoy, which asks the gateway over gRPC whether a request
// may pass.
type ExtAuthz struct {
	Listen       string   `yaml:"listen"`
	TrustedPeers []string `yaml:"trusted_peers"`
}

// Logout configures the endpoint of the gateway to which the issuer sends logout tokens.
type Logout struct {
	Path      string   `yaml:"path"`
	ClientIDs []string `yaml:"client_ids"`
}

// Redis configures the Redis servers through which several gateways (a fleet) share introspection
// responses, revocations, and the DPoP proofs and logout tokens that were already used.
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

// Admin configures the gateway's listener for readiness probes, metrics and operators.
type Admin struct {
	Listen           string `yaml:"listen"`
	RevokeSecretFile string `yaml:"revoke_secret_file"`
}
