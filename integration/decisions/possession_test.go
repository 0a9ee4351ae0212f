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

// boundRules are the rules for the tests with proofs of possession.
var boundRules = []routes.Rule{
	{Pattern: "/t.T/Any", Access: routes.Require(xenaauth.AnyUser())},
	{Pattern: "/t.T/Bound", Access: routes.Require(xenaauth.BoundToken())},
	{Pattern: "/t.T/Optional", Access: routes.Optional()},
	{Pattern: "/t.T/Public", Access: routes.Public()},
}

// newProofs returns a DPoP proof and an mTLS proof. The mTLS proof takes the certificate from the
// TLS connection of the client, or from the header field Client-Cert that a proxy sends.
func newProofs(t *testing.T, c dpop.Config) []xenaauth.Proof {
	t.Helper()
	c.PublicOrigins = []string{publicOrigin}
	d, err := dpop.New(c)
	fatal(t, err)
	m, err := mtls.New(mtls.Config{Form: mtls.RFC9440, TrustedPeers: proxies})
	fatal(t, err)
	return []xenaauth.Proof{d, m}
}

// attempt is a request that a client sends with a token or a proof, and the decision that the test
// expects.
type attempt struct {
	name   string
	path   string
	in     func(*clients) request
	status int
	reason xenaauth.Reason
	code   string // the error code in the challenge; "" if the challenge has no error
	user   string
}

// clients are a DPoP client, an mTLS client and a thief, with tokens for one path of a site.
type clients struct {
	path              string
	dpop, mtls, thief *xenaauthtest.Client
	// these tokens are bound to both keys, to no key, and to the DPoP key but expired
	both, unbound, expired string
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
	c.unbound, c.expired = token(nil, 0, nil), token(c.dpop, -time.Hour, nil)
	c.both = token(nil, 0, map[string]any{"jkt": c.dpop.Thumbprint(), "x5t#S256": c.mtls.Thumbprint()})
	return c
}

// The method with returns a request with a token, in the Authorization scheme that scheme names,
// and with DPoP proofs.
func (c *clients) with(scheme, token string, proofs ...string) request {
	h := http.Header{"Authorization": {scheme + " " + token}}
	if len(proofs) > 0 {
		h["Dpop"] = proofs
	}
	return request{path: c.path, header: h}
}

// The method proof returns a proof of the DPoP client. Before the proof is signed, edit changes its
// header and claims, unless edit is nil.
func (c *clients) proof(edit func(header, claims map[string]any)) string {
	c.dpop.Edit = edit
	return c.dpop.Proof(http.MethodPost, publicOrigin+c.path)
}

// The method signed returns a request with the token that is bound to the DPoP key, and with the
// proof that the method proof returns for edit.
func (c *clients) signed(edit func(header, claims map[string]any)) request {
	return c.with("DPoP", c.dpop.Token, c.proof(edit))
}

// The method certified adds the certificate of the mTLS client to r and returns r.
func (c *clients) certified(r request) request {
	certificate := c.mtls.Certificate()
	r.certificate = &certificate
	return r
}

// The function claim returns the request of an attempt. One claim of the proof in this request has
// another value.
func claim(name string, value any) func(*clients) request {
	return func(c *clients) request {
		return c.signed(func(_, claims map[string]any) { claims[name] = value })
	}
}

