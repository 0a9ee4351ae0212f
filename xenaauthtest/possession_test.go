package xenaauthtest_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestBoundTokens sends bound tokens to an API. The tokens are JWTs and opaque tokens in the form
// of each version of IdentityServer. Each token is bound to the key of one client. The API must
// accept the token from this client, and refuse it from a second client with another key.
func TestBoundTokens(t *testing.T) {
	proofs := []xenaauth.Proof{
		newKey[xenaauth.Proof](dpop.New(dpop.Config{PublicOrigins: []string{"https://api.example"}})),
		newKey[xenaauth.Proof](mtls.New(mtls.Config{})),
	}
	for _, version := range versions {
		t.Run(version.String(), func(t *testing.T) {
			issuer := fastIssuer(version)
			auth := xenaauth.NewMiddleware(newKey(xenaauth.NewValidator(issuer.HybridConfig())), &xenaauth.Options{
				Proofs: proofs, RequireProof: true, Logger: slog.New(slog.DiscardHandler),
			})
			api := auth.Require(xenaauth.AnyUser())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			for name, newClient := range map[string]func() *xenaauthtest.Client{
				"DPoP": func() *xenaauthtest.Client { return xenaauthtest.NewDPoPClient(nil) },
				"mTLS": func() *xenaauthtest.Client { return xenaauthtest.NewMTLSClient(nil) },
			} {
				client, thief := newClient(), newClient()
				client.Handler, thief.Handler = api, api
				bound := xenaauthtest.Token{BoundTo: client}
				tokens := map[string]string{"JWT": issuer.JWT(bound), "opaque token": issuer.Opaque(bound)}
				if name == "DPoP" { // Keycloak writes a member that other servers do not know
					bound.Claims = object{"cnf": object{"jkt": client.Thumbprint(), "kc-jkt-type": "Binary"}}
					tokens["JWT of Keycloak"], tokens["opaque token of Keycloak"] = issuer.JWT(bound), issuer.Opaque(bound)
				}
				for kind, token := range tokens {
					client.Token, thief.Token = token, token
					if status := sendRequest(t, client, "GET", "https://api.example/", nil); status != http.StatusOK {
						t.Errorf("%s, %s: status %d for the client", name, kind, status)
					}
					if status := sendRequest(t, thief, "GET", "https://api.example/", nil); status != http.StatusUnauthorized {
						t.Errorf("%s, %s: status %d for a thief", name, kind, status)
					}
				}
			}
			machine := xenaauthtest.NewDPoPClient(nil)
			_, claims := decode(t, issuer.JWT(xenaauthtest.Token{Machine: true, BoundTo: machine, Lifetime: time.Minute}))
			equal(t, "cnf of a client's token", claims["cnf"], any(object{"jkt": machine.Thumbprint()}))
		})
	}
}
