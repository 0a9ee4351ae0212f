package xenaauthtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// boundAPI is a service of which some routes require a token that is bound to a key.
type boundAPI struct {
	issuer *xenaauthtest.Issuer
	mux    xenaauthtest.Mux
}

func newBoundAPI(t *testing.T, opts xenaauth.Options) *boundAPI {
	t.Helper()
	a := &boundAPI{issuer: fastIssuer(xenaauthtest.IdentityServer4)}
	v, err := xenaauth.NewValidator(a.issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &opts)
	bound := xenaauth.BoundToken()
	registerRoutes(&a.mux, map[string]http.Handler{
		"POST /payments": auth.Require(bound, xenaauth.AllScopes("pay"))(answers(200)),
		"GET /key":       auth.Require(bound)(answers(200)),
		"GET /staff":     auth.Require(xenaauth.AllScopes("testapi"))(answers(200)),
	})
	return a
}

// boundAPI.coverage returns a Coverage that declares every route of the service correctly. The
// client, which may be nil, is for the routes that require a bound token.
func (a *boundAPI) coverage(client *xenaauthtest.Client) xenaauthtest.Coverage {
	token := xenaauthtest.Token{Scopes: []string{}}
	c := xenaauthtest.Coverage{
		Handler: &a.mux, Routes: a.mux.Routes(), AnyUser: []string{"GET /key"}, Token: a.issuer.JWT(token),
		Client: client, Origin: "https://api.example",
	}
	if client != nil {
		token.BoundTo = client
		client.Token = a.issuer.JWT(token)
	}
	return c
}

func dpopOptions(t *testing.T) xenaauth.Options {
	t.Helper()
	proof, err := dpop.New(dpop.Config{
		PublicOrigins: []string{"https://api.example"}, NonceSecrets: [][]byte{[]byte(strings.Repeat("n", 32))},
	})
	if err != nil {
		t.Fatal(err)
	}
	return xenaauth.Options{Proofs: []xenaauth.Proof{proof}}
}

func mtlsOptions(t *testing.T) xenaauth.Options {
	t.Helper()
	proof, err := mtls.New(mtls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return xenaauth.Options{Proofs: []xenaauth.Proof{proof}}
}

const boundTable = "| Method | Route | Requires |\n| --- | --- | --- |\n" +
	"| GET | `/key` | bound token |\n| POST | `/payments` | bound token and pay |\n"

// Some routes of this test require a token that is bound to a key, by DPoP or by a client
// certificate. If Coverage.Client is set, TestRoutes tests the scopes of these routes like those of
// other routes.
func TestRoutesBound(t *testing.T) {
	for name, tt := range map[string]struct {
		opts    xenaauth.Options
		client  *xenaauthtest.Client
		require bool
	}{
		"DPoP":                       {dpopOptions(t), xenaauthtest.NewDPoPClient(nil), false},
		"certificate":                {mtlsOptions(t), xenaauthtest.NewMTLSClient(nil), false},
		"DPoP for all routes":        {dpopOptions(t), xenaauthtest.NewDPoPClient(nil), true},
		"certificate for all routes": {mtlsOptions(t), xenaauthtest.NewMTLSClient(nil), true},
	} {
		tt.opts.RequireProof = tt.require
		a := newBoundAPI(t, tt.opts)
		c := a.coverage(tt.client)
		staff := "| GET | `/staff` | testapi |\n"
		if tt.require {
			staff = "| GET | `/staff` | bound token and testapi |\n"
		}
		var fake fakeT
		table := xenaauthtest.TestRoutes(&fake, c)
		equal(t, name+": errors", fake.errors, []string(nil))
		equal(t, name+": table", table.Markdown(), boundTable+staff)

		// If all routes require a bound token, TestRoutes needs only Coverage.Client. It does not
		// need Coverage.Token.
		if tt.require {
			c.Token = ""
			xenaauthtest.TestRoutes(&fake, c)
			equal(t, name+": errors with the Client alone", fake.errors, []string(nil))
		}

		c.AnyUser = []string{"POST /payments"}
		xenaauthtest.TestRoutes(&fake, c)
		for i, text := range fake.errors {
			fake.errors[i] = strings.ReplaceAll(text, " (challenge: DPoP)", "")
		}
		equal(t, name+": errors of wrong declarations", fake.errors, []string{
			"for any user: require a scope of these routes, or declare them in AnyUser:\n\tGET /key: /key answers 200 with a token without a scope" + source(c, "/key"),
			"declared in AnyUser, but requiring more:\n\tPOST /payments: /payments answers 403 with a token without a scope" + source(c, "/payments"),
		})
	}
}

// This is the example of TestRoutes in docs/possession.md. The service here passes the test.
func TestRoutesBoundAsInTheDocumentation(t *testing.T) {
	a := newBoundAPI(t, dpopOptions(t))
	issuer, mux := a.issuer, &a.mux

	client := xenaauthtest.NewDPoPClient(nil)
	client.Token = issuer.JWT(xenaauthtest.Token{Scopes: []string{}, BoundTo: client})
	xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{
		Handler: mux,
		Routes:  mux.Routes(),
		AnyUser: []string{"GET /key"},
		// TestRoutes sends the requests to routes that require a bound token with Client. It sends the
		// requests to all other routes with Token.
		Token:  issuer.JWT(xenaauthtest.Token{Scopes: []string{}}),
		Client: client,
		Origin: "https://api.example", // one of dpop.Config.PublicOrigins
	})
}

