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

// The type answer contains what the tests compare in a response of the API.
type answer struct {
	status                int
	challenge, retryAfter string
	// the field reason is the member reason of the problem details in a refusal
	reason string
	// subject and client belong to the user that the handler of the API found in the context
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

// The function get sends a GET request with a token to a route of the API and returns what the
// tests compare.
func get(t *testing.T, api *httptest.Server, path, token string) answer {
	t.Helper()
	resp := send(t, api.Client(), http.MethodGet, api.URL+path, nil, http.Header{"Authorization": {"Bearer " + token}})
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

// The function send sends a request and reads the complete response. The body is form, encoded as a
// form.
func send(t *testing.T, c *http.Client, method, target string, form url.Values, header http.Header) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	if form != nil {
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

// The function accepted returns the response that the test expects if the API accepts a token of
// the user. client is the client to which the token was issued.
func accepted(client string) answer {
	return answer{status: http.StatusOK, subject: userID, client: client}
}

// The function invalid returns the refusal with status 401 that the test expects on a route that
// requires the scope testapi.
func invalid(reason xenaauth.Reason, description string) answer {
	return answer{
		status:    http.StatusUnauthorized,
		reason:    string(reason),
		challenge: `Bearer realm="xena", error="invalid_token", error_description="` + description + `", scope="testapi"`,
	}
}

// withoutScope returns the refusal a without the parameter scope in its challenge. A route that
// requires no scope sends the refusal in this form.
func withoutScope(a answer) answer {
	a.challenge, _, _ = strings.Cut(a.challenge, `, scope=`)
	return a
}

// The function lacking returns the refusal with status 403 that the test expects on a route that
// requires the given scope, if the token lacks this scope.
func lacking(scope string) answer {
	return answer{
		status:    http.StatusForbidden,
		reason:    string(xenaauth.ReasonInsufficientScope),
		challenge: `Bearer realm="xena", error="insufficient_scope", error_description="The access token lacks a scope.", scope="` + scope + `"`,
	}
}

// These variables are refusals that several tests expect.
var (
	unavailable = answer{status: http.StatusServiceUnavailable, retryAfter: "1", reason: string(xenaauth.ReasonUnavailable)}
	inactive    = invalid(xenaauth.ReasonInactive, "The access token is not active.")
	notAccess   = invalid(xenaauth.ReasonTokenType, "The token is not an access token.")
	unknownKey  = invalid(xenaauth.ReasonUnknownKey, "The access token is signed with an unknown key.")
)
