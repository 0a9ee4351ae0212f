package rpcerror_test

import (
	"maps"
	"strings"
	"testing"
	"time"

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
		if got := rpcerror.Metadata(c.scopes, c.params); !maps.Equal(got, c.want) {
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

// A parameter is left out of the metadata of the RPC error if its name or value is not legal in a
// challenge, or if the challenge sets it itself (realm and scope). At most eight parameters stay.
func TestMetadataHasParametersOfChallengesOnly(t *testing.T) {
	params := map[string]string{
		"acr_values": "urn:a", "realm": "evil", "scope": "evil", "Upper": "a", "line": "a\r\nb",
		"long": strings.Repeat("a", 1000),
	}
	got := rpcerror.Metadata([]string{"a"}, params)
	if len(got) != 2 || got["acr_values"] != "urn:a" || got["scope"] != "a" {
		t.Errorf("%v", got)
	}
	for i := range 50 {
		params["p"+strings.Repeat("x", i)] = "a"
	}
	if n := len(rpcerror.Metadata(nil, params)); n != 8 {
		t.Errorf("%d parameters", n)
	}
}
