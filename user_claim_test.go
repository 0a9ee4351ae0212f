package xenaauth_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

// claimInto reads a claim with this value into a variable that holds another value already.
func claimInto[T any](t *testing.T, value string, before T) (T, error) {
	t.Helper()
	u, err := xenaauth.NewUser(map[string]any{"x": json.RawMessage(value)})
	require.NoError(t, err)
	v := before
	err = u.Claim("x", &v)
	return v, err
}

func claimFits[T any](t *testing.T, value string, want, before T) {
	t.Helper()
	got, err := claimInto(t, value, before)
	require.NoError(t, err, "%s into %T", value, want)
	require.Equal(t, want, got, "%s into %T", value, want)
}

// claimDoesNotFit wants an error that names the claim, and the variable as it was.
func claimDoesNotFit[T any](t *testing.T, value string, before T) {
	t.Helper()
	got, err := claimInto(t, value, before)
	require.ErrorContains(t, err, `"x"`, "%s into %T", value, before)
	require.Equal(t, before, got, "%s into %T", value, before)
}

// A value that doesn't fit is an error and never a zero value that looks like an answer.
func TestClaimThatDoesNotFit(t *testing.T) {
	for _, value := range []string{`"abc"`, `""`, `"1.5"`, `"1e3"`, `" 1"`, `"0x1"`, `"9223372036854775808"`, `1.5`, `true`, `[1]`, `{}`} {
		claimDoesNotFit(t, value, 7)
		claimDoesNotFit(t, value, int64(7))
	}
	for _, value := range []string{`"yes"`, `""`, `"1"`, `1`, `"true "`, `["true"]`, `{}`} {
		claimDoesNotFit(t, value, true)
	}
	for _, value := range []string{`1`, `true`, `{}`} {
		claimDoesNotFit(t, value, []string{"before"})
	}
	for _, value := range []string{`-1`, `"-1"`, `1099511627776`, `"1099511627776"`, `1e300`, `"NaN"`, `"Inf"`, `""`, `true`, `[1]`, `{}`} {
		_, err := claimInto(t, value, time.Time{})
		require.Error(t, err, "%s into time.Time", value)
	}
	for _, value := range []string{`1`, `true`, `["a"]`} {
		claimDoesNotFit(t, value, "before")
	}
}

func TestClaimThatFits(t *testing.T) {
	for value, want := range map[string]int{`0`: 0, `"0"`: 0, `-5`: -5, `"-5"`: -5, `"9223372036854775807"`: 9223372036854775807} {
		claimFits(t, value, want, 7)
		claimFits(t, value, int64(want), 7)
	}
	for value, want := range map[string]bool{`true`: true, `"TRUE"`: true, `"true"`: true, `false`: false, `"False"`: false} {
		claimFits(t, value, want, !want)
	}
	for value, want := range map[string][]string{`"a b"`: {"a b"}, `""`: {""}, `[]`: {}, `["a","b"]`: {"a", "b"}} {
		claimFits(t, value, want, []string{"before"})
	}
	for value, want := range map[string]int64{`0`: 0, `"0"`: 0, `1.9`: 1, `"1.9"`: 1, `1099511627775`: 1099511627775, `1.7e9`: 1700000000} {
		claimFits(t, value, time.Unix(want, 0), time.Unix(7, 0))
	}
}

// From 16 scopes on they are looked up in another way, which knows the same ones.
func TestScopesAboutTheIndex(t *testing.T) {
	for n := range 40 {
		scopes := make([]string, n)
		for i := range scopes {
			scopes[i] = "s" + string(rune('A'+i))
		}
		u, err := xenaauth.NewUser(map[string]any{"scope": scopes})
		require.NoError(t, err)
		for i := range 41 {
			require.Equal(t, i < n, u.HasScope("s"+string(rune('A'+i))), "%d of %d", i, n)
		}
		require.False(t, u.HasScope(""))
	}
}
