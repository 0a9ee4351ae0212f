package dpop_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
)

// confirmAt makes a DPoP proof with the given claim htu, and checks the proof with a request. host
// is the Host field of the request, and uri is its target.
func confirmAt(t *testing.T, p *dpop.Proof, k *clientKey, htu, host, uri string) error {
	t.Helper()
	r := requestWith(k.proof(nil, object{"htu": htu}))
	r.Host, r.RequestURI, r.URL = host, uri, nil
	return p.Confirm(r, accessToken, k.thumbprint())
}

// The claim htu and the URL of the request are compared in normal form (RFC 3986, section 6.2). So
// two spellings of one URL are equal, and two different URLs are never equal.
func TestPathsInNormalForm(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "EdDSA")
	for _, tt := range []struct {
		htu, uri string
		equal    bool
	}{
		{"https://api.example", "/", true},
		{"https://api.example", "/?a=b", true},
		{"https://api.example?a=b", "/", true},
		{"https://api.example/", "http://api.example/?x", true},
		{"https://api.example/", "http://api.example", true},
		{"https://api.example/a", "/a?b=/c", true},
		{"https://api.example/a", "/a/", false},
		{"https://api.example/%61%7E%2d", "/a~-", true},
		{"https://api.example/a%2fb", "/a%2Fb", true},
		{"https://api.example/a%2Fb", "/a/b", false},
		{"https://api.example/a%252Fb", "/a%2Fb", false},
		{"https://api.example/a%3Ab", "/a:b", false},
		{"https://api.example/a/./b/../c", "/a/c", true},
		{"https://api.example/a/%2e%2E/c", "/c", true},
		{"https://api.example/c", "/a/%2e%2E/c", true},
		{"https://api.example/a/..", "/", true},
		{"https://api.example/a/.", "/a/", true},
		{"https://api.example/../a", "/a", true},
		{"https://api.example/a//b", "/a//b", true},
		{"https://api.example/a//b", "/a/b", false},
		{"https://api.example/a//../b", "/a/b", true},
		{"https://api.example/.a/..b", "/.a/..b", true},
		{"https://api.example/...", "/...", true},
		{"https://api.example/é", "/%C3%A9", true},
		{"https://api.example/%c3%a9", "/\xc3\xa9", true},
		{"https://api.example/a b", "/a%20b", true},
		{"https://api.example/a|b", "/a%7cb", true},
		{"https://api.example/a+b", "/a%20b", false},
		{"https://api.example/A", "/a", false},
		{"https://api.example/a\x00", "/a", false},
		{"https://api.example/a%", "/a%", false},
		{"https://api.example/a%zz", "/a%zz", false},
		{"https://api.example/a%4", "/a%4", false},
		{"https://api.example/a\nb", "/a\nb", false},
		{"https://api.example/a\\b", "/a%5Cb", true},
		{"https://api.example/a;v=1", "/a;v=1", true},
		{"https://api.example/a;v=1", "/a", false},
		{"https://api.example/*", "*", false},
		{"https://api.example/a", "/a#b", false},
		{"https://api.example/a", "http://api.example/a#b", false},
		{"https://api.example/a#b", "/a", true},
		{"https://api.example/", "api.example:443", false},
		{"https://api.example", "", false},
	} {
		err := confirmAt(t, p, k, tt.htu, "api.example", tt.uri)
		if tt.equal {
			require.NoError(t, err, "%s and %s", tt.htu, tt.uri)
			continue
		}
		require.Equal(t, xenaauth.ReasonProof, asRefusal(t, err).Reason, "%s and %s", tt.htu, tt.uri)
	}
}

// A proxy has removed Config.PathPrefix from the beginning of the path. The client has sent the
// whole path in the claim htu, so the path in htu must begin with PathPrefix.
func TestPathPrefix(t *testing.T) {
	p := newProof(t, func(c *dpop.Config) { c.PathPrefix = "/v1/api" })
	k := newKey(t, "EdDSA")
	for _, tt := range []struct {
		htu, uri string
		equal    bool
	}{
		{"https://api.example/v1/api/orders", "/orders?x", true},
		{"https://api.example/v1/%61pi/orders", "/orders", true},
		{"https://api.example/v1/api/", "/", true},
		{"https://api.example/v1/api/", "http://api.example", true},
		{"https://api.example/v1/api", "/", false},
		{"https://api.example/orders", "/orders", false},
		{"https://api.example/v1/api/orders", "/v1/api/orders", false},
		{"https://api.example/v1/apiorders", "/orders", false},
		{"https://api.example/v1/api", "*", false},
		// A segment ".." in the path of the request does not remove PathPrefix.
		{"https://api.example/orders", "/../../orders", false},
		{"https://api.example/orders", "/%2e%2e/..//../orders", false},
		{"https://api.example/v1/orders", "/x/../../orders", false},
		{"https://api.example/v1/orders", "http://api.example/../orders", false},
		{"https://api.example/v1/api/orders", "/../orders", true},
	} {
		err := confirmAt(t, p, k, tt.htu, "api.example", tt.uri)
		require.Equal(t, tt.equal, err == nil, "%s and %s: %v", tt.htu, tt.uri, err)
	}
}

// A request whose path has more than 16 KiB is refused. The test makes each path long with many
// segments ".". The normal form of a path has no such segments, so the URL in each proof is short.
// The two proofs match their requests, so only the length of the path can be the reason.
func TestLongPath(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "EdDSA")
	const longest = 16 << 10
	dots := strings.Repeat("/.", longest/2-1)
	require.NoError(t, confirmAt(t, p, k, "https://api.example/a", "api.example", dots+"/a"))
	err := confirmAt(t, p, k, "https://api.example/ab", "api.example", dots+"/ab")
	wantRefusal(t, err, xenaauth.ReasonProof, "too long")
}

