package xenaauthtest

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// publicOrigin is the origin of the API in the tests with proofs of possession. The clients name
// this origin in their proofs and in the Host field. Their requests go to a server on a loopback
// port.
const publicOrigin = "https://api.example"

// boundRoutes returns the routes of the tests with proofs of possession.
func boundRoutes() []Guarded {
	a := []xenaauth.Requirement{xenaauth.AllScopes("a")}
	return []Guarded{
		{Method: http.MethodGet, Path: "/", Require: a, Serve: greetUser},
		{Method: http.MethodPost, Path: "/", Require: a, Serve: greetUser},
		{Method: http.MethodGet, Path: "/nested", Group: a, Require: a, Serve: greetUser},
		{Method: http.MethodGet, Path: "/optional", Optional: true, Serve: greetUser},
		{Method: http.MethodGet, Path: "/bound", Require: append([]xenaauth.Requirement{xenaauth.BoundToken()}, a...), Serve: greetUser},
	}
}

// middlewareSuite.boundToken returns a token of the user ann with the scope "a". The token is bound
// to the key of the client c.
func (s *middlewareSuite) boundToken(c *Client) string {
	return s.issuer.JWT(Token{
		Subject: "ann", Scopes: []string{"a"}, BoundTo: c, Claims: map[string]any{"aud": s.issuer.API()},
	})
}

// boundExchange is a request with a proof of possession that TestMiddleware sends, and the response
// that it expects.
type boundExchange struct {
	name        string
	client      *Client
	method      string // method is the HTTP method of the request; "" means GET
	path        string // path is the path of the request; "" means "/"
	header      http.Header
	wantRefusal refusalDetails // wantRefusal is the zero value if the request passes
	// If hasScope is true, the request is refused although its token has the scope that the route
	// requires. So the challenge names no scope.
	hasScope bool
}

// refusalDetails contains the parts of an expected refusal that depend on its reason.
type refusalDetails struct {
	reason      xenaauth.Reason
	code        string // code is the error code in the challenge
	description string // description is error_description in the challenge, and detail in the body
}

// middlewareSuite.runBound sends a request with a proof of possession, and checks the response.
// schemes are the authentication schemes that the challenges of the route must name.
func (s *middlewareSuite) runBound(t *testing.T, m *guardedServer, name string, schemes []string, c boundExchange) {
	t.Run(name, func(t *testing.T) {
		m.reportErrorsTo(t)
		m.reset()
		if c.method == "" {
			c.method = http.MethodGet
		}
		if c.path == "" {
			c.path = "/"
		}
		req, err := http.NewRequestWithContext(t.Context(), c.method, m.server.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = strings.TrimPrefix(publicOrigin, "https://")
		for field, values := range c.header {
			req.Header[field] = values
		}
		c.client.Transport = m.server.Client().Transport
		resp, err := c.client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		body := string(raw)
		served, events, _ := m.reset()
		if len(events) != 1 {
			t.Errorf("%d events, want 1", len(events))
		}
		if c.wantRefusal.reason == "" {
			if resp.StatusCode != http.StatusOK || body != "hello ann" || served != 1 {
				t.Errorf("status %d %s, the handler ran %d times, want 200", resp.StatusCode, body, served)
			}
			wantField(t, resp.Header, "WWW-Authenticate", "")
			return
		}
		if served != 0 {
			t.Errorf("the handler ran %d times", served)
		}
		scope := "a"
		if c.path == "/optional" || c.hasScope {
			scope = ""
		}
		c.wantRefusal.answer(scope).compare(t, c.method, resp, body)
		sent := resp.Request.Header["Authorization"]
		if want := c.wantRefusal.challenges(scope, sent, schemes); !slices.Equal(resp.Header["Www-Authenticate"], want) {
			t.Errorf("WWW-Authenticate %q\nwant %q", resp.Header["Www-Authenticate"], want)
		}
	})
}

// refusalDetails.answer returns the expected response for a refusal, but without its challenges:
// runBound compares them itself with the result of refusalDetails.challenges.
func (f refusalDetails) answer(scope string) answer {
	switch f.reason {
	case xenaauth.ReasonUnavailable:
		return outageAnswer("1")
	case xenaauth.ReasonMissingToken:
		a := noTokenAnswer(scope)
		a.challenge = anyChallenge
		return a
	}
	a := invalidAnswer(string(f.reason), f.description)
	if f.reason == xenaauth.ReasonMalformedRequest {
		a = malformedAnswer()
	}
	a.body = strings.Replace(a.body, "invalid_token", f.code, 1)
	a = a.withScope(scope)
	a.challenge = anyChallenge
	return a
}

// refusalDetails.challenges returns the expected challenges of a refusal, one for each
// authentication scheme of the route. The error is in the challenge of the scheme that the request
// used. If this scheme is unclear or is not offered, the error is in each challenge.
func (f refusalDetails) challenges(scope string, authorization, schemes []string) []string {
	usesScheme := func(scheme string) bool {
		return len(authorization) == 1 && strings.HasPrefix(strings.ToLower(authorization[0]), strings.ToLower(scheme)+" ")
	}
	var all []string
	for _, scheme := range schemes {
		text := scheme + ` realm="xena"`
		if f.code != "" && (usesScheme(scheme) || !slices.ContainsFunc(schemes, usesScheme)) {
			text += `, error="` + f.code + `", error_description="` + f.description + `"`
		}
		if scope != "" {
			text += `, scope="` + scope + `"`
		}
		if scheme == "DPoP" {
			text += `, algs="` + allAlgorithms + `"`
		}
		all = append(all, text)
	}
	return all
}
