package claims_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
)

func TestFindAll(t *testing.T) {
	set, err := claims.Parse(`{"a":1,"b":"x","c":["y","z"],"d":null,"a2":{"a":2}}`, claims.JWT)
	require.NoError(t, err)
	values := make([]string, 5)
	set.FindAll([]string{"c", "a", "missing", "A", "a"}, values)
	require.Equal(t, []string{`["y","z"]`, `1`, "", "", `1`}, values)
	set.FindAll(nil, nil)
}

func TestTextAndWords(t *testing.T) {
	set, err := claims.Parse(`{}`, claims.JWT)
	require.NoError(t, err)
	for raw, want := range map[string]struct {
		text            string
		words           []string
		found, ok, many bool
	}{
		``: {ok: true}, `null`: {ok: true},
		`"a"`: {text: "a", words: []string{"a"}, found: true, ok: true}, `["a"]`: {text: "a", words: []string{"a"}, found: true, ok: true},
		`"a b"`: {text: "a b", words: []string{"a", "b"}, found: true, ok: true}, `"\u0061"`: {text: "a", words: []string{"a"}, found: true, ok: true},
		`["a","b"]`: {words: []string{"a", "b"}, found: true, many: true}, `[]`: {words: []string{}, found: true, many: true},
		`1`: {found: true}, `{}`: {found: true}, `[1]`: {found: true}, `true`: {found: true},
	} {
		text, found, ok := set.Text(raw)
		require.Equal(t, want.text, text, raw)
		require.Equal(t, want.found, found, raw)
		require.Equal(t, want.ok, ok, raw)
		words, found, ok := set.Words(raw)
		require.Equal(t, want.words, words, raw)
		require.Equal(t, want.found, found, raw)
		require.Equal(t, want.ok || want.many, ok, raw)
	}
	many := `"` + strings.Repeat(" a", 1025) + `"`
	_, _, ok := set.Words(many)
	require.False(t, ok, "more strings than a token may have")
	answer, err := claims.Parse(`{}`, claims.Answer)
	require.NoError(t, err)
	words, _, ok := answer.Words(many)
	require.True(t, ok)
	require.Len(t, words, 1025)
}
