package zitadel_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// These constants are the routes of the API. The server grants the scope testapi to the client that
// the tests use, and the scope testapi.admin to no client.
const (
	full   = "/full"   // this route requires the scope testapi
	admin  = "/admin"  // this route requires the scope testapi.admin
	anyone = "/anyone" // this route requires any valid token
)

// An answer contains those parts of a response of the API that the tests compare.
type answer struct {
	status                int
	challenge, retryAfter string
	// the value of reason in the problem details of a refusal
	reason string
	// The handler of the API reads the user from the context of the request. subject and client are
	// the subject and the client of this user.
	subject, client string
}

// startAPI starts an API that accepts tokens of the server. xenaauth checks the tokens.
func startAPI(t *testing.T, cfg xenaauth.Config) *httptest.Server {
	t.Helper()
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	mux := http.NewServeMux()
	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := xenaauth.UserFromContext(r.Context())
		_ = json.NewEncoder(w).Encode(map[string]string{"subject": user.Subject(), "client": user.ClientID()})
	})
	mux.Handle("GET "+full, auth.Require(xenaauth.AllScopes(scope))(whoami))
	mux.Handle("GET "+admin, auth.Require(xenaauth.AllScopes("testapi.admin"))(whoami))
	mux.Handle("GET "+anyone, auth.Require(xenaauth.AnyUser())(whoami))
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	return api
}

// get sends a GET request with a token to a route of the API. It returns the status and the other
// parts of the response that the type answer lists.
func get(t *testing.T, api *httptest.Server, path, token string) answer {
	t.Helper()
	resp := sendForm(t, api.Client(), http.MethodGet, api.URL+path, nil, http.Header{"Authorization": {"Bearer " + token}})
	a := answer{
		status:     resp.StatusCode,
		challenge:  strings.Join(resp.Header.Values("WWW-Authenticate"), "\n"),
		retryAfter: resp.Header.Get("Retry-After"),
	}
	var body struct{ Reason, Subject, Client string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatalf("body: %v", err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK && got != "application/problem+json" {
		t.Errorf("the content type of a refusal is %q", got)
	}
	a.reason, a.subject, a.client = body.Reason, body.Subject, body.Client
	return a
}

// sendForm sends a request and reads the complete response. The body of the request contains
// formValues in the encoding of HTML forms.
func sendForm(t *testing.T, c *http.Client, method, target string, formValues url.Values, header http.Header) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(formValues.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	if formValues != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}

func check(t *testing.T, what string, got, want answer) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// acceptedAnswer returns the response that the test expects if the API accepts a token of the user.
// The parameter client is the client to which the token was issued.
func acceptedAnswer(client string) answer {
	return answer{status: http.StatusOK, subject: userID, client: client}
}

// invalidToken returns the refusal with status 401 that the test expects on a route that requires
// the scope testapi.
func invalidToken(reason xenaauth.Reason, description string) answer {
	return answer{
		status:    http.StatusUnauthorized,
		reason:    string(reason),
		challenge: `Bearer realm="xena", error="invalid_token", error_description="` + description + `", scope="testapi"`,
	}
}

// removeScopeParam returns a copy of a refusal. The challenge in the copy has no scope parameter.
// The tests expect such a challenge from a route that requires no scope.
func removeScopeParam(refusal answer) answer {
	refusal.challenge, _, _ = strings.Cut(refusal.challenge, `, scope=`)
	return refusal
}

// missingScope returns the refusal with status 403 that the test expects on a route that requires
// the given scope, if the token lacks this scope.
func missingScope(scope string) answer {
	return answer{
		status:    http.StatusForbidden,
		reason:    string(xenaauth.ReasonInsufficientScope),
		challenge: `Bearer realm="xena", error="insufficient_scope", error_description="The access token lacks a scope.", scope="` + scope + `"`,
	}
}

// These variables are refusals that several tests expect.
var (
	unavailable = answer{status: http.StatusServiceUnavailable, retryAfter: "1", reason: string(xenaauth.ReasonUnavailable)}
	inactive    = invalidToken(xenaauth.ReasonInactive, "The access token is not active.")
	notAccess   = invalidToken(xenaauth.ReasonTokenType, "The token is not an access token.")
	unknownKey  = invalidToken(xenaauth.ReasonUnknownKey, "The access token is signed with an unknown key.")
)
