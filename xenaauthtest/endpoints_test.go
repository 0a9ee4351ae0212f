package xenaauthtest_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestMetadata(t *testing.T) {
	i := fastIssuer(xenaauthtest.IdentityServer3)
	equal(t, "jwks_uri", metadata(t, i)["jwks_uri"], "https://login.xena.biz/.well-known/jwks")

	i = fastIssuer(xenaauthtest.IdentityServer4)
	doc := metadata(t, i)
	equal(t, "issuer", doc["issuer"], "https://login.xena.biz")
	equal(t, "introspection_endpoint", doc["introspection_endpoint"], "https://login.xena.biz/connect/introspect")
	equal(t, "algorithms", doc["id_token_signing_alg_values_supported"], []any{"ES256"})
	resp, _ := get(t, i.Client(), i.URL()+"/.well-known/oauth-authorization-server")
	equal(t, "status of RFC 8414 metadata", resp.StatusCode, http.StatusNotFound)

	i.SetMetadata([]byte(`{"issuer":"x"}`))
	i.SetCacheControl("max-age=60")
	resp, body := get(t, i.Client(), i.URL()+"/.well-known/openid-configuration")
	equal(t, "set by hand", string(body), `{"issuer":"x"}`)
	equal(t, "Cache-Control", resp.Header.Get("Cache-Control"), "max-age=60")
	i.SetMetadata(nil)
	i.SetCacheControl("")
	resp, _ = get(t, i.Client(), i.URL()+"/.well-known/openid-configuration")
	equal(t, "Cache-Control", resp.Header.Values("Cache-Control"), []string(nil))
	equal(t, "set back", metadata(t, i)["issuer"], i.URL())
}

func TestOAuthMetadataOnly(t *testing.T) {
	i := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: "https://id.example/tenant", OAuthMetadataOnly: true})
	resp, _ := get(t, i.Client(), "https://id.example/tenant/.well-known/openid-configuration")
	equal(t, "status of OpenID metadata", resp.StatusCode, http.StatusNotFound)
	resp, body := get(t, i.Client(), "https://id.example/.well-known/oauth-authorization-server/tenant")
	equal(t, "status", resp.StatusCode, http.StatusOK)
	if !strings.Contains(string(body), `"issuer":"https://id.example/tenant"`) {
		t.Errorf("metadata %s", body)
	}
	equal(t, "calls", i.Calls(xenaauthtest.Metadata), 2)
}

func TestUnknownHost(t *testing.T) {
	client := fastIssuer(0).Client()
	var unknown *net.DNSError
	if resp, err := client.Get("https://other.example/"); !errors.As(err, &unknown) || !unknown.IsNotFound {
		t.Errorf("other host: %v, %v", resp, err)
	}
	if resp, err := client.Get("http://login.xena.biz/"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("other port: %v, %v", resp, err)
	}
	get(t, client, "https://LOGIN.xena.biz:443/.well-known/openid-configuration")
}
