package xenaauthtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
)

var (
	wrongProof = refusalDetails{xenaauth.ReasonProof, "invalid_dpop_proof",
		"The proof of possession is missing or wrong."}
	replayedProof = refusalDetails{xenaauth.ReasonProofReplayed, "invalid_dpop_proof",
		"The proof of possession was used before."}
	wrongKey = refusalDetails{xenaauth.ReasonConfirmation, "invalid_token",
		"The access token is bound to a key that was not shown."}
	unboundToken = refusalDetails{xenaauth.ReasonConfirmation, "invalid_token",
		"This resource needs an access token that is bound to a key."}
	plainToken = refusalDetails{xenaauth.ReasonConfirmation, "invalid_token",
		"The access token is not bound to a key."}
	noToken    = refusalDetails{reason: xenaauth.ReasonMissingToken}
	twoSchemes = refusalDetails{xenaauth.ReasonMalformedRequest, "invalid_request",
		"The Authorization field is malformed."}
	needsNonce = refusalDetails{xenaauth.ReasonProofNonce, "use_dpop_nonce",
		"The proof of possession needs the nonce of this response."}
)

// allAlgorithms is the value of the parameter algs in a DPoP challenge: the algorithms with which a
// client may sign its proofs.
const allAlgorithms = "ES256 Ed25519 EdDSA ES384 PS256 PS384 PS512 RS256 RS384 RS512"

func newProof(t *testing.T, c dpop.Config) *dpop.Proof {
	t.Helper()
	c.PublicOrigins = []string{publicOrigin}
	proof, err := dpop.New(c)
	if err != nil {
		t.Fatalf("dpop.New: %v", err)
	}
	return proof
}

// testDPoP tests guards with DPoP proofs (RFC 9449). The guard must see the method, the target and
// the header of the client's request, and must check a proof only once.
func (s *middlewareSuite) testDPoP(t *testing.T) {
	opts := xenaauth.Options{Proofs: []xenaauth.Proof{newProof(t, dpop.Config{})}}
	m := s.startTLS(t, opts, boundRoutes())
	opts = xenaauth.Options{Proofs: []xenaauth.Proof{newProof(t, dpop.Config{})}, RequireProof: true}
	strict := s.startTLS(t, opts, boundRoutes())

	client, unbound, nothing, stolen := NewDPoPClient(nil), NewDPoPClient(nil), NewDPoPClient(nil), NewDPoPClient(nil)
	client.Token, unbound.Token = s.boundToken(client), s.token("a")
	stolen.Token = client.Token
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	edwards := NewDPoPClient(key)
	edwards.Token = s.boundToken(edwards)
	edited := func(edit func(header, claims map[string]any)) *Client {
		c := NewDPoPClient(client.key.private)
		c.Token, c.Edit = client.Token, edit
		return c
	}
	claim := func(name string, value any) *Client {
		return edited(func(_, claims map[string]any) { claims[name] = value })
	}
	// secondClient has the same key as the first client, but another token. Its DPoP proofs are for
	// that other token.
	secondClient := NewDPoPClient(client.key.private)
	secondClient.Token = s.boundToken(secondClient)
	const target = publicOrigin + "/"
	as := func(authorization string, proofs ...string) http.Header {
		return http.Header{"Authorization": {authorization}, "Dpop": proofs}
	}
	used, twice := client.Proof("GET", target), as("DPoP "+client.Token, client.Proof("GET", target))
	twice["Dpop"] = append(twice["Dpop"], client.Proof("GET", target))
	for _, c := range []boundExchange{
		{name: "a proof", client: client},
		{name: "a proof of an Ed25519 key", client: edwards},
		{name: "a proof, another method", client: client, method: "POST"},
		{name: "a proof, a query", client: client, path: "/?q=%20"},
		{name: "a proof, another case of the scheme", client: client, header: http.Header{"Authorization": {"dPoP " + client.Token}}},
		{name: "a proof, nested guards", client: client, path: "/nested"},
		{name: "a proof, Optional", client: client, path: "/optional"},
		{name: "a proof, BoundToken", client: client, path: "/bound"},
		{name: "a proof, first use", client: client, header: as("DPoP "+client.Token, used)},
		{name: "a proof, used before", client: client, header: as("DPoP "+client.Token, used), wantRefusal: replayedProof},
		{name: "no proof", client: client, header: as("DPoP "+client.Token, []string{}...), wantRefusal: wrongProof},
		{name: "two proofs", client: client, header: twice, wantRefusal: wrongProof},
		{name: "a proof for another method", client: claim("htm", "POST"), wantRefusal: wrongProof},
		{name: "a proof for another path", client: claim("htu", target+"orders"), wantRefusal: wrongProof},
		{name: "a proof for another host", client: claim("htu", "https://other.example/"), wantRefusal: wrongProof},
		{name: "a proof for another token", client: client, header: as("DPoP "+client.Token, secondClient.Proof("GET", target)), wantRefusal: wrongProof},
		{name: "a proof without ath", client: claim("ath", nil), wantRefusal: wrongProof},
		{name: "an old proof", client: claim("iat", time.Now().Add(-time.Hour).Unix()), wantRefusal: wrongProof},
		{name: "a proof from the future", client: claim("iat", time.Now().Add(time.Hour).Unix()), wantRefusal: wrongProof},
		{name: "a proof of another type", client: edited(func(header, _ map[string]any) { header["typ"] = "JWT" }), wantRefusal: wrongProof},
		{name: "a proof with the public key of another", client: edited(func(header, _ map[string]any) { header["jwk"] = stolen.key.jwk() }), wantRefusal: wrongKey},
		{name: "a stolen token", client: stolen, wantRefusal: wrongKey},
		{name: "a stolen token with the thief's signature", client: newThief(client), wantRefusal: wrongProof},
		{name: "a stolen token, Optional", client: stolen, path: "/optional", wantRefusal: wrongKey},
		{name: "bound, as Bearer", client: client, header: http.Header{"Authorization": {"Bearer " + client.Token}}, wantRefusal: wrongKey},
		{name: "not bound, as DPoP", client: unbound, wantRefusal: plainToken},
		{name: "both schemes", client: client, header: http.Header{"Authorization": {"DPoP " + client.Token, "Bearer " + unbound.Token}}, wantRefusal: twoSchemes},
		{name: "not bound, as Bearer", client: &Client{Token: unbound.Token}},
		{name: "not bound, BoundToken", client: &Client{Token: unbound.Token}, path: "/bound", wantRefusal: unboundToken},
		{name: "no token", client: nothing, wantRefusal: noToken},
		{name: "no token, BoundToken", client: nothing, path: "/bound", wantRefusal: noToken},
	} {
		offered := []string{"Bearer", "DPoP"}
		if c.path == "/bound" {
			offered = []string{"DPoP"}
			c.hasScope = c.wantRefusal == unboundToken
		}
		s.runBound(t, m, "accepted, "+c.name, offered, c)
		c.hasScope = false
		if c.client.Token == unbound.Token {
			c.wantRefusal = unboundToken
		}
		s.runBound(t, strict, "required, "+c.name, []string{"DPoP"}, c)
	}
	t.Run("nonces", s.testNonces)
	t.Run("outage", s.testReplayOutage)
}

