package rpcerror_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/internal/rpcerror"
)

func TestCode(t *testing.T) {
	for status, want := range map[int]uint32{
		400: rpcerror.Unauthenticated, 401: rpcerror.Unauthenticated,
		403: rpcerror.PermissionDenied, 503: rpcerror.Unavailable,
	} {
		if got := rpcerror.Code(status); got != want {
			t.Errorf("Code(%d) = %d, want %d", status, got, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	type m = map[string]string
	for _, c := range []struct {
		scopes []string
		params m
		want   m
	}{
		{nil, nil, nil},
		{[]string{"a", "b"}, nil, m{"scope": "a b"}},
		{nil, m{"max_age": "60"}, m{"max_age": "60"}},
		{[]string{"a"}, m{"max_age": "60"}, m{"max_age": "60", "scope": "a"}},
	} {
		if got := rpcerror.Metadata(c.scopes, c.params, "", ""); !maps.Equal(got, c.want) {
			t.Errorf("Metadata(%v, %v) = %v, want %v", c.scopes, c.params, got, c.want)
		}
	}
}

func TestRetryDelay(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "99999999999999999999": 0, "1": time.Second, "90": 90 * time.Second,
	} {
		if got := rpcerror.RetryDelay(text); got != want {
			t.Errorf("RetryDelay(%q) = %v, want %v", text, got, want)
		}
	}
}

// A parameter of the refusal is left out of the metadata of the RPC error if its name or value is
// not legal in a challenge. It is also left out if the middleware sets the parameter with this name
// in a challenge (here realm and scope). The metadata contains at most eight parameters of the
// refusal.
func TestMetadataHasParametersOfChallengesOnly(t *testing.T) {
	params := map[string]string{
		"acr_values": "urn:a", "realm": "evil", "scope": "evil", "Upper": "a", "line": "a\r\nb",
		"long": strings.Repeat("a", 1000),
	}
	got := rpcerror.Metadata([]string{"a"}, params, "", "")
	if len(got) != 2 || got["acr_values"] != "urn:a" || got["scope"] != "a" {
		t.Errorf("%v", got)
	}
	for i := range 50 {
		params["p"+strings.Repeat("x", i)] = "a"
	}
	if n := len(rpcerror.Metadata(nil, params, "", "")); n != 8 {
		t.Errorf("%d parameters", n)
	}
}

// The metadata of the RPC error and the challenge of net/http name the same error code and the same
// description. If the refusal has an error code, Params["error"] may replace the code in the
// challenge. If the challenge does not contain Params["error"], the metadata does not contain it
// either.
func TestMetadataNamesTheErrorOfTheChallenge(t *testing.T) {
	type m = map[string]string
	const stepUp = "insufficient_user_authentication"
	for name, c := range map[string]struct {
		reason xenaauth.Reason
		params m
		want   m
	}{
		"replaced": {xenaauth.ReasonForbidden, m{"error": stepUp, "error_description": "Log in again.", "max_age": "60"},
			m{"error": stepUp, "error_description": "Log in again.", "max_age": "60"}},
		"only the code":            {xenaauth.ReasonForbidden, m{"error": stepUp}, m{"error": stepUp}},
		"without a code":           {xenaauth.ReasonMissingToken, m{"error": "x", "error_description": "y", "a": "1"}, m{"a": "1"}},
		"an outage":                {xenaauth.ReasonUnavailable, m{"error": "x", "error_description": "y"}, nil},
		"not legal in a challenge": {xenaauth.ReasonForbidden, m{"error": `a"b`, "error_description": "a\nb"}, nil},
		"empty":                    {xenaauth.ReasonForbidden, m{"error": "", "error_description": ""}, nil},
		"of the middleware":        {xenaauth.ReasonForbidden, m{"realm": "x", "resource_metadata": "y"}, nil},
		"the error besides eight others": {xenaauth.ReasonForbidden,
			m{"a": "1", "b": "1", "c": "1", "d": "1", "f": "1", "g": "1", "h": "1", "i": "1", "error": stepUp},
			m{"a": "1", "b": "1", "c": "1", "d": "1", "f": "1", "g": "1", "h": "1", "i": "1", "error": stepUp}},
	} {
		e := &xenaauth.Error{Reason: c.reason, Params: c.params}
		got := rpcerror.Metadata(e.Scopes, e.Params, e.Code(), e.Detail())
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		h := make(http.Header)
		xenaauth.NewMiddleware(new(harness.ScopeValidator), nil).Challenge(h, nil, e)
		challenge := h.Get("WWW-Authenticate")
		for param, value := range got {
			if !strings.Contains(challenge, param+`="`+value+`"`) {
				t.Errorf("%s: the challenge lacks %s: %s", name, param, challenge)
			}
		}
	}
}