// A message of TestRoutes has one line for each route. The line ends with the place where the route
// is registered. source returns this end of the line.
func source(c xenaauthtest.Coverage, pattern string) string {
	for _, r := range c.Routes {
		if r.Pattern == pattern {
			return " (" + r.Source + ")"
		}
	}
	return ""
}

// Without a Client, TestRoutes says which checks it could not make. It never says that a bound route
// is open, and does not advise Public.
func TestRoutesBoundWithoutClient(t *testing.T) {
	const notTested = "scopes and AnyUser not tested: these routes require a bound token, so set Coverage.Client:\n\t"
	for how, opts := range map[string]xenaauth.Options{
		" answers 401 (challenge: DPoP) without a token": dpopOptions(t),
		" answers 401 with Coverage.Token":               mtlsOptions(t),
	} {
		a := newBoundAPI(t, opts)
		var fake fakeT
		c := a.coverage(nil)
		table := xenaauthtest.TestRoutes(&fake, c)
		equal(t, "errors", fake.errors, []string{notTested +
			"GET /key: /key" + how + source(c, "/key") + "\n\t" + "POST /payments: /payments" + how + source(c, "/payments")})
		equal(t, "table", table.Markdown(), boundTable+"| GET | `/staff` | testapi |\n")

		// If Coverage has neither a Token nor a Client, TestRoutes does not test scopes. It reports
		// no error then.
		fake, c.Token = fakeT{}, ""
		xenaauthtest.TestRoutes(&fake, c)
		equal(t, "errors without a token", fake.errors, []string(nil))
	}
	a := newBoundAPI(t, dpopOptions(t))
	var fake fakeT
	c := a.coverage(xenaauthtest.NewDPoPClient(nil))
	c.Public, c.AnyUser = []string{"GET /key", "POST /payments"}, nil
	table := xenaauthtest.TestRoutes(&fake, c)
	equal(t, "table of bound routes in Public", table.Markdown(), boundTable+"| GET | `/staff` | testapi |\n")
	equal(t, "errors of bound routes in Public", fake.errors, []string{
		"declared in Public, but guarded: remove these routes from Public:\n\t" +
			"GET /key: /key answers 401 (challenge: DPoP) without a token" + source(c, "/key") + "\n\t" +
			"POST /payments: /payments answers 401 (challenge: DPoP) without a token" + source(c, "/payments"),
	})
}

