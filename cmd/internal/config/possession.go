package config

import (
	"slices"

	"github.com/xenaauth/xenaauth/mtls"
)

// Possession says which proofs of possession the gateway checks.
type Possession struct {
	ClientCertificate *ClientCertificate `yaml:"client_certificate"`
}

// Use says whether tokens may be bound to a key.
type Use string

// These constants are the values of Use.
const (
	Off      Use = "off"      // with this value, tokens that are bound in this way are refused
	Accepted Use = "accepted" // with this value, tokens may be bound in this way
	Required Use = "required" // with this value, every token must be bound in this way
)

// ClientCertificate configures tokens that are bound to a client certificate, and says how proxies
// pass the certificate on.
type ClientCertificate struct {
	Use          Use         `yaml:"use"`
	Config       mtls.Config `yaml:"-"` // the keys in clientCertificateKeys set this field
	TrustedPeers []string    `yaml:"trusted_peers"`
}

// clientCertificateKeys are the keys under possession.client_certificate that set fields of
// [mtls.Config].
var clientCertificateKeys = []key[mtls.Config]{
	{name: "form", field: func(c *mtls.Config) any { return &c.Form }},
	{name: "field", field: func(c *mtls.Config) any { return &c.Field }},
}

// UsesCertificates reports whether tokens may be bound to client certificates.
func (p *Possession) UsesCertificates() bool { return p.certificates() != Off }

// RequiresProof reports whether every token must be bound to a key.
func (p *Possession) RequiresProof() bool { return p.certificates() == Required }

func (p *Possession) certificates() Use {
	if p.ClientCertificate == nil {
		return Off
	}
	return p.ClientCertificate.Use
}

func (c *Config) checkPossession() {
	p := c.Possession.ClientCertificate
	if p == nil {
		return
	}
	const section = "possession.client_certificate"
	c.checkUse(section+".use", &p.Use)
	c.prefixes(section+".trusted_peers", p.TrustedPeers)
	if p.Use != Off && c.TLS == nil && c.ExtAuthz == nil && p.Config.Form == "" {
		c.source.wrongAt(section, "needs tls, or the form in which a proxy passes certificates on")
	}
}

// checkUse reports a value that is missing or unknown, and replaces it by Off.
func (c *Config) checkUse(key string, use *Use) {
	if !slices.Contains([]Use{Off, Accepted, Required}, *use) {
		c.source.wrongAt(key, "is neither off nor accepted nor required")
		*use = Off
	}
}

// Certificates returns the configuration of the [mtls.Proof]. It must be called only if
// UsesCertificates reports true.
func (p *Possession) Certificates() mtls.Config {
	from := p.ClientCertificate.Config
	if len(p.ClientCertificate.TrustedPeers) > 0 {
		from.TrustedPeers = Prefixes(p.ClientCertificate.TrustedPeers)
	}
	return from
}