// If a program built the request, for example the adapter for gRPC, RequestURI is empty. The path
// of the request is then that of r.URL.
func TestRequestOfAProgram(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "EdDSA")
	r := &http.Request{
		Method: "POST", Host: "api.example", URL: &url.URL{Path: "/a.B/C d"},
		Header: http.Header{"Dpop": {k.proof(nil, object{"htm": "POST", "htu": "https://api.example/a.B/C%20d"})}},
	}
	require.NoError(t, p.Confirm(r, accessToken, k.thumbprint()))
}

// The claim htu of a DPoP proof must name a public origin of the service. If the host of the
// request is the host of a public origin, htu must name this host.
func TestOrigins(t *testing.T) {
	p := newProof(t, func(c *dpop.Config) {
		c.PublicOrigins = []string{
			"https://api.example/", "HTTPS://Admin.Example:443", "http://localhost:8080", "https://[2001:DB8::1]:8443", "http://api.example",
		}
	})
	k := newKey(t, "EdDSA")
	for _, tt := range []struct {
		htu, host string
		accepted  bool
	}{
		{"https://api.example/", "api.example", true},
		{"https://api.example/", "API.example", true},
		{"https://api.example:443/", "api.example", true},
		{"https://api.example:/", "api.example", true},
		{"https://api.example/", "api.example:443", true},
		{"http://api.example/", "api.example", true},
		{"http://api.example:80/", "api.example:80", true},
		{"https://api.example/", "api.example:80", false}, // the port of the http origin
		{"https://admin.example/", "admin.example", true},
		{"https://api.example/", "admin.example", false},
		{"https://admin.example/", "api.example", false},
		{"http://localhost:8080/", "localhost:8080", true},
		{"http://localhost/", "localhost:8080", false},
		{"http://api.example:443/", "service", false},
		{"https://api.example:80/", "service", false},
		{"http://localhost:08080/", "localhost:8080", true},
		{"https://[2001:db8:0::1]:8443/", "[2001:db8::1]:8443", true},
		{"https://api.example/", "10.0.0.7:9000", true}, // the internal name that a proxy uses
		{"https://api.example/", "service", true},
		{"https://api.example/", "", true},
		{"https://admin.example/", "api.example:8443", false}, // routers ignore the port
		{"https://api.example/", "api.example:8443", true},
		{"https://[2001:db8::1]:8443/", "[2001:db8::1]", true},
		{"https://api.example/", "api.example.", false},
		{"https://api.example/", "api.example, evil.example", false},
		{"https://api.example/", "api.example@evil.example", false},
		{"https://api.example/", "api.example:99999", false},
		{"https://evil.example/", "evil.example", false},
		{"https://evil.example/", "service", false},
		{"https://api.example./", "api.example", false},
		{"https://api.example:44300000/", "api.example", false},
		{"https://api.example:x/", "api.example", false},
		{"https:///", "api.example", false},
		{"https://api.exam%70le/", "api.example", false},
		{"wss://api.example/", "api.example", false},
		{"//api.example/", "api.example", false},
	} {
		err := confirmAt(t, p, k, tt.htu, tt.host, "/")
		if tt.accepted {
			require.NoError(t, err, "%s at %s", tt.htu, tt.host)
			continue
		}
		require.Equal(t, xenaauth.ReasonProof, asRefusal(t, err).Reason, "%s at %s", tt.htu, tt.host)
	}
	err := confirmAt(t, p, k, "https://api.example/", "admin.example", "/")
	require.ErrorContains(t, err, `htu has the origin "https://api.example", the host of the request is "admin.example"`)
}

// The text of the refusal of a DPoP proof is short, even if the proof contains a long value.
func TestLongValuesInTheLog(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "EdDSA")
	long := strings.Repeat("long.", 800)
	for _, proof := range []string{
		k.proof(nil, object{"htm": long}),
		k.proof(object{"typ": long[:500]}, nil),
		k.proof(nil, object{"htu": "https://api.example/" + strings.Repeat("x/", 2000)}),
		k.proof(nil, object{"htu": "https://" + long}),
	} {
		err := p.Confirm(requestWith(proof), accessToken, k.thumbprint())
		require.Equal(t, xenaauth.ReasonProof, asRefusal(t, err).Reason)
		require.Less(t, len(err.Error()), 700, "%v", err)
	}
}

// The text of a refusal shows two paths: the path in the claim htu, and the path of the request. A
// long word in a path may be a credential, so the text shows only the beginning of the word.
func TestPathsInTheLog(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "EdDSA")
	const secret = "0123456789abcdef0123456789abcdef0123456789abcdef"
	err := confirmAt(t, p, k, "https://api.example/reset/"+secret, "api.example", "/reset/"+secret+"/x")
	wantRefusal(t, err, xenaauth.ReasonProof, `htu has the path "/reset/0123456789abcdef...", the request has "/reset/0123456789abcdef.../x"`)
	require.NotContains(t, err.Error(), secret)
}

// A client may write its access token into htm, htu or typ by mistake. The text of the refusal does
// not show the token.
func TestTokenInAnotherMember(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "EdDSA")
	for member, proof := range map[string]string{
		"htm": k.proof(nil, object{"htm": accessToken}),
		"htu": k.proof(nil, object{"htu": "https://api.example/" + accessToken}),
		"typ": k.proof(object{"typ": accessToken}, nil),
	} {
		err := p.Confirm(requestWith(proof), accessToken, k.thumbprint())
		wantRefusal(t, err, xenaauth.ReasonProof, member)
		require.NotContains(t, err.Error(), accessToken, member)
	}
}
