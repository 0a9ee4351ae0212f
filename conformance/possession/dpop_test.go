package possession_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A token that is bound to a key is accepted only with the scheme DPoP and a DPoP proof. A token
// that is not bound is accepted only with the scheme Bearer (RFC 9449, sections 7.1 and 7.2). This
// is also true for an opaque token. In this case the introspection response has the token_type DPoP
// (section 6.2).
func TestD1_SchemeAndBinding(t *testing.T) {
	for name, mint := range map[string]func(*dpopAPI, xenaauthtest.Token) string{
		"JWT":    func(a *dpopAPI, token xenaauthtest.Token) string { return a.issuer.JWT(token) },
		"opaque": func(a *dpopAPI, token xenaauthtest.Token) string { return a.issuer.Opaque(token) },
	} {
		t.Run(name, func(t *testing.T) {
			a := serveDPoP(t, false, nil)
			bound, plain := mint(a, xenaauthtest.Token{BoundTo: a.client}), mint(a, xenaauthtest.Token{})
			a.client.Token = bound
			require.Equal(t, 418, a.get(t).StatusCode)
			require.Equal(t, 418, a.get(t, "Authorization", "dpop "+bound).StatusCode)
			requireChallenges(t, a.get(t, "Authorization", "Bearer "+bound), 401, challengeWithError("Bearer", unshownError), bareDPoP)
			w := send(a.client.Handler, newRequest("DPoP "+bound))
			requireChallenges(t, w.Result(), 401, bareBearer, challengeWithError("DPoP", badProof))
			w = send(a.client.Handler, newRequest("Bearer "+plain))
			require.Equal(t, 418, w.Code)
			a.client.Token = plain
			requireChallenges(t, a.get(t), 401, bareBearer, challengeWithError("DPoP", plainError))
			// This token is bound to the key of another client.
			a.client.Token = mint(a, xenaauthtest.Token{BoundTo: xenaauthtest.NewDPoPClient(nil)})
			requireChallenges(t, a.get(t), 401, bareBearer, challengeWithError("DPoP", unshownError))
		})
	}
}

// RFC 9449, section 4.3, lists the checks of a DPoP proof. In each test case, the proof does not
// pass one of these checks, so the request is refused. The tests of package dpop contain more cases
// for each check.
func TestD2_EachCheckOfTheProof(t *testing.T) {
	a := serveDPoP(t, false, nil)
	now := time.Now().Unix()
	type object = map[string]any
	for name, edit := range map[string]func(header, claims object){
		"typ":                         func(h, _ object) { h["typ"] = "JWT" },
		"no typ":                      func(h, _ object) { h["typ"] = nil },
		"alg none":                    func(h, _ object) { h["alg"] = "none" },
		"alg of a secret":             func(h, _ object) { h["alg"] = "HS256" },
		"alg of another key":          func(h, _ object) { h["alg"] = "PS256" },
		"no jwk":                      func(h, _ object) { h["jwk"] = nil },
		"a private jwk":               func(h, _ object) { h["jwk"].(object)["d"] = "AQAB" },
		"a critical extension":        func(h, _ object) { h["crit"] = []string{"x"} },
		"htm":                         func(_, c object) { c["htm"] = "POST" },
		"no htm":                      func(_, c object) { c["htm"] = nil },
		"htu of another path":         func(_, c object) { c["htu"] = ordersURL + "/1" },
		"htu of another origin":       func(_, c object) { c["htu"] = "https://api.example.org/orders" },
		"no htu":                      func(_, c object) { c["htu"] = nil },
		"an old iat":                  func(_, c object) { c["iat"] = now - 3600 },
		"a future iat":                func(_, c object) { c["iat"] = now + 3600 },
		"no iat":                      func(_, c object) { c["iat"] = nil },
		"no jti":                      func(_, c object) { c["jti"] = nil },
		"ath of another token":        func(_, c object) { c["ath"] = strings.Repeat("A", 43) },
		"no ath":                      func(_, c object) { c["ath"] = nil },
		"a signature of no algorithm": func(h, _ object) { h["alg"] = "" },
	} {
		resp := a.getEdited(t, edit)
		require.Equal(t, 401, resp.StatusCode, name)
		require.Equal(t, []string{bareBearer, challengeWithError("DPoP", badProof)}, resp.Header.Values("WWW-Authenticate"), name)
		require.Empty(t, resp.Header.Values("DPoP-Nonce"), name)
	}
	good := a.client.Proof(http.MethodGet, ordersURL)
	requireChallenges(t, a.get(t, "DPoP", good, "DPoP", good), 401, bareBearer, challengeWithError("DPoP", badProof))
	forged := good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 86)
	requireChallenges(t, a.get(t, "DPoP", forged), 401, bareBearer, challengeWithError("DPoP", badProof))
	require.Equal(t, 418, a.get(t, "DPoP", good).StatusCode)
	requireChallenges(t, a.get(t, "DPoP", good), 401, bareBearer, challengeWithError("DPoP", replayedProof))
	// The claim htu of a proof is a URL. The check of the proof ignores the query and the fragment
	// of this URL and accepts other spellings of the same URL.
	for _, htu := range []string{ordersURL + "?a=b#c", "HTTPS://API.EXAMPLE:443/%6Frders", "https://api.example/x/../orders"} {
		resp := a.getEdited(t, func(_, c object) { c["htu"] = htu })
		require.Equal(t, 418, resp.StatusCode, htu)
	}
	// This proof is valid, but it is signed with another key than the key of the token. So the
	// error is invalid_token and not invalid_dpop_proof (RFC 9449, section 7.1).
	other := xenaauthtest.NewDPoPClient(nil)
	other.Token = a.client.Token
	requireChallenges(t, a.get(t, "DPoP", other.Proof(http.MethodGet, ordersURL)), 401, bareBearer, challengeWithError("DPoP", unshownError))
}

