package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/mtls"
)

// Possession is the section possession of the configuration file. A token may be bound to a key of
// the client. The section says how the client proves that it has the key.
type Possession struct {
	DPoP              DPoP               `yaml:"dpop"`
	ClientCertificate *ClientCertificate `yaml:"client_certificate"`
}

// Use says whether the gateway accepts or requires bound tokens: tokens that are bound to a key of
// the client.
type Use string

// These constants are the possible values of the type Use.
const (
	Off      Use = "off"      // Off: the gateway refuses bound tokens
	Accepted Use = "accepted" // Accepted: the gateway accepts bound and other tokens
	Required Use = "required" // Required: the gateway accepts only bound tokens
)

// DPoP configures tokens that are bound to a key of the client with DPoP (RFC 9449). If Redis is
// configured, Redis also stores which DPoP proofs were already used, unless the key
// replay_checked_elsewhere is true.
type DPoP struct {
	Use    Use         `yaml:"use"`
	Nonces bool        `yaml:"nonces"`
	Config dpop.Config `yaml:"-"` // the keys that dpopKeys lists set this field
}

// dpopKeys are the keys in the section "possession.dpop" of the configuration file that set fields
// of [dpop.Config].
var dpopKeys = []fileKey[dpop.Config]{
	{name: "public_origins", field: func(c *dpop.Config) any { return &c.PublicOrigins }},
	{name: "path_prefix", field: func(c *dpop.Config) any { return &c.PathPrefix }},
	{name: "replay_checked_elsewhere", field: func(c *dpop.Config) any { return &c.ReplayCheckedElsewhere }},
	{name: "nonce_lifetime", field: func(c *dpop.Config) any { return &c.NonceLifetime }},
	{name: "window", field: func(c *dpop.Config) any { return &c.Window }},
	{name: "clock_skew", field: func(c *dpop.Config) any { return &c.ClockSkew }},
	{name: "algorithms", field: func(c *dpop.Config) any { return &c.Algorithms }},
}

// ClientCertificate configures tokens that are bound to a client certificate. It also says in which
// header field a proxy sends the client's certificate.
type ClientCertificate struct {
	Use          Use         `yaml:"use"`
	Config       mtls.Config `yaml:"-"` // the keys that clientCertificateKeys lists set this field
	TrustedPeers []string    `yaml:"trusted_peers"`
}

// clientCertificateKeys are the keys in the section "possession.client_certificate" of the
// configuration file that set fields of [mtls.Config].
var clientCertificateKeys = []fileKey[mtls.Config]{
	{name: "form", field: func(c *mtls.Config) any { return &c.Form }},
	{name: "field", field: func(c *mtls.Config) any { return &c.Field }},
}

// UsesDPoP reports whether tokens may be bound to a key of the client with DPoP (RFC 9449).
func (p *Possession) UsesDPoP() bool { return p.DPoP.Use != Off }

// UsesCertificates reports whether tokens may be bound to client certificates.
func (p *Possession) UsesCertificates() bool { return p.certificates() != Off }

// RequiresProof reports whether every token must be bound to a key, by DPoP or by a certificate.
func (p *Possession) RequiresProof() bool {
	return p.DPoP.Use == Required || p.certificates() == Required
}

func (p *Possession) certificates() Use {
	if p.ClientCertificate == nil {
		return Off
	}
	return p.ClientCertificate.Use
}

// Certificates returns the configuration of the [mtls.Proof], which checks client certificates. It
// must be called only if UsesCertificates reports true.
func (p *Possession) Certificates() mtls.Config {
	from := p.ClientCertificate.Config
	if len(p.ClientCertificate.TrustedPeers) > 0 {
		from.TrustedPeers = Prefixes(p.ClientCertificate.TrustedPeers)
	}
	return from
}

// DPoP.readEnvironment sets Use and PublicOrigins from the environment variables XENA_DPOP and
// XENA_PUBLIC_ORIGINS. A service that uses xenaauth without the gateway reads the same variables. A
// key in the configuration file has priority over its variable. If the file turns DPoP off,
// PublicOrigins is not needed and not set.
func (d *DPoP) readEnvironment(c *Config) {
	if !c.Has("possession.dpop.use") {
		d.Use = Use(strings.ToLower(strings.TrimSpace(os.Getenv("XENA_DPOP"))))
		if d.Use == "" && !c.Has("possession.dpop") {
			d.Use = Off
		}
	}
	if d.Use != Off && !c.Has("possession.dpop.public_origins") {
		isSeparator := func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }
		d.Config.PublicOrigins = strings.FieldsFunc(os.Getenv("XENA_PUBLIC_ORIGINS"), isSeparator)
	}
}

