package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/target"
)

// Config.check finds mistakes in the values of a Config, the content of the configuration file. It
// does not check values that other packages check. The gateway passes these values to the other
// packages when it starts.
func (c *Config) check() {
	wrong := c.source.addMistakeAt
	if c.Has("routes") && c.RoutesFile != "" {
		wrong("routes_file", "excludes routes")
	}
	if c.Listen == "" && c.ForwardAuth == nil && c.ExtAuthz == nil {
		wrong("listen", "is missing: want at least one of listen, forward_auth and ext_authz")
	}
	if c.Authorization != "strip" && c.Authorization != "forward" {
		wrong("authorization", "is neither strip nor forward")
	}
	if c.RoutesInterval < 10*time.Millisecond {
		wrong("routes_interval", "is less than 10ms")
	}
	c.checkUpstreams()
	c.checkNetworks("trusted_proxies", c.TrustedProxies)
	c.checkBounds()
	c.checkListeners()
	c.checkTLS()
	c.checkPossession()
	c.checkPaths()
	c.checkEmptyTexts()
	c.checkRest()
	c.checkAudit()
}

// upstreamName is a regular expression for the names of upstreams. Metrics and logs contain these
// names.
var upstreamName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (c *Config) checkUpstreams() {
	wrong := c.source.addMistakeAt
	if c.Listen == "" && len(c.Upstreams) > 0 {
		wrong("upstreams", "need listen")
	}
	if c.Listen != "" && len(c.Upstreams) == 0 {
		wrong("upstreams", "is missing")
	}
	seen := make(map[string]bool)
	for i, u := range c.Upstreams {
		key := "upstreams." + strconv.Itoa(i)
		if !upstreamName.MatchString(u.Name) {
			wrong(key+".name", "want lower-case letters, digits and \"-\", at most 32")
		}
		to, err := url.Parse(u.URL)
		switch {
		case err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "":
			wrong(key+".url", "want http:// or https:// and a host")
		case to.User != nil || to.RawQuery != "" || to.Fragment != "" || to.Path != "" && to.Path != "/":
			wrong(key+".url", "want no more than a scheme, a host and a port: paths are sent on as they are")
		}
		if u.Host != strings.ToLower(u.Host) || strings.ContainsAny(u.Host, ":/ *") {
			wrong(key+".host", "want a lower-case name without a port")
		}
		if !plainPath(u.Path) {
			wrong(key+".path", "want a plain path")
		}
		same := u.Host + strings.TrimSuffix(strings.ToLower(u.Path), "/")
		if seen["host "+same] {
			wrong(key, "an upstream before it has the same host and path")
		}
		if seen["name "+u.Name] {
			wrong(key+".name", "is repeated")
		}
		seen["host "+same], seen["name "+u.Name] = true, true
	}
}

// plainPath reports whether p is a path from "/" that needs no cleaning, no decoding and no
// encoding, and that all servers read in the same way. So net/http serves p as it is written. For
// example, a path with "//", with "..", with an encoded character or with "?" is not plain. Nor is
// a path with "*", which could be meant as a wildcard. A slash at the end is allowed.
func plainPath(p string) bool {
	u, err := url.ParseRequestURI(p)
	return err == nil && u.Path == p && u.EscapedPath() == p && target.CheckPath(p) == nil &&
		!strings.Contains(p, "*")
}

// isZero is the text of the error for a key of the configuration file whose value is 0. It is only
// for keys for which 0 has no meaning of its own.
const isZero = "is 0: leave it out for the default"

// isEmpty is the text of the error for a key of the configuration file whose value is "". It is
// only for keys for which the gateway would otherwise silently use the default.
const isEmpty = "is empty: leave it out for the default"

func (c *Config) checkBounds() {
	wrong := c.source.addMistakeAt
	if n := c.Limits.HeaderBytes; n < 8<<10 || n > 1<<20 {
		wrong("limits.header_bytes", "is not between 8192 and 1048576")
	}
	if c.Limits.BodyBytes < 0 {
		wrong("limits.body_bytes", "is negative")
	}
	t := c.Timeouts
	for key, d := range map[string]time.Duration{
		"header": t.Header, "read": t.Read, "write": t.Write, "idle": t.Idle, "dial": t.Dial,
		"response_header": t.ResponseHeader, "drain": t.Drain,
	} {
		if d < 0 {
			wrong("timeouts."+key, "is negative")
		} else if d == 0 {
			wrong("timeouts."+key, isZero)
		}
	}
	if t.DrainDelay < 0 {
		wrong("timeouts.drain_delay", "is negative")
	}
}