// Each challenge with the scheme DPoP has the parameter algs. If a route accepts Bearer and DPoP,
// the response has a challenge for each of them. If the route requires a proof, the response has
// only the challenge for DPoP. The error is in the challenge for the scheme that the client used
// (RFC 9449, section 7.2). If the route does not offer this scheme, the error is in the challenge
// for DPoP.
func TestD3_Challenges(t *testing.T) {
	const badToken = `error="invalid_token", error_description="The access token is not active."`
	for name, required := range map[string]bool{"accepted": false, "required": true} {
		t.Run(name, func(t *testing.T) {
			a := serveDPoP(t, required, nil)
			both := func(bearer, proof string) []string {
				if required {
					return []string{proof}
				}
				return []string{bearer, proof}
			}
			w := send(a.client.Handler, newRequest("Basic eDp5"))
			requireChallenges(t, w.Result(), 401, both(bareBearer, bareDPoP)...)
			w = send(a.client.Handler, newRequest("DPoP x"))
			requireChallenges(t, w.Result(), 401, both(bareBearer, challengeWithError("DPoP", badToken))...)
			w = send(a.client.Handler, newRequest("Bearer x"))
			if required {
				requireChallenges(t, w.Result(), 401, challengeWithError("DPoP", badToken))
			} else {
				requireChallenges(t, w.Result(), 401, challengeWithError("Bearer", badToken), bareDPoP)
			}
			require.Equal(t, 418, a.get(t).StatusCode)
		})
	}
}

// If nonces are configured, each DPoP proof must contain a nonce from the service (RFC 9449,
// section 11.3). If a proof has no nonce, the request is refused, and the response contains a nonce
// (section 9). The client then sends the request again with this nonce.
func TestD4_Nonce(t *testing.T) {
	a := serveDPoP(t, false, func(c *dpop.Config) { c.NonceSecrets = [][]byte{[]byte(strings.Repeat("n", 32))} })
	proof := a.client.Proof(http.MethodGet, ordersURL)
	resp := a.get(t, "DPoP", proof)
	requireChallenges(t, resp, 401, bareBearer, challengeWithError("DPoP", needsNonce))
	require.Len(t, resp.Header.Values("DPoP-Nonce"), 1)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	require.Equal(t, 418, a.get(t).StatusCode, "the client uses the nonce")
	for range 3 {
		a.client.Edit = func(_, c map[string]any) { c["nonce"] = nil }
		without := a.client.Proof(http.MethodGet, ordersURL)
		a.client.Edit = nil
		requireChallenges(t, a.get(t, "DPoP", without), 401, bareBearer, challengeWithError("DPoP", needsNonce))
	}
	// A client that sends a bound token without a DPoP proof also gets a nonce, because the library
	// knows the key of the token. A client that sends no valid token gets no nonce.
	w := send(a.client.Handler, newRequest("DPoP "+a.client.Token))
	requireChallenges(t, w.Result(), 401, bareBearer, challengeWithError("DPoP", badProof))
	require.Len(t, w.Header().Values("DPoP-Nonce"), 1)
	require.Empty(t, send(a.client.Handler, newRequest("DPoP x")).Header().Values("DPoP-Nonce"))
	require.Empty(t, send(a.client.Handler, newRequest("Basic eDp5")).Header().Values("DPoP-Nonce"))
}

