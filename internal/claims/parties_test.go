package claims_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
)

func TestPartiesByDefault(t *testing.T) {
	for text, want := range map[string]claims.Parties{
		`{"sub":"u","client_id":"c","azp":"a","scope":"x y"}`: {Subject: "u", ClientID: "c", Scopes: []string{"x", "y"}},
		`{"sub":"u","azp":"a","scp":["x"]}`:                   {Subject: "u", ClientID: "a", Scopes: []string{"x"}},
		`{"sub":"c","client_id":"c"}`:                         {ClientID: "c"},
		`{}`:                                                  {},
		`{"sub":"u","client_id":"c\u0000"}`:                   {Subject: "u", ClientID: "c\x00", BadIdentifier: true},
		`{"sub":"u","client_id":"c","sid":"\u0085"}`:          {Subject: "u", ClientID: "c", BadIdentifier: true},
	} {
		require.Equal(t, want, parties(t, claims.PartyNames{}, text), text)
	}
}

func TestPartiesByOtherClaims(t *testing.T) {
	names := claims.PartyNames{Client: []string{"cid", "appid"}, Scopes: []string{"roles", "scope"}}
	for text, want := range map[string]claims.Parties{
		`{"sub":"u","client_id":"c","appid":"a","scope":"x"}`:    {Subject: "u", ClientID: "a", Scopes: []string{"x"}, NamedScopes: true},
		`{"cid":"a","appid":"b","roles":["x y"],"scope":"z"}`:    {ClientID: "a", Scopes: []string{"x y"}, NamedScopes: true},
		`{"sub":"a","cid":["a"]}`:                                {ClientID: "a"},
		`{"sub":"u","client_id":"c"}`:                            {Subject: "u"},
		`{"cid":7,"appid":"b"}`:                                  {Unusable: "cid"},
		`{"cid":"a","roles":{}}`:                                 {ClientID: "a", Unusable: "roles", NamedScopes: true},
		`{"cid":null,"appid":"b","roles":"","scope":"x"}`:        {ClientID: "b", NamedScopes: true},
		`{"sub":"u","appid":"` + strings.Repeat("a", 513) + `"}`: {Subject: "u", ClientID: strings.Repeat("a", 513), BadIdentifier: true},
	} {
		got := parties(t, names, text)
		got.Scopes, want.Scopes = slices.Clip(got.Scopes), slices.Clip(want.Scopes)
		if len(got.Scopes) == 0 {
			got.Scopes = nil
		}
		require.Equal(t, want, got, text)
	}
}

func parties(t *testing.T, names claims.PartyNames, text string) claims.Parties {
	t.Helper()
	set, err := claims.Parse(text, claims.JWT)
	require.NoError(t, err, text)
	return names.Read(set)
}

func TestNameSet(t *testing.T) {
	for _, n := range []int{0, 1, claims.ManyNames - 1, claims.ManyNames, 1000} {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprint("n", i))
		}
		set := claims.NewNameSet(list)
		require.Equal(t, list, set.List())
		for _, name := range list {
			require.True(t, set.Has(name), name)
		}
		require.False(t, set.Has("x"))
		require.False(t, set.Has(""))
		require.Equal(t, n < claims.ManyNames, set.Size() == 0)
	}
}