func (c *Config) checkListeners() {
	wrong := c.source.addMistakeAt
	used := make(map[string]string)
	listen := func(key, address string, socket bool) {
		if rest, ok := strings.CutPrefix(address, "unix:"); ok && socket && rest != "" {
			address = "unix:" + rest
		} else if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			wrong(key, "want host:port")
			return
		}
		if _, port, _ := net.SplitHostPort(address); used[address] != "" && port != "0" {
			wrong(key, "is the same as %s", used[address])
		}
		used[address] = key
	}
	if c.Has("listen") {
		listen("listen", c.Listen, false)
	}
	if f := c.ForwardAuth; f != nil {
		listen("forward_auth.listen", f.Listen, false)
		if len(f.Endpoints) == 0 {
			wrong("forward_auth.endpoints", "is missing")
		}
		for i, e := range f.Endpoints {
			key := "forward_auth.endpoints." + strconv.Itoa(i)
			if !plainPath(e.Path) || e.Path == "/" || strings.HasSuffix(e.Path, "/") {
				wrong(key+".path", "want a plain path, not / and without a slash at its end")
			}
			c.checkNetworks(key+".trusted_peers", e.TrustedPeers)
		}
	}
	if e := c.ExtAuthz; e != nil {
		listen("ext_authz.listen", e.Listen, true)
		c.checkNetworks("ext_authz.trusted_peers", e.TrustedPeers)
	}
	if c.Admin != nil {
		listen("admin.listen", c.Admin.Listen, false)
	}
}

// checkPaths reports each URL path for which the configuration file has two endpoints of the
// gateway. An endpoint that Envoy calls gets all paths below its own path too, because Envoy
// appends the path of the client's request. checkPaths also reports mistakes in the paths of the
// gateway's own endpoints, and missing client ids in the section logout.
func (c *Config) checkPaths() {
	wrong := c.source.addMistakeAt
	type owner struct {
		key, path    string
		withSubpaths bool // withSubpaths is true if the endpoint also gets all paths below its own path
	}
	var owners []owner
	add := func(key, path string, below bool) {
		for _, o := range owners {
			if o.path == path || o.withSubpaths && strings.HasPrefix(path, o.path+"/") ||
				below && strings.HasPrefix(o.path, path+"/") {
				wrong(key, "overlaps with %s", o.key)
			}
		}
		owners = append(owners, owner{key, path, below})
	}
	if f := c.ForwardAuth; f != nil {
		for i, e := range f.Endpoints {
			add("forward_auth.endpoints."+strconv.Itoa(i)+".path", e.Path, e.Dialect == "envoy")
		}
	}
	own := func(key, path string) {
		if !plainPath(path) || path == "/" {
			wrong(key, "want a plain path, and not /")
			return
		}
		add(key, path, false)
	}
	if a := c.Identity.Assertion; a != nil {
		own("identity.assertion.jwks_path", a.JWKSPath)
	}
	if c.Logout != nil {
		own("logout.path", c.Logout.Path)
		if len(c.Logout.ClientIDs) == 0 || slices.Contains(c.Logout.ClientIDs, "") {
			wrong("logout.client_ids", "want the ids of the clients that logout tokens are for")
		}
	}
}

// checkEmptyTexts refuses an empty text as the value of several keys. These keys set fields of
// structs in this package. Other keys set fields of structs in other packages. For such a key,
// decodeKeys refuses an empty text.
func (c *Config) checkEmptyTexts() {
	refuseEmpty := func(key, text string) {
		if c.Has(key) && text == "" {
			c.source.addMistakeAt(key, isEmpty)
		}
	}
	refuseEmpty("challenge.realm", c.Challenge.Realm)
	refuseEmpty("challenge.resource_metadata", c.Challenge.ResourceMetadata)
	if i := c.Tokens.Introspection; i != nil {
		refuseEmpty("tokens.introspection.client_secret_file", i.ClientSecretFile)
	}
	if r := c.Redis; r != nil {
		refuseEmpty("redis.prefix", r.Prefix)
	}
}

func (c *Config) checkRest() {
	wrong := c.source.addMistakeAt
	if r := c.Redis; r != nil {
		if c.Has("redis.timeout") && r.Timeout == 0 {
			wrong("redis.timeout", isZero)
		}
		if len(r.Addresses) == 0 {
			wrong("redis.addresses", "is missing")
		}
		for i, a := range r.Addresses {
			if _, _, err := net.SplitHostPort(a); err != nil {
				wrong("redis.addresses."+strconv.Itoa(i), "want host:port")
			}
		}
	}
	for _, s := range []string{c.Challenge.Realm, c.Challenge.ResourceMetadata} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
			wrong("challenge", `may hold printable ASCII only, without " and \`)
			// A realm or a URL in c.Challenge contains an illegal character, and the mistake was
			// recorded. An empty Challenge, which is valid, takes the place of c.Challenge. So the
			// caller can still build a gateway and find more mistakes in the configuration.
			c.Challenge = Challenge{}
		}
	}
}

// Config.checkNetworks reports the mistakes in a list of IP networks in the configuration file. An
// IP network has the form 10.0.0.0/8.
func (c *Config) checkNetworks(key string, list []string) {
	for i, text := range list {
		if p, err := netip.ParsePrefix(text); err != nil || p.Bits() == 0 {
			c.source.addMistakeAt(key+"."+strconv.Itoa(i), "want a network such as 10.0.0.0/8, and not all addresses")
		}
	}
}

// Prefixes returns the IP networks that a list in the configuration file names. It converts IPv4
// networks in IPv6 form to IPv4. [Load] has already reported each text that is not a network, or
// that means all addresses. In place of such a text, Prefixes returns a network with one address,
// which RFC 5737 reserves for documentation. No client or proxy has this address.
func Prefixes(list []string) (prefixes []netip.Prefix) {
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Bits() == 0 {
			p = netip.MustParsePrefix("192.0.2.0/32")
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() > 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes
}
