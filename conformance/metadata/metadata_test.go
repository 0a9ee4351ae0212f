package metadata_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// metadataOf returns a copy of the metadata of an issuer. A test may change it.
func metadataOf(t *testing.T, issuer *xenaauthtest.Issuer) map[string]any {
	t.Helper()
	r, err := issuer.Client().Get(issuer.URL() + "/.well-known/openid-configuration")
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	var m map[string]any
	require.NoError(t, json.NewDecoder(r.Body).Decode(&m))
	return m
}

func TestM1_TheIssuerItself(t *testing.T) {
	t.Parallel()
	for name, iss := range map[string]any{
		"slash": "https://login.xena.biz/", "case": "https://Login.xena.biz", "scheme": "http://login.xena.biz", "port": "https://login.xena.biz:443",
		"another": "https://logintest.xena.biz", "missing": nil, "null": harness.RawJSON("null"), "empty": "",
		"number": 7, "list": []string{"https://login.xena.biz"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				issuer.SetMetadata(harness.JSON(t, harness.With(metadataOf(t, issuer), map[string]any{"issuer": iss})))
				a := harness.Mount(t, issuer.HybridConfig())
				for _, token := range []string{issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})} {
					a.Refuses(t, token, xenaauth.ReasonUnavailable)
				}
				require.Zero(t, issuer.Calls(xenaauthtest.JWKS), "the key set of another issuer must not be fetched")
				require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
				issuer.SetMetadata(nil)
				time.Sleep(time.Second)
				a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
			})
		})
	}
}

func TestM1_InvalidMetadata(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	token := issuer.JWT(xenaauthtest.Token{})
	good := string(harness.JSON(t, metadataOf(t, issuer)))
	for name, raw := range map[string]string{
		"cut": good[:len(good)-1], "trailing": good + "{}", "list": "[" + good + "]", "twice": good[:len(good)-1] + `,"jwks_uri":"https://login.xena.biz/x"}`,
		"case": good[:len(good)-1] + `,"JWKS_URI":"https://login.xena.biz/x"}`, "BOM": "\ufeff" + good, "HTML": "<html></html>", "not UTF-8": good[:len(good)-1] + ",\"x\":\"\xff\"}",
		"no jwks_uri": `{"issuer":"https://login.xena.biz"}`, "deep": good[:len(good)-1] + `,"x":` + harness.DeepJSON("[", "]", 2000) + "}",
		"jwks_uri no string": `{"issuer":"https://login.xena.biz","jwks_uri":7}`,
	} {
		t.Run(name, func(t *testing.T) {
			issuer.SetMetadata([]byte(raw))
			harness.Serve(t, issuer.Config()).Refuses(t, token, xenaauth.ReasonUnavailable)
		})
	}
	issuer.SetMetadata(nil)
	for name, fault := range map[string]xenaauthtest.Fault{
		"500": {Status: 500, Body: good}, "404": {Status: 404}, "403": {Status: 403}, "text": {Body: good, ContentType: "text/plain"}, "broken": {Break: true},
	} {
		t.Run(name, func(t *testing.T) {
			issuer.Fail(xenaauthtest.Metadata, fault)
			defer issuer.Heal()
			harness.Serve(t, issuer.Config()).Refuses(t, token, xenaauth.ReasonUnavailable)
		})
	}
}

func TestM2_HTTPS(t *testing.T) {
	t.Parallel()
	for address, fine := range map[string]bool{
		"https://login.example": true, "http://login.example": false, "http://127.0.0.1:8080": true, "http://[::1]:8080": true, "http://localhost": true,
		"http://localhost.evil.example": false, "http://127.0.0.1.evil.example": false, "http://10.0.0.1": false, "http://0.0.0.0": false, "ftp://login.example": false,
		"//login.example": false, "login.example": false, "https://user:secret@login.example": false, "https://": false, "https://login.example#f": false,
		"HTTPS://login.example": true,
	} {
		issuer := harness.NewIssuer()
		for _, set := range []func(*xenaauth.Config){
			func(c *xenaauth.Config) { c.Issuer = address }, func(c *xenaauth.Config) { c.MetadataURL = address },
			func(c *xenaauth.Config) { c.JWKSURL = address }, func(c *xenaauth.Config) { c.Introspection.Endpoint = address },
		} {
			cfg := issuer.HybridConfig()
			set(&cfg)
			_, err := xenaauth.NewValidator(cfg)
			require.Equal(t, fine, err == nil, "%s: %v", address, err)
			if strings.HasPrefix(address, "http://") {
				cfg.AllowHTTP = true
				require.NoError(t, cfg.Validate())
			}
		}
	}
}

func TestM2_EndpointsInMetadata(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	token := issuer.JWT(xenaauthtest.Token{})
	for _, member := range []string{"jwks_uri", "introspection_endpoint"} {
		for _, address := range []string{"http://login.xena.biz/x", "file:///etc/passwd", "/relative", "gopher://login.xena.biz", "https://u:p@login.xena.biz/x"} {
			issuer.SetMetadata(harness.JSON(t, harness.With(metadataOf(t, issuer), map[string]any{member: address})))
			harness.Serve(t, issuer.HybridConfig()).Refuses(t, token, xenaauth.ReasonUnavailable)
			issuer.SetMetadata(nil)
		}
	}
	require.Zero(t, issuer.Calls(xenaauthtest.JWKS))
	issuer.SetMetadata(harness.JSON(t, harness.With(metadataOf(t, issuer), map[string]any{"introspection_endpoint": nil})))
	a := harness.Serve(t, issuer.HybridConfig())
	a.Passes(t, token)
	a.Refuses(t, "opaque", xenaauth.ReasonUnavailable)
}

