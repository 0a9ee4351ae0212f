package xenaauthtest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
)

// everyMethod are the methods with which TestRoutes calls a route that has every method. OPTIONS is
// missing, because routers and CORS handlers answer preflight requests before a route is found.
var everyMethod = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

func (r Route) methods() []string {
	if r.Method == "" {
		return everyMethod
	}
	return []string{r.Method}
}

// badToken is a token that every guard refuses with 401. It is a JWT that is not signed, so a guard
// for JWTs refuses it without a call to the issuer.
const badToken = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4ZW5hYXV0aHRlc3QifQ.AA"

// routeTest sends the requests of TestRoutes with one method to one route.
type routeTest struct {
	Coverage
	route  Route
	method string
	found  *findings    // TestRoutes adds the mistakes of this route to routeTest.found
	access *RouteAccess // TestRoutes writes what the route requires to routeTest.access
}

// Coverage.testRoute sends the requests of TestRoutes to one route, and adds the mistakes that it
// finds to the findings.
func (c Coverage) testRoute(ctx context.Context, route Route, found *findings) RouteAccess {
	access := RouteAccess{Route: route, Public: slices.Contains(c.Public, route.Name())}
	for _, method := range route.methods() {
		(&routeTest{c, route, method, found, &access}).run(ctx)
	}
	return access
}

// routeTest.add adds a line about the route to a list of findings. The parameter how is a text that
// describes the request, for example "without a token".
func (t *routeTest) add(list *[]string, o outcome, how string) {
	name := strings.TrimPrefix(t.route.Name(), t.route.Method+" ")
	line := fmt.Sprintf("%s %s: %s %s", t.method, name, o.summary, how)
	if t.route.Source != "" {
		line += " (" + t.route.Source + ")"
	}
	*list = append(*list, line)
}

// routeTest.isIn reports whether the route is declared in a list of names.
func (t *routeTest) isIn(names []string) bool { return slices.Contains(names, t.route.Name()) }

func (t *routeTest) run(ctx context.Context) {
	bare := t.send(ctx, "")
	if !bare.isChallenge() {
		t.testOpen(ctx, bare)
		return
	}
	if !t.isGuarded(ctx, bare) {
		t.access.Open = true
		t.add(&t.found.foreign, bare, "without a token")
		return
	}
	t.access.Public = false
	t.access.addScopes(bare.scopes)
	t.access.Bound = t.access.Bound || !bare.offers("Bearer")
	switch {
	case t.isIn(t.Public):
		t.add(&t.found.closed, bare, "without a token")
	case t.isIn(t.Optional):
		t.add(&t.found.required, bare, "without a token")
	default:
		t.testGuarded(ctx, bare)
	}
}

// routeTest.isGuarded reports whether the challenge in the response to a request without a token is
// that of a guard. Bearer and DPoP are the schemes of guards. A service can have a Proof with
// another scheme. A guard with this Proof refuses a bad token with the error invalid_token. A
// handler that asks for a password (Basic) does not.
func (t *routeTest) isGuarded(ctx context.Context, bare outcome) bool {
	if bare.offers("Bearer") || bare.offers("DPoP") {
		return true
	}
	return t.send(ctx, badToken).errorCode == "invalid_token"
}

// routeTest.testOpen tests a route that does not refuse a request without a token. The response to a
// bad token shows whether the route has a guard. bare is the response to the request without a
// token.
func (t *routeTest) testOpen(ctx context.Context, bare outcome) {
	bad := t.send(ctx, badToken)
	switch {
	case bad.isUnauthorized():
		t.access.Optional, t.access.Public = true, false
		if !t.isIn(t.Optional) {
			how := fmt.Sprintf("with a bad token, and %d without a token", bare.status)
			t.add(&t.found.optional, bad, how)
		}
	case t.isIn(t.Optional):
		t.access.Open = true
		t.add(&t.found.lax, bad, "with a bad token")
	case !t.isIn(t.Public):
		t.access.Open = true
		t.add(&t.found.open, bare, "without a token")
	}
}

// routeTest.testGuarded tests a route with a token without a scope. bare is the response to the
// request without a token.
func (t *routeTest) testGuarded(ctx context.Context, bare outcome) {
	scopeless, tested := t.sendScopeless(ctx, bare)
	if !tested {
		return
	}
	isRefusal, anyUser := scopeless.isChallenge(), t.isIn(t.AnyUser)
	switch {
	case isRefusal && anyUser:
		t.add(&t.found.demanding, scopeless, "with a token without a scope")
	case !isRefusal && !anyUser:
		t.add(&t.found.anyUser, scopeless, "with a token without a scope")
	}
	if isRefusal {
		t.access.addScopes(scopeless.scopes)
		isForbidden := scopeless.status == http.StatusForbidden
		t.access.Policy = t.access.Policy || isForbidden && len(scopeless.scopes) == 0
	}
}

// routeTest.sendScopeless sends a request with a token without a scope. It sends Coverage.Token, or
// lets Coverage.Client send its token if the route requires a bound token. tested is false if the
// route can't be tested with a token. bare is the response to the request without a token.
func (t *routeTest) sendScopeless(ctx context.Context, bare outcome) (o outcome, tested bool) {
	if t.Token == "" && t.Client == nil {
		return o, false
	}
	if !bare.offers("Bearer") && !bare.offers("DPoP") {
		t.add(&t.found.untestable, bare, "without a token")
		return o, false
	}
	refused, how := bare, "without a token"
	if t.Token != "" && bare.offers("Bearer") {
		o = t.send(ctx, t.Token)
		switch {
		case !o.isUnauthorized():
			return o, true
		case !o.needsBoundToken():
			t.add(&t.found.token, o, o.withReason("with it"))
			return o, false
		}
		t.access.Bound = true
		refused, how = o, "with Coverage.Token"
	}
	if t.Client == nil {
		t.add(&t.found.bound, refused, how)
		return o, false
	}
	o = t.sendBound(ctx)
	if o.isUnauthorized() {
		t.add(&t.found.client, o, o.withReason("with it"))
		return o, false
	}
	return o, true
}

