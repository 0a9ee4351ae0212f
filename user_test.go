package xenaauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestUserClaimShapes(t *testing.T) {
	u, err := xenaauth.NewUser(map[string]any{
		"role": "a", "roles": []string{"a", "b"}, "yes": "True", "no": false, "odd": "perhaps", "n": "42", "m": 43,
		"at": 1790000000, "since": "1790000000.5", "day": "2026-01-02T03:04:05Z", "obj": map[string]any{"k": "v"}, "none": nil,
	})
	require.NoError(t, err)

	var list []string
	require.NoError(t, u.Claim("role", &list))
	require.Equal(t, []string{"a"}, list)
	require.NoError(t, u.Claim("roles", &list))
	require.Equal(t, []string{"a", "b"}, list)
	var one string
	require.Error(t, u.Claim("roles", &one), "a claim with several values does not fit into a string")

	var b bool
	require.NoError(t, u.Claim("yes", &b))
	require.True(t, b)
	require.NoError(t, u.Claim("no", &b))
	require.False(t, b)
	require.Error(t, u.Claim("odd", &b))

	var i int
	var i64 int64
	require.NoError(t, u.Claim("n", &i))
	require.NoError(t, u.Claim("m", &i64))
	require.Equal(t, 42, i)
	require.EqualValues(t, 43, i64)
	require.NoError(t, u.Claim("n", &i64))
	require.Error(t, u.Claim("role", &i))

	var at time.Time
	require.NoError(t, u.Claim("at", &at))
	require.True(t, at.Equal(time.Unix(1790000000, 0)))
	require.NoError(t, u.Claim("since", &at))
	require.True(t, at.Equal(time.Unix(1790000000, 0)))
	require.NoError(t, u.Claim("day", &at))
	require.Equal(t, 2026, at.Year())
	require.Error(t, u.Claim("role", &at))

	var obj struct{ K string }
	require.NoError(t, u.Claim("obj", &obj))
	require.Equal(t, "v", obj.K)
	var all map[string]any
	require.NoError(t, u.Claims(&all))
	require.Equal(t, "a", all["role"])

	require.ErrorIs(t, u.Claim("Role", &one), xenaauth.ErrNoClaim, "claim names are compared exactly")
	require.ErrorIs(t, u.Claim("absent", &one), xenaauth.ErrNoClaim)
}

func TestUserAccessorsReturnCopies(t *testing.T) {
	u := xenaauthtest.User(xenaauthtest.Token{})
	u.Scopes()[0], u.Audience()[0], u.AuthenticationMethods()[0] = "x", "x", "x"
	require.NotContains(t, u.Scopes(), "x")
	require.NotContains(t, u.Audience(), "x")
	require.NotContains(t, u.AuthenticationMethods(), "x")
}

func TestUserWithManyScopes(t *testing.T) {
	var scopes []string
	for n := range 300 {
		scopes = append(scopes, fmt.Sprintf("s%d", n))
	}
	u := xenaauthtest.User(xenaauthtest.Token{Scopes: scopes})
	require.True(t, u.HasScope("s299"))
	require.False(t, u.HasScope("s300"))
	require.False(t, u.HasScope("S1"), "scopes are case-sensitive")
	require.False(t, u.HasScope("s1 s2"))
}

// A User that is printed or logged shows only the subject and the client. As JSON it also shows the
// scopes and when the token expires. It never shows another claim.
func TestPrintedUserShowsNoClaims(t *testing.T) {
	u, err := xenaauth.NewUser(map[string]any{
		"iss": "https://issuer.example", "sub": "104711", "client_id": "app", "aud": "testapi",
		"scope": "a b", "iat": 1789999000, "nbf": 1789999000, "exp": 1790000000, "jti": "j", "sid": "s",
		"idp": "local", "amr": []string{"pwd"}, "acr": "gold", "email": "secret@example.com",
		"cnf": map[string]any{"jkt": "k"},
	})
	require.NoError(t, err)
	const want = `user "104711" of client "app"`
	require.Equal(t, want, u.String())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, want, fmt.Sprintf(verb, u), verb)
	}
	text, err := json.Marshal(u)
	require.NoError(t, err)
	require.Equal(t, `{"sub":"104711","client_id":"app","scope":"a b","exp":1790000000}`, string(text))

	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{ReplaceAttr: noTime})).Info("m", "user", u)
	require.Equal(t, `{"level":"INFO","msg":"m","user":{"sub":"104711","client_id":"app"}}`+"\n", log.String())

	ctx := xenaauth.ContextWithUser(context.Background(), u)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, "context.Background with "+want, fmt.Sprintf(verb, ctx), verb)
	}
	var nobody *xenaauth.User
	require.Equal(t, "no user", fmt.Sprint(nobody))
	require.Equal(t, "no user", nobody.LogValue().String())
}