func (c *Config) checkPossession() {
	d, p := &c.Possession.DPoP, c.Possession.ClientCertificate
	wrong := c.source.addMistakeAt
	if !d.Use.isKnown() {
		from := ""
		if !c.Has("possession.dpop.use") && os.Getenv("XENA_DPOP") != "" {
			from = ", and neither is XENA_DPOP"
		}
		wrong("possession.dpop.use", "is neither off nor accepted nor required%s", from)
		d.Use = Off
	}
	if d.Config.NonceLifetime != 0 && !d.Nonces {
		wrong("possession.dpop.nonce_lifetime", "needs nonces")
	}
	if p == nil {
		return
	}
	const section = "possession.client_certificate"
	if !p.Use.isKnown() {
		wrong(section+".use", "is neither off nor accepted nor required")
		p.Use = Off
	}
	c.checkNetworks(section+".trusted_peers", p.TrustedPeers)
	if p.Use != Off && c.TLS == nil && c.ExtAuthz == nil && p.Config.Form == "" {
		wrong(section, "needs tls, or the form in which a proxy passes certificates on")
	}
	if d.Use == Required && p.Use == Accepted || d.Use == Accepted && p.Use == Required {
		wrong("possession", "one of dpop and client_certificate is required, and the other is accepted: "+
			"if both are required, each token needs one of them")
	}
}

func (u Use) isKnown() bool { return slices.Contains([]Use{Off, Accepted, Required}, u) }

// NeedsProof reports whether a rule with this access requires a token that is bound to a key.
func NeedsProof(access routes.Access) bool {
	r, ok := access.Requirement()
	return ok && slices.Contains(r.Policies(), xenaauth.BoundToken().Policies()[0])
}

// An UnprovableRule is a rule that requires a bound token although the configuration turns off DPoP
// and client certificates, the two ways to prove that a client has the key of a token. The rule
// refuses every request.
type UnprovableRule struct{ Rule routes.Rule }

// String describes the rule: "gate.yaml:7: rule 1 (GET /pay): requires a bound token …".
func (u UnprovableRule) String() string {
	return fmt.Sprintf("%s (%s): requires a bound token, and possession is off: it refuses every request",
		u.Rule.Source, u.Rule.Pattern)
}

// FindUnprovableRules returns the rules of a table that refuse every request. They require a bound
// token, but the configuration turns off DPoP and client certificates, so no client can prove that
// it has the key of a token.
func (c *Config) FindUnprovableRules(table *routes.Table) (found []UnprovableRule) {
	if c.Possession.UsesDPoP() || c.Possession.UsesCertificates() {
		return nil
	}
	for _, rule := range table.Rules() {
		if NeedsProof(rule.Access) {
			found = append(found, UnprovableRule{rule})
		}
	}
	return found
}

// proofMistake is a regular expression for an error of [dpop.New]. Its first group is the name of a
// field of [dpop.Config]. Its second group says what is wrong with the value of this field.
var proofMistake = regexp.MustCompile(`^dpop: Config\.(\w+) (.*)$`)

// ProofMistake returns err, an error of [dpop.New], with the file, the line and the name of the key
// that sets the wrong field. If the environment has set the field, the error names the variable.
func (c *Config) ProofMistake(err error) error {
	const section = "possession.dpop"
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, one := range joined.Unwrap() {
			errs = append(errs, c.ProofMistake(one))
		}
		return errors.Join(errs...)
	}
	keys := make(map[string]string)
	addKeysByField(keys, section+".", "", dpopKeys)
	found := proofMistake.FindStringSubmatch(err.Error())
	if found == nil || keys[found[1]] == "" {
		return c.AddPlace(section, err)
	}
	key := keys[found[1]]
	if key == section+".public_origins" && !c.Has(key) && len(c.Possession.DPoP.Config.PublicOrigins) > 0 {
		return errors.New("XENA_PUBLIC_ORIGINS " + found[2])
	}
	return c.AddPlace(key, errors.New(found[2]))
}
