package claims_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// FuzzSet compares Parse with encoding/json. If encoding/json refuses a text, Parse must refuse it
// too. If Parse accepts a text, Parse and encoding/json must read the same claims.
func FuzzSet(f *testing.F) {
	for _, tt := range texts() {
		if len(tt.text) < 1000 {
			f.Add(tt.text, false)
		}
	}
	f.Add(fullClaims, false)
	f.Add(fullClaims, true)
	f.Add(`{"exp":"1700000000","scope":null,"scp":["a b"],"active":"true"}`, true)
	f.Add(`{"exp":1e400,"nbf":1.5,"iat":-0}`, true)
	f.Add(`{"exp":0e9,"nbf":1e9223372036854775807,"iat":1e-9223372036854775808}`, false)
	f.Add(`{"exp":17e8,"nbf":1.7E+9,"iat":17000000000e-1}`, false)
	f.Add(`{"exp":1700000000.9e0,"nbf":0.0017000000009e12,"iat":1e-999999999999}`, false)
	f.Add(`{"exp":25340230079.99999999999e0,"nbf":0e999999999999,"iat":1700000000999999999e-9}`, false)
	for name := range bits {
		for _, value := range shapes {
			f.Add(`{"`+name+`":`+value+`}`, true)
		}
	}
	f.Fuzz(func(t *testing.T, text string, answer bool) {
		source := claims.JWT
		if answer {
			source = claims.Answer
		}
		set, err := claims.Parse(text, source)
		var std map[string]json.RawMessage
		if stdErr := json.Unmarshal([]byte(text), &std); stdErr != nil || std == nil {
			require.Error(t, err, "encoding/json: %v", stdErr)
			return
		}
		if err != nil {
			if typeError, ok := errors.AsType[*claims.TypeError](err); ok {
				require.Contains(t, bits, typeError.Name)
			} else {
				require.ErrorIs(t, err, claims.ErrSyntax)
			}
			return
		}
		require.Equal(t, text, set.Raw)
		checkStructDecoding(t, text)
		for name, raw := range std {
			found, ok := set.Find(name)
			require.True(t, ok)
			require.Equal(t, string(raw), found)
		}
		for name, bit := range bits {
			raw, there := std[name]
			if answer && name != "active" && string(raw) == "null" {
				there = false
			}
			require.Equal(t, there, set.Has&bit != 0, name)
			if !there {
				delete(std, name)
			}
		}
		for name, got := range map[string]string{
			"iss": set.Issuer, "sub": set.Subject, "client_id": set.ClientID, "azp": set.AuthorizedParty, "jti": set.ID,
			"sid": set.SessionID,
		} {
			require.Equal(t, decodeJSON[string](t, std[name], true), got, name)
		}
		require.Equal(t, decodeJSON[string](t, std["idp"], false), set.StringOf(claims.Idp))
		require.Equal(t, decodeJSON[string](t, std["acr"], false), set.StringOf(claims.Acr))
		require.Equal(t, decodeJSON[string](t, std["token_type"], answer), set.TokenType)
		require.Equal(t, string(std["active"]) == "true", set.Active)
		require.True(t, slices.Equal(decodeStrings(t, std["aud"], false), set.Audience))
		scope := std["scope"]
		if scope == nil {
			scope = std["scp"]
		}
		require.True(t, slices.Equal(decodeStrings(t, scope, true), set.Scopes))
		for name, got := range map[string]int64{"exp": set.ExpiresAt, "nbf": set.NotBefore, "iat": set.IssuedAt} {
			if raw := std[name]; raw != nil {
				require.GreaterOrEqual(t, got, int64(0))
				digits := strings.Trim(string(raw), `"`)
				if strings.Contains(digits, `\`) {
					digits = decodeJSON[string](t, raw, true)
				}
				require.Equal(t, wholeSeconds(t, digits), got, "%s of %s", name, digits)
			}
		}
	})
}

// wholeSeconds converts a JSON number to a time and drops the fraction. Parse has accepted the
// number as a time, so it is at least 0 and below 10^12. wholeSeconds uses exact arithmetic, which
// is too slow for a very large or very small exponent. For such an exponent, wholeSeconds returns 0
// without computing. This is the right result. With a very large exponent, every number above 0
// would be 10^12 or more. With a very small exponent, the number is almost 0.
func wholeSeconds(t *testing.T, number string) int64 {
	t.Helper()
	if at := strings.IndexAny(number, "eE"); at >= 0 {
		exponent, err := strconv.Atoi(strings.TrimPrefix(number[at+1:], "+"))
		if err != nil || exponent > 1000 || exponent < -1000 {
			mantissa := strings.Trim(number[:at], "-0.")
			require.True(t, mantissa == "" || strings.HasPrefix(number[at+1:], "-"), "a time of %s", number)
			return 0
		}
	}
	exact, ok := new(big.Rat).SetString(number)
	require.True(t, ok)
	return new(big.Int).Quo(exact.Num(), exact.Denom()).Int64()
}

// decodeJSON decodes the JSON text raw with encoding/json. If raw does not fit the type T, the
// result is the zero value. If mustFit is true, the test fails instead.
func decodeJSON[T any](t *testing.T, raw json.RawMessage, mustFit bool) (v T) {
	t.Helper()
	if raw == nil {
		return v
	}
	err := json.Unmarshal(raw, &v)
	if mustFit {
		require.NoError(t, err)
	}
	if err != nil {
		return *new(T)
	}
	return v
}

// decodeStrings decodes a string or an array of strings with encoding/json. If split is true, it
// splits a single string at its spaces.
func decodeStrings(t *testing.T, raw json.RawMessage, split bool) []string {
	t.Helper()
	if len(raw) == 0 || raw[0] == '[' {
		return decodeJSON[[]string](t, raw, true)
	}
	s := decodeJSON[string](t, raw, true)
	if !split {
		return []string{s}
	}
	return slices.DeleteFunc(strings.Split(s, " "), func(w string) bool { return w == "" })
}
