package doctor

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
)

// otherIssuerCheck returns the failed check for metadata that name another issuer than the
// configured one. The parameter got is the issuer that the metadata name.
func otherIssuerCheck(cfg xenaauth.Config, got string) Check {
	c := Check{Name: "issuer", State: Bad}
	want := cfg.Issuer
	c.Found = fmt.Sprintf("the metadata say %s, "+
		"XENA_ISSUER is %s", setting.QuoteForOutput(got), setting.QuoteForOutput(want))
	c.Fix = fmt.Sprintf("Set XENA_ISSUER=%s, or correct the URL if you expected "+
		"another issuer.", setting.QuoteForOutput(got))
	theirs, err := url.Parse(got)
	if err != nil || theirs.Host == "" {
		c.Found = fmt.Sprintf("the metadata say %s, which is not a URL", setting.QuoteForOutput(got))
		c.Fix = "Ask the operator of the issuer to correct its name."
		return c
	}
	ours, err := url.Parse(want)
	if err != nil {
		return c
	}
	sameHost := strings.EqualFold(theirs.Host, ours.Host)
	switch trimmed := strings.TrimRight(got, "/"); {
	case trimmed == strings.TrimRight(want, "/"):
		c.Found += ": only the slash at the end differs"
	case strings.EqualFold(trimmed, strings.TrimRight(want, "/")):
		c.Found += ": only upper and lower case differ"
	case strings.EqualFold(theirs.Hostname(), ours.Hostname()) && theirs.Scheme != ours.Scheme &&
		strings.EqualFold(theirs.Path, ours.Path):
		c.Found += ": only http and https differ"
		c.Fix = "The issuer does not know that it is " +
			"reached by " + ours.Scheme + ", as behind a proxy that " +
			"ends TLS. Let it trust X-Forwarded-Proto of the proxy, or set its public origin."
	case !sameHost && isInternal(theirs.Hostname()):
		// The host name in the metadata is internal. The output does not contain this name, because
		// it may reveal an internal network to a stranger.
		c.Found = fmt.Sprintf("the metadata name an internal host, "+
			"XENA_ISSUER is %s", setting.QuoteForOutput(want))
		c.Fix = "The issuer names itself after the host under which it is reached, so tokens " +
			"would name " +
			"another issuer than their metadata. Set its public name (IdentityServer: IssuerUri, " +
			"or trust " +
			"X-Forwarded-Host of the proxy)."
	}
	return c
}

// isInternal reports whether a host name or an IP address probably exists only in private networks.
func isInternal(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range []string{
		".local", ".internal", ".svc", ".lan", ".corp", ".home.arpa", ".intranet", ".private", ".localhost",
	} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}
