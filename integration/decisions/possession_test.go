package decisions

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const publicOrigin = "https://api.example"

// boundRules contains the rules of the table of routes in the tests with proofs of possession.
var boundRules = []routes.Rule{
	{Pattern: "/t.T/Any", Access: routes.Require(xenaauth.AnyUser())},
	{Pattern: "/t.T/Bound", Access: routes.Require(xenaauth.BoundToken())},
	{Pattern: "/t.T/Optional", Access: routes.Optional()},
	{Pattern: "/t.T/Public", Access: routes.Public()},
}

// newProofs returns two proofs of possession for a middleware: DPoP and mTLS. The mTLS proof takes
// the client's certificate from the TLS connection of the client, or from the header field
// Client-Cert that a proxy sends.
func newProofs(t *testing.T, c dpop.Config) []xenaauth.Proof {
	t.Helper()
	c.PublicOrigins = []string{publicOrigin}
	d, err := dpop.New(c)
	fatal(t, err)
	m, err := mtls.New(mtls.Config{Form: mtls.RFC9440, TrustedPeers: trustedProxies})
	fatal(t, err)
	return []xenaauth.Proof{d, m}
}

// An attempt is a request that a client sends with a token or a proof of possession, and the
// decision that the test expects.
type attempt struct {
	name        string
	path        string
	makeRequest func(*clients) request
	status      int
	reason      xenaauth.Reason
	// errorCode is the expected error code in the challenge; "" means that the challenge has no
	// error code
	errorCode string
	user      string
}

// The type clients contains a DPoP client, an mTLS client and a thief who has stolen a token. Their
// tokens and proofs are for requests to one path of the API.
type clients struct {
	path              string
	dpop, mtls, thief *xenaauthtest.Client
	// bothToken is bound to the keys of both clients, unboundToken is bound to no key, and
	// expiredToken is an expired token that is bound to the DPoP key
	bothToken, unboundToken, expiredToken string
}

func (s *site) clients(path string) *clients {
	c := &clients{path: path, dpop: xenaauthtest.NewDPoPClient(nil), mtls: xenaauthtest.NewMTLSClient(nil),
		thief: xenaauthtest.NewDPoPClient(nil)}
	token := func(bound *xenaauthtest.Client, lifetime time.Duration, cnf any) string {
		t := xenaauthtest.Token{Subject: "ann", BoundTo: bound, Lifetime: lifetime, Claims: map[string]any{"aud": s.issuer.API()}}
		if cnf != nil {
			t.Claims["cnf"] = cnf
		}
		return s.issuer.JWT(t)
	}
	c.dpop.Token, c.mtls.Token = token(c.dpop, 0, nil), token(c.mtls, 0, nil)
	c.thief.Token = c.dpop.Token
	c.unboundToken, c.expiredToken = token(nil, 0, nil), token(c.dpop, -time.Hour, nil)
	c.bothToken = token(nil, 0, map[string]any{"jkt": c.dpop.Thumbprint(), "x5t#S256": c.mtls.Thumbprint()})
	return c
}

// clients.newRequest returns a request that contains a token and DPoP proofs. scheme is the scheme
// in the header field Authorization.
func (c *clients) newRequest(scheme, token string, proofs ...string) request {
	h := http.Header{"Authorization": {scheme + " " + token}}
	if len(proofs) > 0 {
		h["Dpop"] = proofs
	}
	return request{path: c.path, header: h}
}

// clients.newProof returns a DPoP proof. The function edit, unless it is nil, changes the header
// and the claims of the proof before the proof is signed.
func (c *clients) newProof(edit func(header, claims map[string]any)) string {
	c.dpop.Edit = edit
	return c.dpop.Proof(http.MethodPost, publicOrigin+c.path)
}

// clients.provenRequest returns a request with the DPoP client's token and a DPoP proof. The
// function edit, unless it is nil, changes the proof before it is signed.
func (c *clients) provenRequest(edit func(header, claims map[string]any)) request {
	return c.newRequest("DPoP", c.dpop.Token, c.newProof(edit))
}

// clients.addCertificate adds the certificate of the mTLS client to the request r and returns r.
func (c *clients) addCertificate(r request) request {
	certificate := c.mtls.Certificate()
	r.certificate = &certificate
	return r
}

// requestWithClaim returns a function that makes a request with a DPoP proof. In the proof, the
// claim with the name claimName has the given value.
func requestWithClaim(claimName string, value any) func(*clients) request {
	return func(c *clients) request {
		return c.provenRequest(func(_, claims map[string]any) { claims[claimName] = value })
	}
}