// attempts lists requests for which all protocols must make the same decision.
var attempts = []attempt{
	{"DPoP", "/t.T/Any", func(c *clients) request { return c.signed(nil) }, 200, "", "", "ann"},
	{"DPoP, BoundToken", "/t.T/Bound", func(c *clients) request { return c.signed(nil) }, 200, "", "", "ann"},
	{"DPoP, Optional", "/t.T/Optional", func(c *clients) request { return c.signed(nil) }, 200, "", "", "ann"},
	{"DPoP, public route", "/t.T/Public", func(c *clients) request { return c.with("DPoP", c.dpop.Token, "junk") }, 200, "", "", ""},
	{"DPoP, no proof", "/t.T/Any", func(c *clients) request { return c.with("DPoP", c.dpop.Token) }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, junk", "/t.T/Any", func(c *clients) request { return c.with("DPoP", c.dpop.Token, "junk") }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, two proofs", "/t.T/Any", func(c *clients) request { return c.with("DPoP", c.dpop.Token, c.proof(nil), c.proof(nil)) }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, another method", "/t.T/Any", claim("htm", "GET"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, another path", "/t.T/Any", claim("htu", publicOrigin+"/t.T/Bound"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, the path of a service", "/t.T/Any", claim("htu", publicOrigin+"/t.T"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, another host", "/t.T/Any", claim("htu", "https://other.example/t.T/Any"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, another scheme of the URL", "/t.T/Any", claim("htu", "http://api.example/t.T/Any"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, ath of another token", "/t.T/Any", claim("ath", "x"), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, old proof", "/t.T/Any", claim("iat", time.Now().Add(-time.Hour).Unix()), 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, stolen token", "/t.T/Any", func(c *clients) request {
		return c.with("DPoP", c.thief.Token, c.thief.Proof(http.MethodPost, publicOrigin+c.path))
	}, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"DPoP, stolen token, Optional", "/t.T/Optional", func(c *clients) request { return c.with("DPoP", c.dpop.Token) }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"DPoP, as Bearer", "/t.T/Any", func(c *clients) request { return c.with("Bearer", c.dpop.Token, c.proof(nil)) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"DPoP, expired token", "/t.T/Any", func(c *clients) request {
		c.dpop.Token = c.expired
		return c.signed(nil)
	}, 401, xenaauth.ReasonExpired, "invalid_token", ""},
	{"DPoP, both schemes", "/t.T/Any", func(c *clients) request {
		r := c.signed(nil)
		r.header["Authorization"] = append(r.header["Authorization"], "Bearer "+c.unbound)
		return r
	}, 400, xenaauth.ReasonMalformedRequest, "invalid_request", ""},
	{"not bound", "/t.T/Any", func(c *clients) request { return c.with("Bearer", c.unbound) }, 200, "", "", "ann"},
	{"not bound, as DPoP", "/t.T/Any", func(c *clients) request { return c.with("DPoP", c.unbound, c.proof(nil)) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"not bound, BoundToken", "/t.T/Bound", func(c *clients) request { return c.with("Bearer", c.unbound) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"no token, BoundToken", "/t.T/Bound", func(c *clients) request { return request{path: c.path, header: http.Header{}} }, 401, xenaauth.ReasonMissingToken, "", ""},

	{"mTLS", "/t.T/Any", func(c *clients) request { return c.certified(c.with("Bearer", c.mtls.Token)) }, 200, "", "", "ann"},
	{"mTLS, BoundToken", "/t.T/Bound", func(c *clients) request { return c.certified(c.with("Bearer", c.mtls.Token)) }, 200, "", "", "ann"},
	{"mTLS, no certificate", "/t.T/Any", func(c *clients) request { return c.with("Bearer", c.mtls.Token) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"mTLS, another certificate", "/t.T/Any", func(c *clients) request {
		token := c.mtls.Token
		c.mtls = xenaauthtest.NewMTLSClient(nil)
		return c.certified(c.with("Bearer", token))
	}, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"mTLS, the certificate in a field of the client", "/t.T/Any", func(c *clients) request {
		r := c.with("Bearer", c.mtls.Token)
		r.header["Client-Cert"] = []string{":" + base64.StdEncoding.EncodeToString(c.mtls.Certificate().Leaf.Raw) + ":"}
		return r
	}, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"mTLS, a certificate and a token that is not bound", "/t.T/Any", func(c *clients) request { return c.certified(c.with("Bearer", c.unbound)) }, 200, "", "", "ann"},
	{"both", "/t.T/Bound", func(c *clients) request {
		c.dpop.Token = c.both
		return c.certified(c.signed(nil))
	}, 200, "", "", "ann"},
	{"both, no certificate", "/t.T/Any", func(c *clients) request {
		c.dpop.Token = c.both
		return c.signed(nil)
	}, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
	{"both, no proof", "/t.T/Any", func(c *clients) request { return c.certified(c.with("DPoP", c.both)) }, 401, xenaauth.ReasonProof, "invalid_dpop_proof", ""},
	{"both, as Bearer", "/t.T/Any", func(c *clients) request { return c.certified(c.with("Bearer", c.both)) }, 401, xenaauth.ReasonConfirmation, "invalid_token", ""},
}

// TestPossession sends each request through every protocol. Every protocol must make the expected
// decision, send the same challenges as net/http, and report the decision in exactly one event.
func TestPossession(t *testing.T) {
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			first := ""
			for _, name := range []string{"net/http", "gRPC", "Connect", "forward-auth", "ext_authz"} {
				s := newSite(t, boundRules, xenaauth.Options{Proofs: newProofs(t, dpop.Config{})})
				got := protocols[name](t, s)(t, a.in(s.clients(a.path)))
				if got.allowed != (a.status == 200) || got.code != codeOf(a.status) || got.reason != string(a.reason) ||
					got.status != 0 && got.status != a.status || got.user != a.user {
					t.Errorf("%s: status %d, %+v, want %d %s", name, got.status, got.decision, a.status, a.reason)
				}
				if (a.code != "") != strings.Contains(got.challenges, `error="`+a.code+`"`) ||
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

// TestReplay sends the same proof twice. Every protocol must accept it the first time and refuse it
// the second time.
func TestReplay(t *testing.T) {
	for name, protocol := range protocols {
		s := newSite(t, boundRules, xenaauth.Options{Proofs: newProofs(t, dpop.Config{}), RequireProof: true})
		send := protocol(t, s)
		r := s.clients("/t.T/Any").signed(nil)
		if got := send(t, r); !got.allowed || got.user != "ann" {
			t.Errorf("%s, first use: %+v", name, got.decision)
		}
		if got := send(t, r); got.allowed || got.reason != string(xenaauth.ReasonProofReplayed) {
			t.Errorf("%s, second use: %+v", name, got.decision)
		}
	}
}

// TestNonce first sends a proof without a nonce. The refusal contains a nonce. TestNonce then sends
// a proof with this nonce, and the request must be allowed.
func TestNonce(t *testing.T) {
	for name, protocol := range protocols {
		secret := []byte(strings.Repeat("k", 32))
		s := newSite(t, boundRules, xenaauth.Options{Proofs: newProofs(t, dpop.Config{NonceSecrets: [][]byte{secret}})})
		send, c := protocol(t, s), s.clients("/t.T/Any")
		got := send(t, c.signed(nil))
		nonce := got.header.Get("DPoP-Nonce")
		if got.reason != string(xenaauth.ReasonProofNonce) || nonce == "" || !strings.Contains(got.challenges, `error="use_dpop_nonce"`) {
			t.Errorf("%s, no nonce: %+v, DPoP-Nonce %q", name, got.decision, nonce)
		}
		got = send(t, c.signed(func(_, claims map[string]any) { claims["nonce"] = nonce }))
		if !got.allowed || got.header.Get("DPoP-Nonce") != "" {
			t.Errorf("%s, with the nonce: %+v, DPoP-Nonce %q", name, got.decision, got.header.Get("DPoP-Nonce"))
		}
	}
}

// awayStore is a replay store that always returns an error.
type awayStore struct{}

func (awayStore) Use(context.Context, string, string, time.Time) (bool, error) {
	return false, errors.New("the store is away")
}

// TestReplayOutage uses a replay store that fails, so it is unknown whether a proof was used
// before. Every protocol must report an outage. It must not refuse the token as invalid, and it
// must not let the request pass.
func TestReplayOutage(t *testing.T) {
	for name, protocol := range protocols {
		s := newSite(t, boundRules, xenaauth.Options{Proofs: newProofs(t, dpop.Config{Replay: awayStore{}})})
		got := protocol(t, s)(t, s.clients("/t.T/Any").signed(nil))
		if got.allowed || got.code != codeOf(503) || got.retryAfter == "" || got.challenges != "" {
			t.Errorf("%s: %+v", name, got.decision)
		}
	}
}
