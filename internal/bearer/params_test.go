package bearer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

func TestChallenge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		params []bearer.Param
		want   string
	}{
		{"nothing to say", nil, `Bearer`},
		{"one", []bearer.Param{{Name: "realm", Value: "api"}}, `Bearer realm="api"`},
		{
			"in order", []bearer.Param{{Name: "realm", Value: "api"}, {Name: "error", Value: "invalid_token"}, {Name: "scope", Value: "read write"}},
			`Bearer realm="api", error="invalid_token", scope="read write"`,
		},
		{"an empty one first", []bearer.Param{{Name: "realm"}, {Name: "error", Value: "invalid_token"}}, `Bearer error="invalid_token"`},
		{"an empty one between", []bearer.Param{{Name: "a", Value: "1"}, {Name: "b"}, {Name: "c", Value: "3"}}, `Bearer a="1", c="3"`},
		{"only empty ones", []bearer.Param{{Name: "realm"}, {Name: "error"}}, `Bearer`},
		{"quote", []bearer.Param{{Name: "realm", Value: `a", error="x`}}, `Bearer realm="a, error=x"`},
		{"backslash at the end", []bearer.Param{{Name: "realm", Value: `a\`}, {Name: "error", Value: "x"}}, `Bearer realm="a", error="x"`},
		{"escaped quote", []bearer.Param{{Name: "realm", Value: `a\"b`}}, `Bearer realm="ab"`},
		{"line breaks", []bearer.Param{{Name: "realm", Value: "a\r\nSet-Cookie: b"}}, `Bearer realm="aSet-Cookie: b"`},
		{"controls", []bearer.Param{{Name: "realm", Value: "a\x00\t\x1b\x7fb"}}, `Bearer realm="ab"`},
		{"beyond ASCII", []bearer.Param{{Name: "realm", Value: "caf\u00e9\u2028\u202e"}}, `Bearer realm="caf"`},
		{"no UTF-8", []bearer.Param{{Name: "realm", Value: "a\xff\xfeb"}}, `Bearer realm="ab"`},
		{"the ends of the alphabet", []bearer.Param{{Name: "realm", Value: " !#[]~"}}, `Bearer realm=" !#[]~"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, bearer.Challenge("Bearer", tt.params...))
		})
	}
}

// parseChallenge parses a challenge (RFC 9110, section 11.2). It does not decode escaped
// characters, because package bearer must not write them.
func parseChallenge(t *testing.T, challenge string) (params []bearer.Param) {
	rest, ok := strings.CutPrefix(challenge, "Bearer")
	require.True(t, ok)
	for i := 0; rest != ""; i++ {
		before := " "
		if i > 0 {
			before = ", "
		}
		rest, ok = strings.CutPrefix(rest, before)
		require.True(t, ok, "separator before %q", rest)
		name, after, ok := strings.Cut(rest, `="`)
		require.True(t, ok)
		value, after, ok := strings.Cut(after, `"`)
		require.True(t, ok, "string that doesn't end")
		params, rest = append(params, bearer.Param{Name: name, Value: value}), after
	}
	return params
}

func FuzzChallenge(f *testing.F) {
	f.Add("api", "invalid_token", "The access token has expired.", "read write")
	f.Add("", "", "", "")
	f.Add(`a", error="x`, `\`, "a\r\nSet-Cookie: b=c", "\x00\x7f\u00e9\xff")
	f.Add(`"`, `\\`, `, realm="`, "caf\u00e9")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		var given, want []bearer.Param
		for i, v := range []string{a, b, c, d} {
			p := bearer.Param{Name: []string{"realm", "error", "error_description", "scope"}[i], Value: v}
			given = append(given, p)
			if v == "" {
				continue
			}
			var legal strings.Builder
			for _, c := range []byte(v) {
				// These characters are legal in the value of a parameter of a challenge (RFC 6750,
				// section 3).
				if c == 0x20 || c == 0x21 || c >= 0x23 && c <= 0x5b || c >= 0x5d && c <= 0x7e {
					legal.WriteByte(c)
				}
			}
			want = append(want, bearer.Param{Name: p.Name, Value: legal.String()})
		}
		challenge := bearer.Challenge("Bearer", given...)
		for i := range len(challenge) {
			require.True(t, challenge[i] >= 0x20 && challenge[i] <= 0x7e, "byte %#x", challenge[i])
		}
		require.Equal(t, want, parseChallenge(t, challenge))
	})
}