// If a bound route refuses the token or the proof of the Client, the error says what is wrong.
func TestRoutesBoundWithWrongClient(t *testing.T) {
	for want, change := range map[string]func(*xenaauthtest.Coverage){
		"The proof of possession is missing or wrong.": func(c *xenaauthtest.Coverage) { c.Origin = "" },
		"The access token is malformed.":               func(c *xenaauthtest.Coverage) { c.Client.Token = "nonsense" },
	} {
		a := newBoundAPI(t, dpopOptions(t))
		c := a.coverage(xenaauthtest.NewDPoPClient(nil))
		change(&c)
		var fake fakeT
		xenaauthtest.TestRoutes(&fake, c)
		text := strings.Join(fake.errors, "\n")
		if !strings.Contains(text, "Coverage.Client is not valid there:\n\tGET /key: /key answers 401 (challenge: DPoP) with it: "+want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	a := newBoundAPI(t, dpopOptions(t))
	c := a.coverage(xenaauthtest.NewDPoPClient(nil))
	c.Client.Token = ""
	var fake fakeT
	xenaauthtest.TestRoutes(&fake, c)
	equal(t, "errors without a token", fake.errors, []string{"Coverage.Client has no Token"})
	for _, origin := range []string{"api.example", "ftp://api.example", "https://", "https://api.example/api", ":"} {
		c := a.coverage(nil)
		c.Origin = origin
		var fake fakeT
		xenaauthtest.TestRoutes(&fake, c)
		if len(fake.errors) != 1 || !strings.HasPrefix(fake.errors[0], "Coverage.Origin: \""+origin) {
			t.Errorf("Origin %q: errors %q", origin, fake.errors)
		}
	}
}

// A proxy may remove the beginning of the path. The function Edit of the Client then writes the URL
// that clients use.
func TestRoutesBoundBehindProxy(t *testing.T) {
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{"https://api.example"}, PathPrefix: "/v1"})
	if err != nil {
		t.Fatal(err)
	}
	a := newBoundAPI(t, xenaauth.Options{Proofs: []xenaauth.Proof{proof}})
	client := xenaauthtest.NewDPoPClient(nil)
	client.Edit = func(_, claims map[string]any) {
		claims["htu"] = strings.Replace(claims["htu"].(string), "https://api.example", "https://api.example/v1", 1)
	}
	xenaauthtest.TestRoutes(t, a.coverage(client))
}

// keyProof is a Proof with an authentication scheme of its own. It never confirms a key.
type keyProof struct{}

func (keyProof) Scheme() string            { return "Key" }
func (keyProof) Member() string            { return "key" }
func (keyProof) Params() map[string]string { return nil }
func (keyProof) Confirm(*http.Request, string, string) error {
	return &xenaauth.Error{Reason: xenaauth.ReasonProof}
}
func (keyProof) Respond(http.Header, *http.Request, error) {}

// A service may have a Proof with a scheme of its own. A route with such a Proof counts as guarded,
// and TestRoutes logs that it can't test the scopes of this route. A route that asks for a password
// is not guarded by xenaauth. TestRoutes reports this as an error, also if the route is declared in
// Coverage.Public.
func TestRoutesOfOtherSchemes(t *testing.T) {
	a := newBoundAPI(t, xenaauth.Options{Proofs: []xenaauth.Proof{keyProof{}}})
	password := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="metrics"`)
		w.WriteHeader(401)
	})
	c := a.coverage(xenaauthtest.NewDPoPClient(nil))
	var fake fakeT
	table := xenaauthtest.TestRoutes(&fake, c)
	equal(t, "errors", fake.errors, []string(nil))
	equal(t, "table", table.Markdown(), boundTable+"| GET | `/staff` | testapi |\n")
	equal(t, "logs", fake.logs, []string{"scopes and AnyUser not tested: no Client can make a proof for these routes:\n\t" +
		"GET /key: /key answers 401 (challenge: Key) without a token" + source(c, "/key") + "\n\t" +
		"POST /payments: /payments answers 401 (challenge: Key) without a token" + source(c, "/payments")})

	// A route with a challenge of the scheme DPoP counts as guarded, even if the challenge has no
	// parameters.
	a.mux.HandleFunc("GET /elsewhere", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "DPoP")
		w.WriteHeader(401)
	})
	fake, c.Routes = fakeT{}, a.mux.Routes()
	xenaauthtest.TestRoutes(&fake, c)
	equal(t, "errors of another guard", fake.errors, []string{
		"scopes and AnyUser not tested: the token or the proof of Coverage.Client is not valid there:\n\t" +
			"GET /elsewhere: /elsewhere answers 401 (challenge: DPoP) with it" + source(c, "/elsewhere"),
	})

	a = newBoundAPI(t, xenaauth.Options{Proofs: []xenaauth.Proof{keyProof{}}})
	a.mux.Handle("GET /metrics", password)
	c = a.coverage(nil)
	for _, public := range [][]string{nil, {"GET /metrics"}} {
		fake, c.Public = fakeT{}, public
		xenaauthtest.TestRoutes(&fake, c)
		equal(t, "errors of a password", fake.errors, []string{
			"refused, but not by a guard of xenaauth: leave these routes out of Routes:\n\t" +
				"GET /metrics: /metrics answers 401 (challenge: Basic) without a token" + source(c, "/metrics"),
		})
	}
}