func TestUserFromContext(t *testing.T) {
	_, ok := xenaauth.UserFromContext(t.Context())
	require.False(t, ok)
	_, ok = xenaauth.UserFromContext(xenaauth.ContextWithUser(t.Context(), nil))
	require.False(t, ok)
	u := xenaauthtest.User(xenaauthtest.Token{})
	type key struct{}
	ctx := context.WithValue(xenaauth.ContextWithUser(context.WithValue(t.Context(), key{}, 1), u), key{}, 2)
	got, ok := xenaauth.UserFromContext(ctx)
	require.True(t, ok)
	require.Same(t, u, got)
	require.Equal(t, 2, ctx.Value(key{}))
	require.Equal(t, 1, xenaauth.ContextWithUser(context.WithValue(t.Context(), key{}, 1), u).Value(key{}))
}

func TestNewUserRefusesInvalidClaims(t *testing.T) {
	for _, claims := range []any{[]int{1}, "text", func() {}, map[string]any{"sub": 5}, json.RawMessage(`{"sub":"a","sub":"b"}`)} {
		_, err := xenaauth.NewUser(claims)
		require.Error(t, err)
	}
	u, err := xenaauth.NewUser(map[string]any{"azp": "client", "scp": "a b"})
	require.NoError(t, err)
	require.Equal(t, "client", u.ClientID())
	require.Equal(t, []string{"a", "b"}, u.Scopes())
	require.True(t, u.ExpiresAt().IsZero())
}

// claimInto decodes a claim into a variable with User.Claim, and returns the variable. value is the
// claim as JSON. oldValue is what the variable contains before the call.
func claimInto[T any](t *testing.T, value string, oldValue T) (T, error) {
	t.Helper()
	u, err := xenaauth.NewUser(map[string]any{"x": json.RawMessage(value)})
	require.NoError(t, err)
	v := oldValue
	err = u.Claim("x", &v)
	return v, err
}

func claimFits[T any](t *testing.T, value string, want, oldValue T) {
	t.Helper()
	got, err := claimInto(t, value, oldValue)
	require.NoError(t, err, "%s into %T", value, want)
	require.Equal(t, want, got, "%s into %T", value, want)
}

// claimDoesNotFit requires that Claim returns an error that names the claim, and that Claim does
// not change the variable.
func claimDoesNotFit[T any](t *testing.T, value string, oldValue T) {
	t.Helper()
	got, err := claimInto(t, value, oldValue)
	require.ErrorContains(t, err, `"x"`, "%s into %T", value, oldValue)
	require.Equal(t, oldValue, got, "%s into %T", value, oldValue)
}

// If a claim does not fit into the variable, Claim returns an error and does not change the
// variable.
func TestClaimThatDoesNotFit(t *testing.T) {
	for _, value := range []string{`"abc"`, `""`, `"1.5"`, `"1e3"`, `" 1"`, `"0x1"`, `"9223372036854775808"`, `1.5`, `true`, `[1]`, `{}`} {
		claimDoesNotFit(t, value, 7)
		claimDoesNotFit(t, value, int64(7))
	}
	for _, value := range []string{`"yes"`, `""`, `"1"`, `1`, `"true "`, `["true"]`, `{}`} {
		claimDoesNotFit(t, value, true)
	}
	for _, value := range []string{`1`, `true`, `{}`, `["a",1]`} {
		claimDoesNotFit(t, value, []string{"before"})
	}
	for _, value := range []string{`-1`, `"-1"`, `1099511627776`, `"1099511627776"`, `1e300`, `"NaN"`, `"Inf"`, `""`, `true`, `[1]`, `{}`, `"2026-13-01T00:00:00Z"`} {
		claimDoesNotFit(t, value, time.Unix(7, 0))
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
	for value, want := range map[string][]string{`"a b"`: {"a b"}, `""`: {""}, `[]`: {}, `null`: nil, `["a","b"]`: {"a", "b"}} {
		claimFits(t, value, want, []string{"before"})
	}
	for value, want := range map[string]int64{`0`: 0, `"0"`: 0, `1.9`: 1, `"1.9"`: 1, `1099511627775`: 1099511627775, `1.7e9`: 1700000000} {
		claimFits(t, value, time.Unix(want, 0), time.Unix(7, 0))
	}
}

// HasScope uses an index if the token has 16 or more scopes. Its result must be right for any
// number of scopes.
func TestScopesAroundTheIndexBound(t *testing.T) {
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