// A client sends a nonce in each DPoP proof. Some time before this nonce expires, the response to
// an accepted request contains a new nonce. Caches must not store a response with a nonce (RFC
// 9449, section 8.2). If a request passes two guards, the response still has only one nonce.
func TestD5_NewNonceInTime(t *testing.T) {
	harness.FakeTime(t, func(t *testing.T) {
		a := serveDPoP(t, false, func(c *dpop.Config) {
			c.NonceSecrets, c.NonceLifetime = [][]byte{[]byte(strings.Repeat("n", 32))}, 2*time.Minute
		})
		inner := a.m.Require(xenaauth.AnyUser())(harness.Teapot)
		a.client.Handler = a.m.Require(xenaauth.AnyUser())(inner)
		require.Equal(t, 418, a.get(t).StatusCode)
		renewed := 0
		// this loop takes ten minutes of fake time, and no request of the client is refused
		for range 60 {
			time.Sleep(10 * time.Second)
			resp := a.get(t, "DPoP", a.client.Proof(http.MethodGet, ordersURL))
			require.Equal(t, 418, resp.StatusCode)
			switch len(resp.Header.Values("DPoP-Nonce")) {
			case 0:
				require.Empty(t, resp.Header.Get("Cache-Control"))
			case 1:
				require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
				renewed++
			default:
				t.Fatal(resp.Header)
			}
		}
		require.InDelta(t, 10, renewed, 1, "one new nonce for each half of the lifetime")
	})
}

// A request with two Authorization fields gets status 400. It is unclear which scheme the client
// means, so the challenge for Bearer and the challenge for DPoP both contain the error (RFC 9449,
// section 7.2).
func TestD6_TwoAuthorizationFields(t *testing.T) {
	a := serveDPoP(t, false, nil)
	for _, schemes := range [][2]string{{"Bearer ", "DPoP "}, {"DPoP ", "Bearer "}, {"DPoP ", "DPoP "}} {
		r := newRequest("")
		r.Header["Authorization"] = []string{schemes[0] + a.client.Token, schemes[1] + a.client.Token}
		r.Header.Set("DPoP", a.client.Proof(http.MethodGet, ordersURL))
		requireChallenges(t, send(a.client.Handler, r).Result(), 400, challengeWithError("Bearer", requestError), challengeWithError("DPoP", requestError))
	}
	// If a proof is required, the response has only the challenge for DPoP.
	a = serveDPoP(t, true, nil)
	r := newRequest("")
	r.Header["Authorization"] = []string{"Bearer a", "DPoP a"}
	requireChallenges(t, send(a.client.Handler, r).Result(), 400, challengeWithError("DPoP", requestError))
}

// The claim cnf may contain several members. The library ignores unknown members, such as the one
// that Keycloak adds, if a proof of possession confirms a known member. The token is refused if cnf
// has no known member, or if cnf has a known member that no proof confirms (RFC 7800, section 3.1).
func TestC1_MembersOfCnf(t *testing.T) {
	a := serveDPoP(t, false, nil)
	jkt := a.client.Thumbprint()
	type object = map[string]any
	for name, tt := range map[string]struct {
		cnf    any
		status int
	}{
		"Keycloak":              {object{"jkt": jkt, "kc-jkt-type": "Binary"}, 418},
		"unknown members":       {object{"jkt": jkt, "jwk": object{"kty": "EC"}, "x": []int{1}}, 418},
		"unknown members only":  {object{"kc-jkt-type": "Binary"}, 401},
		"no members":            {object{}, 401},
		"a certificate too":     {object{"jkt": jkt, "x5t#S256": strings.Repeat("A", 43)}, 401},
		"jkt with padding":      {object{"jkt": jkt + "="}, 401},
		"jkt in another case":   {object{"JKT": jkt}, 401},
		"two spellings":         {object{"jkt": jkt, "JKT": jkt}, 401},
		"a list":                {object{"jkt": []string{jkt}}, 401},
		"a text instead of cnf": {jkt, 401},
		"an empty thumbprint":   {object{"jkt": ""}, 401},
	} {
		for _, token := range []string{
			a.issuer.JWT(xenaauthtest.Token{Claims: object{"cnf": tt.cnf}}),
			a.issuer.Opaque(xenaauthtest.Token{Claims: object{"cnf": tt.cnf}}),
		} {
			a.client.Token = token
			resp := a.get(t)
			require.Equal(t, tt.status, resp.StatusCode, name)
			if tt.status == 401 {
				require.Equal(t, []string{bareBearer, challengeWithError("DPoP", unshownError)}, resp.Header.Values("WWW-Authenticate"), name)
			}
		}
	}
}

