// Package config reads the configuration of xenagate: one YAML file, the files with secrets that it names, and the
// environment variables of [xenaauth.ConfigFromEnv] for what it leaves out.
//
// A file is taken as a whole or not at all. Unknown and repeated keys, keys without a value, anchors, aliases and tags
// are errors. All mistakes are told at once, each with file and line.
package config

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is a configuration file, with defaults filled in. README.md explains each key.
type Config struct {
	Listen         string        `yaml:"listen"`
	Tokens         Tokens        `yaml:"tokens"`
	Challenge      Challenge     `yaml:"challenge"`
	Routes         yaml.Node     `yaml:"routes"`
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

	source *source
}

// Tokens says which access tokens are accepted: the fields of [xenaauth.Config].
type Tokens struct {
	Issuer               string         `yaml:"issuer"`
	Audiences            []string       `yaml:"audiences"`
	AllowAnyAudience     bool           `yaml:"allow_any_audience"`
	MetadataURL          string         `yaml:"metadata_url"`
	JWKSURL              string         `yaml:"jwks_url"`
	Profile              string         `yaml:"profile"`
	Algorithms           []string       `yaml:"algorithms"`
	ClockSkew            time.Duration  `yaml:"clock_skew"`
	MaxTokenLifetime     time.Duration  `yaml:"max_token_lifetime"`
	AllowAnyLifetime     bool           `yaml:"allow_any_lifetime"`
	MaxTokenLength       int            `yaml:"max_token_length"`
	ClientClaims         []string       `yaml:"client_claims"`
	ScopeClaims          []string       `yaml:"scope_claims"`
	AllowMissingClientID bool           `yaml:"allow_missing_client_id"`
	AllowClientAudience  bool           `yaml:"allow_client_audience"`
	AllowNonce           bool           `yaml:"allow_nonce"`
	AllowClientTokens    bool           `yaml:"allow_client_tokens"`
	AlwaysIntrospect     bool           `yaml:"always_introspect"`
	RequireActive        bool           `yaml:"require_active"`
	MaxKeyAge            time.Duration  `yaml:"max_key_age"`
	CacheSize            int            `yaml:"cache_size"`
	CacheBytes           int            `yaml:"cache_bytes"`
	AllowHTTP            bool           `yaml:"allow_http"`
	Introspection        *Introspection `yaml:"introspection"`
}

// Introspection says how the issuer is asked about tokens: the fields of [xenaauth.Introspection].
type Introspection struct {
	Endpoint         string        `yaml:"endpoint"`
	ClientID         string        `yaml:"client_id"`
	ClientSecretFile string        `yaml:"client_secret_file"`
	Auth             string        `yaml:"auth"`
	CacheTTL         time.Duration `yaml:"cache_ttl"`
	NegativeTTL      time.Duration `yaml:"negative_ttl"`
	MaxTokenLength   int           `yaml:"max_token_length"`
	CacheSize        int           `yaml:"cache_size"`
	CacheBytes       int           `yaml:"cache_bytes"`
	Timeout          time.Duration `yaml:"timeout"`
	MaxConcurrent    int           `yaml:"max_concurrent"`
	StaleIfError     time.Duration `yaml:"stale_if_error"`
}

// Challenge is what refusals tell clients.
type Challenge struct {
	Realm            string `yaml:"realm"`
	ResourceMetadata string `yaml:"resource_metadata"`
}

// Upstream is a service behind the gateway, and which requests are its own.
type Upstream struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"`
	Host string `yaml:"host"`
	Path string `yaml:"path"`
}

// Limits bound what a client may send.
type Limits struct {
	HeaderBytes int   `yaml:"header_bytes"`
	BodyBytes   int64 `yaml:"body_bytes"`
}

// Timeouts bound how long things take.
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

// Identity says how services are told who the user is: the fields of identity.Config.
type Identity struct {
	UserHeader   string            `yaml:"user_header"`
	ClientHeader string            `yaml:"client_header"`
	ScopesHeader string            `yaml:"scopes_header"`
	ClaimHeaders map[string]string `yaml:"claim_headers"`
	MaxBytes     int               `yaml:"max_bytes"`
	Assertion    *Assertion        `yaml:"assertion"`
}

// Assertion is about the signed token for services: the fields of identity.AssertionConfig.
type Assertion struct {
	Header      string        `yaml:"header"`
	Issuer      string        `yaml:"issuer"`
	Audience    string        `yaml:"audience"`
	Lifetime    time.Duration `yaml:"lifetime"`
	KeyFiles    []string      `yaml:"key_files"`
	Claims      []string      `yaml:"claims"`
	WithHeaders bool          `yaml:"with_headers"`
	JWKSPath    string        `yaml:"jwks_path"`
}

// ForwardAuth is the listener for proxies that ask by HTTP.
type ForwardAuth struct {
	Listen    string     `yaml:"listen"`
	Endpoints []Endpoint `yaml:"endpoints"`
}

// Endpoint is where the proxies of one kind ask.
type Endpoint struct {
	Path         string   `yaml:"path"`
	Dialect      string   `yaml:"dialect"`
	TrustedPeers []string `yaml:"trusted_peers"`
}

// ExtAuthz is the listener for Envoys that ask by gRPC.
type ExtAuthz struct {
	Listen       string   `yaml:"listen"`
	TrustedPeers []string `yaml:"trusted_peers"`
}

// Logout is where the issuer sends its logout tokens.
type Logout struct {
	Path      string   `yaml:"path"`
	ClientIDs []string `yaml:"client_ids"`
}

// Redis is what the gateways of a fleet share.
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

// Admin is the listener for probes, metrics and operators.
type Admin struct {
	Listen           string `yaml:"listen"`
	RevokeSecretFile string `yaml:"revoke_secret_file"`
}
