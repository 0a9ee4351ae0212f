package zitadel_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
)

type object = map[string]any

// TestDialect requires that the tokens and responses of the server have the form that the table in
// the README describes. If a new version of the server behaves differently, the test fails.
func TestDialect(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	jwt, opaque := loginWithNonce(t, s, jwtClient, "nonce", "openid", "profile", scope), login(t, s, opaqueClient, "openid", scope)

	header, claims := decodeSegment(t, jwt.AccessToken, 0), decodeSegment(t, jwt.AccessToken, 1)
	is(t, "header of a JWT", names(header), "alg kid typ")
	is(t, "alg and typ", fmt.Sprint(header["alg"], " ", header["typ"]), "RS256 JWT")
	is(t, "claims of a JWT", names(claims), "aud client_id exp iat iss jti nbf scope sub")
	is(t, "iss", claims["iss"], s.URL)
	is(t, "aud", fmt.Sprint(claims["aud"]), "[testapi]")
	is(t, "sub, client_id and scope", fmt.Sprint(claims["sub"], claims["client_id"], claims["scope"]), "id1web-jwtopenid profile testapi")
	is(t, "lifetime", claims["exp"].(float64)-claims["iat"].(float64), 300.0)

	service := decodeSegment(t, clientCredentials(t, s, scope), 1)
	is(t, "claims of a service", names(service), "aud client_id exp iat iss jti nbf scope sub")
	is(t, "sub of a service", service["sub"], service["client_id"])

	id := decodeSegment(t, jwt.IDToken, 1)
	is(t, "header of an ID token", fmt.Sprint(decodeSegment(t, jwt.IDToken, 0)), fmt.Sprint(header))
	is(t, "claims of an ID token", names(id), "amr at_hash aud auth_time azp c_hash client_id exp iat iss nonce sub")
	is(t, "aud of an ID token", fmt.Sprint(id["aud"]), "[testapi web-jwt]")
	is(t, "claims of a bare ID token", names(decodeSegment(t, implicitToken(t, s, ""), 1)), "amr aud auth_time azp client_id exp iat iss sub")
	is(t, "claims of an exchanged ID token", names(decodeSegment(t, exchangedToken(t, s), 1)), "aud auth_time azp client_id exp iat iss sub")

	is(t, "segments of an opaque token", len(strings.Split(opaque.AccessToken, ".")), 5)
	is(t, "its first", names(decodeSegment(t, opaque.AccessToken, 0)), "alg enc iv kid tag")
	_, active := introspect(t, s, apiSecret, opaque.AccessToken)
	is(t, "answer about a token", names(active), "active aud client_id exp scope sub")
	_, unknown := introspect(t, s, apiSecret, "another")
	is(t, "answer about another", fmt.Sprint(unknown), "map[active:false]")

	keys := sendForm(t, s.Client(), http.MethodGet, s.URL+keysPath, nil, nil)
	is(t, "Cache-Control and ETag of the keys", keys.Header.Get("Cache-Control")+keys.Header.Get("ETag"), "")
}

// The server's JWTs have the typ JWT. An API that requires the typ at+jwt (RFC 9068) refuses them.
func TestProfileRFC9068(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	cfg := s.config()
	cfg.Profile = xenaauth.ProfileRFC9068
	check(t, full, get(t, startAPI(t, cfg), full, login(t, s, jwtClient, "openid", scope).AccessToken), notAccess)
}

// The server has two front ends: two implementations of its endpoints. If the API's secret is
// wrong, their introspection endpoints send different responses, one of them without JSON.
func TestDialectOfRefusedCredentials(t *testing.T) {
	t.Parallel()
	status, problem := introspect(t, startServer(t, provider), "wrong", "token")
	is(t, "provider", fmt.Sprint(status, problem), "401 map[]")
	status, problem = introspect(t, startServer(t, webServer), "wrong", "token")
	is(t, "webServer", fmt.Sprint(status, problem), "400 map[error:unauthorized_client]")
}

// introspect sends an introspection request with the credentials of the API to the server. It
// returns the status of the response and, if the body is JSON, its members.
func introspect(t *testing.T, s *server, secret, token string) (status int, answer object) {
	t.Helper()
	basic := url.QueryEscape(audience) + ":" + url.QueryEscape(secret)
	resp := sendForm(t, s.Client(), http.MethodPost, s.URL+introspectionPath, url.Values{"token": {token}},
		http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(basic))}})
	if resp.Header.Get("Content-Type") == "application/json" {
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, answer
}

// decodeSegment decodes one segment of a token, for example the payload of a JWT, as JSON.
func decodeSegment(t *testing.T, token string, segment int) (o object) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[segment])
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		t.Fatalf("segment %d: %v", segment, err)
	}
	return o
}

func names(o object) string { return strings.Join(slices.Sorted(maps.Keys(o)), " ") }

func is(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
