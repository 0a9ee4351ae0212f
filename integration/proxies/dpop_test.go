package proxies

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestDPoP sends DPoP proofs through each proxy that terminates TLS. A DPoP proof names the URL
// that the client uses. This URL contains the address of the proxy, and not that of xenagate, which
// is behind the proxy.
func TestDPoP(t *testing.T) {
	eachTLS(t, func(t *testing.T, e *tlsEnv) {
		client := xenaauthtest.NewDPoPClient(nil)
		client.Transport = e.transport()
		client.Token = e.issuer.JWT(xenaauthtest.Token{Subject: "anna", BoundTo: client})
		send := func(method, target, proof string) (status int, reason string) {
			t.Helper()
			r, err := http.NewRequest(method, publicOrigin+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			if proof != "" {
				r.Header["Dpop"] = []string{proof}
			}
			res, err := client.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			var problem struct{ Reason string }
			_ = json.Unmarshal(body, &problem)
			return res.StatusCode, problem.Reason
		}
		for _, target := range []string{"/Api/a", "/Api/a?b=c", "/Api/%61~b"} {
			if status, reason := send("GET", target, ""); status != 200 {
				t.Errorf("%s: %d %s", target, status, reason)
			}
		}
		for name := range *e.lastHeader.Load() {
			if name == "Dpop" || name == "Authorization" {
				t.Errorf("the service got %s", name)
			}
		}
		proof := client.Proof("POST", publicOrigin+"/Api/a")
		if status, reason := send("POST", "/Api/a", proof); status != 200 {
			t.Errorf("%d %s", status, reason)
		}
		for name, c := range map[string]struct{ proof, reason string }{
			"used before":               {proof, "proof_replayed"},
			"the address behind":        {client.Proof("POST", "http://127.0.0.1:8080/Api/a"), "proof"},
			"the scheme behind":         {client.Proof("POST", "http://api.example/Api/a"), "proof"},
			"another method":            {client.Proof("GET", publicOrigin+"/Api/a"), "proof"},
			"another path":              {client.Proof("POST", publicOrigin+"/Api/b"), "proof"},
			"not a proof":               {"a.b.c", "proof"},
			"the key of another client": {xenaauthtest.NewDPoPClient(nil).Proof("POST", publicOrigin+"/Api/a"), "confirmation"},
		} {
			if status, reason := send("POST", "/Api/a", c.proof); status != 401 || reason != c.reason {
				t.Errorf("%s: %d %s, want %s", name, status, reason, c.reason)
			}
		}
	})
}