// If the metadata were fetched by https, all addresses in them must use https. An address with http
// is refused even if its host is loopback, unless Config.AllowHTTP is set.
func TestM2_NoWayFromHTTPSToLoopback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, issuer, metadata string
		allow, passes          bool
	}{
		{"https issuer", "https://login.xena.biz", "", false, false},
		{"https issuer and metadata", "https://login.xena.biz", "https://login.xena.biz/.well-known/openid-configuration", false, false},
		{"https issuer, AllowHTTP", "https://login.xena.biz", "", true, true},
		{"https issuer, http metadata", "https://login.xena.biz", "http://127.0.0.1/.well-known/openid-configuration", false, true},
		{"http issuer", "http://localhost", "", false, true},
	} {
		for _, member := range []string{"jwks_uri", "introspection_endpoint"} {
			for _, host := range []string{"http://127.0.0.1:8080", "http://localhost", "http://[::1]:80"} {
				issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: c.issuer, Algorithm: "ES256"})
				document := metadataOf(t, issuer)
				path := strings.TrimPrefix(document[member].(string), c.issuer)
				issuer.SetMetadata(harness.JSON(t, harness.With(document, map[string]any{member: host + path})))
				reached := make(map[string]bool)
				cfg := issuer.HybridConfig()
				cfg.MetadataURL, cfg.AllowHTTP = c.metadata, c.allow
				cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
					reached[r.URL.Scheme+"://"+r.URL.Host] = true
					r = r.Clone(r.Context())
					at, err := url.Parse(c.issuer)
					if err != nil {
						return nil, err
					}
					r.URL.Scheme, r.URL.Host, r.Host = at.Scheme, at.Host, at.Host
					return next.RoundTrip(r)
				})
				a := harness.Serve(t, cfg)
				tokens := []string{issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})}
				for _, token := range tokens {
					if c.passes {
						a.Passes(t, token)
					} else {
						a.Refuses(t, token, xenaauth.ReasonUnavailable)
					}
				}
				require.Equal(t, c.passes, reached[host], "%s: %s at %s", c.name, member, host)
			}
		}
	}
}

func TestM2_NoRedirects(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []xenaauthtest.Endpoint{xenaauthtest.Metadata, xenaauthtest.JWKS} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
			other := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", URL: issuer.URL()})
			path := "/.well-known/openid-configuration"
			if endpoint == xenaauthtest.JWKS {
				path += "/jwks"
			}
			issuer.Fail(endpoint, xenaauthtest.Fault{Status: status, Header: http.Header{"Location": {other.Addr() + path}}})
			for _, client := range []*http.Client{nil, {}, {CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}} {
				cfg := issuer.Config()
				cfg.HTTPClient = client
				harness.Serve(t, cfg).Refuses(t, other.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
			}
			require.Zero(t, other.Calls(xenaauthtest.All))
			issuer.Close()
			other.Close()
		}
	}
}

func TestM2_SizeAndTime(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	issuer.SetMetadata(append(harness.JSON(t, metadataOf(t, issuer)), []byte(strings.Repeat(" ", 300<<10))...))
	harness.Serve(t, issuer.Config()).Refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	for _, endpoint := range []xenaauthtest.Endpoint{xenaauthtest.Metadata, xenaauthtest.JWKS} {
		harness.FakeTime(t, func(t *testing.T) {
			slow := harness.NewIssuer()
			slow.Fail(endpoint, xenaauthtest.Fault{Delay: time.Hour})
			began := time.Now()
			harness.Mount(t, slow.Config()).Refuses(t, slow.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
			require.LessOrEqual(t, time.Since(began), 7*time.Second)
		})
	}
}

func TestM3_WellKnownAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"https://login.xena.biz", "https://login.xena.biz/", "https://login.example/tenant/7", "https://login.example/tenant/7/", "https://login.example:8443/a%20b",
	} {
		for _, oauthOnly := range []bool{false, true} {
			issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", URL: address, OAuthMetadataOnly: oauthOnly})
			a := harness.Serve(t, issuer.HybridConfig())
			a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
			a.Passes(t, issuer.Opaque(xenaauthtest.Token{}))
			want := 1
			if oauthOnly {
				want = 2
			}
			require.Equal(t, want, issuer.Calls(xenaauthtest.Metadata), address)
		}
	}
}

// MetadataURL, JWKSURL and Introspection.Endpoint may have another host than Issuer, because the
// issuer may have another name inside a network.
func TestM3_ConfiguredAddresses(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", URL: "https://login.xena.biz"})
	defer issuer.Close()
	token, opaque := issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})

	cfg := issuer.HybridConfig()
	cfg.HTTPClient = nil
	cfg.MetadataURL = issuer.Addr() + "/.well-known/openid-configuration"
	a := harness.Serve(t, cfg)
	a.Passes(t, token)
	a.Passes(t, opaque)
	require.Equal(t, 1, issuer.Calls(xenaauthtest.Metadata))

	issuer.ResetCalls()
	cfg.MetadataURL = ""
	cfg.JWKSURL = issuer.Addr() + "/.well-known/openid-configuration/jwks"
	cfg.Introspection.Endpoint = issuer.Addr() + "/connect/introspect"
	a = harness.Serve(t, cfg)
	a.Passes(t, token)
	a.Passes(t, opaque)
	require.Zero(t, issuer.Calls(xenaauthtest.Metadata))
}