// outcome describes the response of a route to a request of TestRoutes.
type outcome struct {
	summary string // summary is a text for messages, for example "/orders answers 200"
	status  int
	schemes []string // schemes are the schemes of the challenges, if the status is 401 or 403
	scopes  []string // scopes are the scopes that the challenges name
	// errorCode and description are the parameters error and error_description of the challenges
	errorCode, description string
}

// outcome.isChallenge reports whether the response is 401 or 403 with a challenge.
func (o outcome) isChallenge() bool { return len(o.schemes) > 0 }

// outcome.isUnauthorized reports whether the response is 401 with a challenge.
func (o outcome) isUnauthorized() bool {
	return o.status == http.StatusUnauthorized && o.isChallenge()
}

// outcome.offers reports whether the response has a challenge of an authentication scheme.
func (o outcome) offers(scheme string) bool {
	return slices.ContainsFunc(o.schemes, func(s string) bool { return strings.EqualFold(s, scheme) })
}

// outcome.withReason returns the text in the parameter how. If the challenges contain an
// error_description, withReason adds it to the text.
func (o outcome) withReason(how string) string {
	if o.description == "" {
		return how
	}
	return how + ": " + o.description
}

// outcome.needsBoundToken reports whether a valid token was refused because it is not bound to a
// key. The guards for client certificates have the scheme Bearer, so the scheme does not show it.
func (o outcome) needsBoundToken() bool {
	return o.description == "This resource needs an access token that is bound to a key."
}

// target is where TestRoutes sends a request: the parts of a URL.
type target struct{ scheme, host, path string }

// Coverage.origin returns the scheme and the host to which TestRoutes sends its requests. It
// returns an error if Coverage.Origin is not a scheme and a host.
func (c Coverage) origin() (target, error) {
	if c.Origin == "" {
		return target{scheme: "https", host: "example.com"}, nil
	}
	u, err := url.Parse(c.Origin)
	isWeb := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
	if !isWeb || strings.Trim(u.Path, "/") != "" {
		return target{}, fmt.Errorf("%q is not an origin such as https://api.example", c.Origin)
	}
	return target{scheme: u.Scheme, host: u.Host}, nil
}

// routeTest.target returns the target of the requests to the route.
func (t *routeTest) target() target {
	u, _ := t.origin() // TestRoutes has checked Coverage.Origin
	host, path := t.route.requestTarget(t.Params)
	if u.path = path; host != "" {
		u.host = host
	}
	return u
}

// routeTest.send sends a request with a token, or without one if token is "".
func (t *routeTest) send(ctx context.Context, token string) outcome {
	return t.exchange(ctx, func(ctx context.Context, u target) (int, http.Header, error) {
		r := httptest.NewRequestWithContext(ctx, t.method, u.path, nil)
		r.Host = u.host
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		t.Handler.ServeHTTP(w, r)
		return w.Code, w.Header(), nil
	})
}

// routeTest.sendBound lets Coverage.Client send a request with its token and its proof.
func (t *routeTest) sendBound(ctx context.Context) outcome {
	return t.exchange(ctx, func(ctx context.Context, u target) (int, http.Header, error) {
		r, err := http.NewRequestWithContext(ctx, t.method, u.scheme+"://"+u.host+u.path, nil)
		if err != nil {
			return 0, nil, err
		}
		resp, err := t.Client.withHandler(t.Handler).RoundTrip(r)
		if err != nil {
			return 0, nil, err
		}
		return resp.StatusCode, resp.Header, resp.Body.Close()
	})
}

// routeTest.exchange describes the response to the request that the function call sends. It also
// describes a panic.
func (t *routeTest) exchange(
	ctx context.Context, call func(context.Context, target) (int, http.Header, error),
) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	u := t.target()
	defer func() {
		if v := recover(); v != nil {
			o = outcome{summary: fmt.Sprintf("%s panics with %v", u.path, v)}
		}
	}()
	status, header, err := call(ctx, u)
	if err != nil {
		return outcome{summary: fmt.Sprintf("%s can't be called: %v", u.path, err)}
	}
	o = outcome{status: status, summary: fmt.Sprintf("%s answers %d", u.path, status)}
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return o
	}
	for _, challenge := range header.Values("WWW-Authenticate") {
		scheme, params, _ := strings.Cut(challenge, " ")
		o.schemes = append(o.schemes, scheme)
		o.scopes = append(o.scopes, strings.Fields(challengeParam(params, "scope"))...)
		o.errorCode += challengeParam(params, "error")
		o.description += challengeParam(params, "error_description")
	}
	switch {
	case !o.isChallenge():
		o.summary += " (no challenge)"
	case !o.offers("Bearer"):
		o.summary += " (challenge: " + strings.Join(o.schemes, ", ") + ")"
	}
	return o
}

// challengeParam returns one parameter of a challenge (the value of WWW-Authenticate), for example
// the scope. [xenaauth.Middleware] writes values in quotes, and its values contain no escaped
// character.
func challengeParam(params, name string) string {
	for params != "" {
		key, rest, _ := strings.Cut(params, `="`)
		value, after, _ := strings.Cut(rest, `"`)
		if strings.TrimLeft(key, ", ") == name {
			return value
		}
		params = after
	}
	return ""
}
