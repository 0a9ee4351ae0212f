package doctor

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// Checklist.checkConfiguration makes the checks for which the issuer need not be called. It reports
// whether the configuration can be used.
func (l *Checklist) checkConfiguration(s subject) bool {
	const name = "configuration"
	for _, m := range s.mistakes {
		l.add(Check{Name: name, State: Bad, Found: m, Fix: configurationFix(m)})
	}
	if len(s.mistakes) > 0 {
		return false
	}
	if s.issuerOnly {
		return true
	}
	l.add(Check{Name: name, State: Good, Found: configurationSummary(s.cfg)})
	for _, r := range riskWarnings(s.cfg) {
		l.add(r)
	}
	if s.file != nil {
		l.checkFile(s)
	}
	return true
}

// configurationSummary describes in one line which tokens the service accepts. The line contains no
// secret.
func configurationSummary(cfg xenaauth.Config) string {
	issuer := cfg.Issuer
	if issuer == "" {
		issuer = xenaauth.IssuerProduction
	}
	text := fmt.Sprintf("tokens of %q for %q", issuer, cfg.Audiences)
	if cfg.AllowAnyAudience {
		text = fmt.Sprintf("tokens of %q for any audience", issuer)
	}
	switch i := cfg.Introspection; {
	case i == nil:
		return text + ", JWTs only"
	case cfg.AlwaysIntrospect:
		return text + fmt.Sprintf(", all introspected as client %q", i.ClientID)
	case cfg.RequireActive:
		return text + fmt.Sprintf(", JWTs verified and introspected as client %q", i.ClientID)
	default:
		return text + fmt.Sprintf(", opaque tokens introspected as client %q", i.ClientID)
	}
}

// configurationFix returns what the operator should do about a mistake in the configuration. The
// parameter mistake is one of the texts in subject.mistakes.
func configurationFix(mistake string) string {
	name, _, _ := strings.Cut(mistake, " ")
	switch {
	case strings.Contains(mistake, "is not an https URL"):
		return "Use the https URL of the issuer. With http, anyone on the network could replace " +
			"the keys " +
			"or read the credentials. Only if the network itself is protected: " +
			"XENA_ALLOW_HTTP=true."
	case strings.Contains(mistake, "is empty: name this API"):
		return "Set XENA_AUDIENCE to the name of this API at the issuer. At Xena that is testapi."
	case strings.Contains(mistake, ": want at least "):
		return "Write a longer secret into the file: openssl rand -base64 48"
	case strings.Contains(mistake, "CLIENT_SECRET_FILE names a file"),
		strings.Contains(mistake, "no such file"), strings.Contains(mistake, "permission denied"):
		return "Check that the file exists and that this user may read it."
	case strings.Contains(mistake, "INTROSPECTION needs"),
		strings.Contains(mistake, "INTROSPECTION_CLIENT_ID is missing"):
		return "Set XENA_INTROSPECTION_CLIENT_ID and XENA_INTROSPECTION_CLIENT_SECRET: at " +
			"IdentityServer " +
			"the name and the secret of the API resource."
	}
	if strings.HasPrefix(name, "XENA_") {
		return "Correct or remove the variable."
	}
	return "Correct the file. README.md of cmd/xenagate explains every key."
}

// isInsecureURL reports whether strangers could read and change a request to a URL. They can if the
// URL is not https, unless it leads to this machine.
func isInsecureURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}

// riskWarnings returns a warning for each of three risks in a configuration: an issuer with an http
// URL, AllowAnyAudience, and AllowNonce together with AllowClientAudience.
func riskWarnings(cfg xenaauth.Config) (checks []Check) {
	warn := func(set bool, variable, found string) {
		if set {
			found = variable + " is true: " + found
			checks = append(checks, Check{Name: "configuration", State: Warning, Found: found})
		}
	}
	urls := []string{cfg.Issuer, cfg.MetadataURL, cfg.JWKSURL}
	insecure := slices.ContainsFunc(urls, isInsecureURL)
	warn(cfg.AllowHTTP && insecure, "XENA_ALLOW_HTTP",
		"anyone on the network can replace the keys of the issuer")
	warn(cfg.AllowAnyAudience, "XENA_ALLOW_ANY_AUDIENCE", "every route must require a scope")
	warn(cfg.AllowNonce && cfg.AllowClientAudience, "XENA_ALLOW_NONCE with "+
		"XENA_ALLOW_CLIENT_AUDIENCE",
		"an ID token with a scope claim is accepted")
	return checks
}