// newThief returns a client that has stolen the token of the client victim. The thief knows the
// public key of the victim but not the private key.
func newThief(victim *Client) *Client {
	c := NewDPoPClient(nil)
	c.Token = victim.Token
	c.Edit = func(header, _ map[string]any) { header["jwk"] = victim.key.jwk() }
	return c
}

// testNonces tests the nonces that a server sends for DPoP proofs. The client must get a nonce with
// a refusal, and a new nonce with the response of a handler when the nonce of the client is old. No
// cache may store a response with a nonce. The test runs in a bubble of testing/synctest, which has
// fake time and no network. So the client calls the guards directly.
func (s *middlewareSuite) testNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime = 4 * time.Minute
		validator, err := xenaauth.NewValidator(s.issuer.Config())
		if err != nil {
			t.Fatalf("NewValidator: %v", err)
		}
		proof := newProof(t, dpop.Config{NonceSecrets: [][]byte{randomBytes(32)}, NonceLifetime: lifetime})
		client := NewDPoPClient(nil)
		client.Handler = s.mount(xenaauth.NewMiddleware(validator, &xenaauth.Options{
			Proofs: []xenaauth.Proof{proof}, Logger: slog.New(slog.DiscardHandler),
		}), boundRoutes())
		client.Token = s.boundToken(client)
		newest := ""
		send := func(what string, header http.Header, status int, hasNonce bool) {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, publicOrigin+"/", strings.NewReader("!"))
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range header {
				req.Header[name] = values
			}
			resp, err := client.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != status || status == http.StatusOK && string(body) != "hello ann!" {
				t.Errorf("%s: status %d %s, want %d", what, resp.StatusCode, body, status)
			}
			nonce := resp.Header.Get("DPoP-Nonce")
			if hasNonce != (nonce != "" && nonce != newest) || hasNonce != (resp.Header.Get("Cache-Control") == "no-store") {
				t.Errorf("%s: DPoP-Nonce %q, Cache-Control %q, want a new nonce: %t",
					what, nonce, resp.Header.Get("Cache-Control"), hasNonce)
			}
			if nonce != "" {
				newest = nonce
			}
			told := strings.Join(resp.Header["Www-Authenticate"], ", ")
			if (status == http.StatusUnauthorized) != strings.Contains(told, `error="`+needsNonce.code+`", error_description="`+needsNonce.description) {
				t.Errorf("%s: WWW-Authenticate %s", what, told)
			}
		}
		// The client sends a request again with a nonce only if the client has made the proof
		// itself. This request already has a DPoP field, so the client does not send it again, and
		// the test sees the refusal.
		send("without a nonce", http.Header{"Dpop": {client.Proof(http.MethodPost, publicOrigin+"/")}}, 401, true)
		send("with the nonce of the refusal", nil, 200, false)
		time.Sleep(lifetime / 2)
		send("with an old nonce", nil, 200, true)
		send("with the nonce of the response", nil, 200, false)
		time.Sleep(lifetime)
		send("after the lifetime", http.Header{"Dpop": {client.Proof(http.MethodPost, publicOrigin+"/")}}, 401, true)
		send("a client that learns the nonce", nil, 200, false)
	})
}

// failingStore is a replay store that always fails, as during an outage. A replay store records
// which DPoP proofs were used.
type failingStore struct{}

func (failingStore) Use(context.Context, string, string, time.Time) (bool, error) {
	return false, errors.New("the store is away")
}

// testReplayOutage tests the response while the replay store fails, so that nobody can tell whether
// a DPoP proof was used before. The response must be 503.
func (s *middlewareSuite) testReplayOutage(t *testing.T) {
	opts := xenaauth.Options{Proofs: []xenaauth.Proof{newProof(t, dpop.Config{Replay: failingStore{}})}}
	m := s.startTLS(t, opts, boundRoutes())
	client := NewDPoPClient(nil)
	client.Token = s.boundToken(client)
	for _, path := range []string{"/", "/nested", "/optional", "/bound"} {
		s.runBound(t, m, path, nil, boundExchange{client: client, path: path, wantRefusal: refusalDetails{reason: xenaauth.ReasonUnavailable}})
	}
}