// A log line about a refused DPoP proof contains no token, no proof, no jti and no nonce. If a
// request is refused because its proof has no nonce, the line has the level Debug.
func TestLogOfProofs(t *testing.T) {
	a := serveDPoP(t, false, func(c *dpop.Config) { c.NonceSecrets = [][]byte{[]byte(strings.Repeat("n", 32))} })
	first := a.client.Proof(http.MethodGet, ordersURL)
	resp := a.get(t, "DPoP", first)
	nonce := resp.Header.Get("DPoP-Nonce")
	a.client.Edit = func(_, c map[string]any) { c["jti"] = "some-jti" }
	proof := a.client.Proof(http.MethodGet, ordersURL)
	a.client.Edit = nil
	require.Equal(t, 418, a.get(t, "DPoP", proof).StatusCode)
	require.Equal(t, 401, a.get(t, "DPoP", proof).StatusCode)
	require.Equal(t, 401, a.get(t, "DPoP", proof, "Authorization", "Bearer "+a.client.Token).StatusCode)
	w := send(a.client.Handler, newRequest("DPoP "+a.client.Token, "DPoP", proof))
	require.Equal(t, 401, w.Code)
	all := strings.Join(a.log.Lines, "\n")
	for _, secret := range append(strings.Split(proof, "."), strings.Split(first, ".")...) {
		require.NotContains(t, all, secret)
	}
	for _, secret := range []string{a.client.Token, "some-jti", nonce, strings.Split(a.client.Token, ".")[1]} {
		require.NotContains(t, all, secret)
	}
	require.Contains(t, all, "DEBUG")
	require.Contains(t, all, "the proof has no nonce")
	require.Contains(t, all, "the jti of the proof was used before")
}

// If the token of a request is valid but its DPoP proof is missing or refused, the event of the
// request (Options.Event) names the client and the user of the token, and the log line of the
// refusal names the client. This helps to find a stolen token, or a client that still sends bearer
// tokens.
func TestEventOfRefusedProofs(t *testing.T) {
	a := serveDPoP(t, true, nil)
	var events []xenaauth.Event
	a.m = xenaauth.NewMiddleware(harness.NewValidator(t, a.issuer.HybridConfig()), &xenaauth.Options{
		Proofs: []xenaauth.Proof{a.proof}, RequireProof: true, Logger: slog.New(a.log),
		Event: func(_ context.Context, e xenaauth.Event) { events = append(events, e) },
	})
	a.client.Handler = a.m.Require(xenaauth.AnyUser())(harness.Teapot)
	a.client.Token = a.issuer.JWT(xenaauthtest.Token{Subject: "ann", ClientID: "app", BoundTo: a.client})
	plain := a.issuer.JWT(xenaauthtest.Token{Subject: "ann", ClientID: "app"})
	proof := a.client.Proof(http.MethodGet, ordersURL)
	require.Equal(t, 418, a.get(t, "DPoP", proof).StatusCode)
	require.Equal(t, 401, a.get(t, "DPoP", proof).StatusCode)
	require.Equal(t, 401, a.get(t, "Authorization", "Bearer "+plain).StatusCode)
	require.Equal(t, 401, send(a.client.Handler, newRequest("DPoP "+a.client.Token)).Code)
	require.Equal(t, 401, send(a.client.Handler, newRequest("DPoP x")).Code)
	require.Len(t, events, 5)
	for i, reason := range []xenaauth.Reason{"", xenaauth.ReasonProofReplayed, xenaauth.ReasonConfirmation, xenaauth.ReasonProof} {
		e := events[i]
		require.Equal(t, "ann", e.User.Subject(), i)
		require.Equal(t, "app", e.ClientID, i)
		if reason != "" {
			require.Equal(t, xenaauth.OutcomeRefused, e.Outcome)
			require.Equal(t, reason, e.Err.Reason)
		}
	}
	require.Nil(t, events[4].User)
	require.Equal(t, 3, strings.Count(strings.Join(a.log.Lines, "\n"), "client_id=app"))
}