// possessionAttempts lists requests with tokens and proofs of possession. All protocols must make
// the same decision about each of them.
var possessionAttempts = []attempt{
	{"DPoP", "/t.T/Any", func(c *clients) request { return c.provenRequest(nil) }, 200, "", "", "ann"},
	{"DPoP, BoundToken", "/t.T/Bound", func(c *clients) request { return c.provenRequest(nil) }, 200, "", "", "ann"},
	{"DPoP, Optional", "/t.T/Optional", func(c *clients) request { return c.provenRequest(nil) }, 200, "", "", "ann"},
	{"DPoP, public route", "/t.T/Public", func(c *clients) request { return c.newRequest("DPoP", c.dpop.Token, "junk") }, 200, "", "", ""},
	{"DPoP, no proof", "/t.T/Any", func(c *clients) request { return c.newRequest("DPoP", c.dpop.Token) }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, junk", "/t.T/Any", func(c *clients) request { return c.newRequest("DPoP", c.dpop.Token, "junk") }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, two proofs", "/t.T/Any", func(c *clients) request { return c.newRequest("DPoP", c.dpop.Token, c.newProof(nil), c.newProof(nil)) }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, another method", "/t.T/Any", requestWithClaim("htm", "GET"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, another path", "/t.T/Any", requestWithClaim("htu", publicOrigin+"/t.T/Bound"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, the path of a service", "/t.T/Any", requestWithClaim("htu", publicOrigin+"/t.T"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, another host", "/t.T/Any", requestWithClaim("htu", "https://other.example/t.T/Any"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, another scheme of the URL", "/t.T/Any", requestWithClaim("htu", "http://api.example/t.T/Any"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, ath of another token", "/t.T/Any", requestWithClaim("ath", "x"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, old proof", "/t.T/Any", requestWithClaim("iat", time.Now().Add(-time.Hour).Unix()), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, stolen token", "/t.T/Any", func(c *clients) request {
		return c.newRequest("DPoP", c.thief.Token, c.thief.Proof(http.MethodPost, publicOrigin+c.path))
	}, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"DPoP, stolen token, Optional", "/t.T/Optional", func(c *clients) request { return c.newRequest("DPoP", c.dpop.Token) }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, as Bearer", "/t.T/Any", func(c *clients) request { return c.newRequest("Bearer", c.dpop.Token, c.newProof(nil)) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"DPoP, expired token", "/t.T/Any", func(c *clients) request {
		c.dpop.Token = c.expiredToken
		return c.provenRequest(nil)
	}, 401, xenaauth.ReasonExpired, "invalid_token", ""},
	{"DPoP, both schemes", "/t.T/Any", func(c *clients) request {
		r := c.provenRequest(nil)
		r.header["Authorization"] = append(r.header["Authorization"], "Bearer "+c.unboundToken)
		return r
	}, 400, xenaauth.ReasonMalformedRequest, "invalid_request", ""},
	{"not bound", "/t.T/Any", func(c *clients) request { return c.newRequest("Bearer", c.unboundToken) }, 200, "", "", "ann"},
	{"not bound, as DPoP", "/t.T/Any", func(c *clients) request { return c.newRequest("DPoP", c.unboundToken, c.newProof(nil)) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"not bound, BoundToken", "/t.T/Bound", func(c *clients) request { return c.newRequest("Bearer", c.unboundToken) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"no token, BoundToken", "/t.T/Bound", func(c *clients) request { return request{path: c.path, header: http.Header{}} }, 401, xenaauth.ReasonMissingToken, "", ""},

	{"mTLS", "/t.T/Any", func(c *clients) request { return c.addCertificate(c.newRequest("Bearer", c.mtls.Token)) }, 200, "", "", "ann"},
	{"mTLS, BoundToken", "/t.T/Bound", func(c *clients) request { return c.addCertificate(c.newRequest("Bearer", c.mtls.Token)) }, 200, "", "", "ann"},
	{"mTLS, no certificate", "/t.T/Any", func(c *clients) request { return c.newRequest("Bearer", c.mtls.Token) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"mTLS, another certificate", "/t.T/Any", func(c *clients) request {
		token := c.mtls.Token
		c.mtls = xenaauthtest.NewMTLSClient(nil)
		return c.addCertificate(c.newRequest("Bearer", token))
	}, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"mTLS, the certificate in a field of the client", "/t.T/Any", func(c *clients) request {
		r := c.newRequest("Bearer", c.mtls.Token)
		r.header["Client-Cert"] = []string{":" + base64.StdEncoding.EncodeToString(c.mtls.Certificate().Leaf.Raw) + ":"}
		return r
	}, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"mTLS, a certificate and a token that is not bound", "/t.T/Any", func(c *clients) request { return c.addCertificate(c.newRequest("Bearer", c.unboundToken)) }, 200, "", "", "ann"},
	{"both", "/t.T/Bound", func(c *clients) request {
		c.dpop.Token = c.bothToken
		return c.addCertificate(c.provenRequest(nil))
	}, 200, "", "", "ann"},
	{"both, no certificate", "/t.T/Any", func(c *clients) request {
		c.dpop.Token = c.bothToken
		return c.provenRequest(nil)
	}, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"both, no proof", "/t.T/Any", func(c *clients) request { return c.addCertificate(c.newRequest("DPoP", c.bothToken)) }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"both, as Bearer", "/t.T/Any", func(c *clients) request { return c.addCertificate(c.newRequest("Bearer", c.bothToken)) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
}

// TestPossession sends each request in possessionAttempts through every protocol. Every protocol
// must make the expected decision, send the same challenges as net/http, and report the decision in
// exactly one event.
func TestPossession(t *testing.T) {
	for _, a := range possessionAttempts {
		t.Run(a.name, func(t *testing.T) {
			first := ""
			for _, name := range []string{"net/http", "gRPC", "Connect", "forward-auth", "ext_authz"} {
				s := newSite(t, boundRules, xenaauth.Options{Proofs: newProofs(t, dpop.Config{})})
				got := protocols[name](t, s)(t, a.makeRequest(s.clients(a.path)))
				if got.allowed != (a.status == 200) || got.code != codeOf(a.status) || got.reason != string(a.reason) ||
					got.status != 0 && got.status != a.status || got.user != a.user {
					t.Errorf("%s: status %d, %+v, want %d %s", name, got.status, got.decision, a.status, a.reason)
				}
				if (a.errorCode != "") != strings.Contains(got.challenges, `error="`+a.errorCode+`"`) ||
					(a.status != 200) != strings.Contains(got.challenges, `DPoP realm="xena"`) ||
					strings.HasSuffix(a.path, "Bound") && a.reason == xenaauth.ReasonMissingToken && got.challenges == "" {
					t.Errorf("%s: challenges %s", name, got.challenges)
				}
				if first == "" {
					first = got.challenges
				}
				if got.challenges != first {
					t.Errorf("%s: challenges %s, of net/http %s", name, got.challenges, first)
				}
				s.wantEvent(t, name, a.status, a.reason, a.user, a.path)
			}
		})
	}
}

// TestReplay sends the same DPoP proof twice. Every protocol must accept it the first time and
// refuse it the second time.
func TestReplay(t *testing.T) {
	for name, protocol := range protocols {
		s := newSite(t, boundRules, xenaauth.Options{Proofs: newProofs(t, dpop.Config{}), RequireProof: true})
		send := protocol(t, s)
		r := s.clients("/t.T/Any").provenRequest(nil)
		if got := send(t, r); !got.allowed || got.user != "ann" {
			t.Errorf("%s, first use: %+v", name, got.decision)
		}
		if got := send(t, r); got.allowed || got.reason != string(xenaauth.ReasonProofReplayed) {
			t.Errorf("%s, second use: %+v", name, got.decision)
		}
	}
}

// TestNonce first sends a DPoP proof without a nonce to an API that requires nonces. The refusal
// must contain a nonce. TestNonce then sends a proof with this nonce, and the request must be
// allowed.
func TestNonce(t *testing.T) {
	for name, protocol := range protocols {
		secret := []byte(strings.Repeat("k", 32))
		s := newSite(t, boundRules, xenaauth.Options{Proofs: newProofs(t, dpop.Config{NonceSecrets: [][]byte{secret}})})
		send, c := protocol(t, s), s.clients("/t.T/Any")
		got := send(t, c.provenRequest(nil))
		nonce := got.header.Get("DPoP-Nonce")
		if got.reason != string(xenaauth.ReasonProofNonce) || nonce == "" || !strings.Contains(got.challenges, `error="use_dpop_nonce"`) {
			t.Errorf("%s, no nonce: %+v, DPoP-Nonce %q", name, got.decision, nonce)
		}
		got = send(t, c.provenRequest(func(_, claims map[string]any) { claims["nonce"] = nonce }))
		if !got.allowed || got.header.Get("DPoP-Nonce") != "" {
			t.Errorf("%s, with the nonce: %+v, DPoP-Nonce %q", name, got.decision, got.header.Get("DPoP-Nonce"))
		}
	}
}

// failingStore is a store of used DPoP proofs that always returns an error.
type failingStore struct{}

func (failingStore) Use(context.Context, string, string, time.Time) (bool, error) {
	return false, errors.New("the store is away")
}

// TestReplayOutage uses a store of used DPoP proofs that fails. So it is unknown whether the proof
// in a request was used before. Every protocol must report an outage: it must not refuse the token
// as invalid, and must not let the request pass.
func TestReplayOutage(t *testing.T) {
	for name, protocol := range protocols {
		s := newSite(t, boundRules, xenaauth.Options{Proofs: newProofs(t, dpop.Config{Replay: failingStore{}})})
		got := protocol(t, s)(t, s.clients("/t.T/Any").provenRequest(nil))
		if got.allowed || got.code != codeOf(503) || got.retryAfter == "" || got.challenges != "" {
			t.Errorf("%s: %+v", name, got.decision)
		}
	}
}
