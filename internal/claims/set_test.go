package claims_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// fullClaims is the JSON text of a token with every registered claim from iss to
// token_introspection, in the order of table.go.
const fullClaims = `{"iss":"https://login.example","sub":"alice","aud":["a","b"],"exp":1700000600,"nbf":1700000000,"iat":1700000001,
"jti":"id-1","client_id":"app","azp":"party","scope":"read write","scp":["ignored"],"sid":"s-1","auth_time":1699999999,
"idp":"local","amr":["pwd","otp"],"acr":"loa2","cnf":{"jkt":"x"},"nonce":"n","at_hash":"h","c_hash":"c","events":{},
"active":true,"token_type":"Bearer","token_introspection":{},"extra":{"role":["x"]}}`

func TestParseFull(t *testing.T) {
	for _, source := range []claims.Source{claims.JWT, claims.Answer} {
		set, err := claims.Parse(fullClaims, source)
		require.NoError(t, err)
		require.Equal(t, fullClaims, set.Raw)
		require.Equal(t, claims.TokenIntrospection<<1-1, set.Has, "every bit")
		require.Equal(t, "https://login.example", set.Issuer)
		require.Equal(t, "alice", set.Subject)
		require.Equal(t, []string{"a", "b"}, set.Audience)
		require.EqualValues(t, 1700000600, set.ExpiresAt)
		require.EqualValues(t, 1700000000, set.NotBefore)
		require.EqualValues(t, 1700000001, set.IssuedAt)
		require.Equal(t, "id-1", set.ID)
		require.Equal(t, "app", set.ClientID)
		require.Equal(t, "party", set.AuthorizedParty)
		require.Equal(t, []string{"read", "write"}, set.Scopes)
		require.False(t, set.ScopeIsList)
		require.Equal(t, "s-1", set.SessionID)
		require.EqualValues(t, 1699999999, set.TimeOf(claims.AuthTime))
		require.Equal(t, "local", set.StringOf(claims.Idp))
		require.Equal(t, []string{"pwd", "otp"}, set.StringsOf(claims.Amr))
		require.Equal(t, "loa2", set.StringOf(claims.Acr))
		require.True(t, set.Active)
		require.Equal(t, "Bearer", set.TokenType)
	}
}

func TestParseEmpty(t *testing.T) {
	for _, source := range []claims.Source{claims.JWT, claims.Answer} {
		set, err := claims.Parse(`{}`, source)
		require.NoError(t, err)
		require.Equal(t, &claims.Set{Raw: `{}`, Source: source}, set)
	}
}

// bits maps the name of each registered claim to the bit that stands for this claim in the set of
// bits Set.Has.
var bits = map[string]claims.Member{
	"iss": claims.Iss, "sub": claims.Sub, "aud": claims.Aud, "exp": claims.Exp, "nbf": claims.Nbf, "iat": claims.Iat,
	"jti": claims.Jti, "client_id": claims.ClientID, "azp": claims.Azp, "scope": claims.Scope, "scp": claims.Scp,
	"sid": claims.Sid, "auth_time": claims.AuthTime, "idp": claims.Idp, "amr": claims.Amr, "acr": claims.Acr,
	"cnf": claims.Cnf, "nonce": claims.Nonce, "at_hash": claims.AtHash, "c_hash": claims.CHash, "events": claims.Events,
	"active": claims.Active, "token_type": claims.TokenType, "token_introspection": claims.TokenIntrospection,
	"token_use": claims.TokenUse, "typ": claims.Typ,
}

// shapes contains an example value of each JSON type. The key is the name of the type.
var shapes = map[string]string{
	"null": `null`, "true": `true`, "false": `false`, "number": `1`, "string": `"x"`, "array": `["x"]`, "numbers": `[1]`,
	"object": `{"x":1}`, "empty string": `""`, "empty array": `[]`, "mixed": `["x",null]`,
}

// wantedTypes lists, for each claim in bits, the JSON types that its value may have. A nil list
// allows every type. In an introspection response, null is allowed too.
var wantedTypes = map[string][]string{
	"iss": {"string", "empty string"}, "sub": {"string", "empty string"}, "jti": {"string", "empty string"},
	"client_id": {"string", "empty string"}, "azp": {"string", "empty string"}, "sid": {"string", "empty string"},
	"aud":   {"string", "empty string", "array", "empty array"},
	"scope": {"string", "empty string", "array", "empty array"},
	"scp":   {"string", "empty string", "array", "empty array"},
	"exp":   {"number"}, "nbf": {"number"}, "iat": {"number"},
	"auth_time": nil, "idp": nil, "amr": nil, "acr": nil, "cnf": nil, "nonce": nil, "at_hash": nil, "c_hash": nil,
	"events": nil, "active": nil, "token_type": nil, "token_introspection": nil,
	"token_use": nil, "typ": nil,
}

func TestTypes(t *testing.T) {
	require.Len(t, bits, claims.CountRegistered())
	require.Len(t, wantedTypes, len(bits))
	for _, source := range []claims.Source{claims.JWT, claims.Answer} {
		for name, bit := range bits {
			for shape, value := range shapes {
				t.Run(fmt.Sprint(source, "/", name, "/", shape), func(t *testing.T) {
					good := wantedTypes[name] == nil || slices.Contains(wantedTypes[name], shape)
					has := true
					// RFC 7662, section 2.2, defines token_type as a string.
					if source == claims.Answer && name == "token_type" {
						good = strings.Contains(shape, "string")
					}
					if source == claims.Answer && shape == "null" {
						good, has = true, name == "active"
					}
					set, err := claims.Parse(`{"a":1,"`+name+`":`+value+`,"z":2}`, source)
					if !good {
						var typeError *claims.TypeError
						require.ErrorAs(t, err, &typeError)
						require.Equal(t, name, typeError.Name)
						require.Contains(t, typeError.Error(), `"`+name+`"`)
						require.NotErrorIs(t, err, claims.ErrSyntax)
						return
					}
					require.NoError(t, err)
					require.Equal(t, has, set.Has == bit)
					require.Equal(t, !has, set.Has == 0)
				})
			}
		}
	}
}

// Parse does not check the type of some claims, for example acr. If such a claim has a value of the
// wrong type, the method that reads the claim (StringOf, StringsOf or TimeOf) returns an empty
// value.
func TestInformativeClaimsOfOtherTypes(t *testing.T) {
	for name, value := range shapes {
		for _, source := range []claims.Source{claims.JWT, claims.Answer} {
			set, err := claims.Parse(`{"idp":`+value+`,"acr":`+value+`,"amr":`+value+`,"auth_time":`+value+`}`, source)
			require.NoError(t, err, name)
			var want struct {
				text string
				list []string
				time int64
			}
			switch name {
			case "string":
				want.text, want.list = "x", []string{"x"}
			case "empty string":
				want.list = []string{""}
			case "array":
				want.list = []string{"x"}
			case "empty array":
				want.list = []string{}
			case "number":
				want.time = 1
			}
			require.Equal(t, want.text, set.StringOf(claims.Idp), name)
			require.Equal(t, want.text, set.StringOf(claims.Acr), name)
			require.Equal(t, want.list, set.StringsOf(claims.Amr), name)
			require.Equal(t, want.time, set.TimeOf(claims.AuthTime), name)
		}
	}
	set, err := claims.Parse(`{"auth_time":"1700000000"}`, claims.JWT)
	require.NoError(t, err)
	require.EqualValues(t, 1700000000, set.TimeOf(claims.AuthTime), "IdentityServer 3 wrote it as a string")
	set, err = claims.Parse(`{"auth_time":"yesterday","amr":["a",1],"aud":"b"}`, claims.JWT)
	require.NoError(t, err)
	require.Zero(t, set.TimeOf(claims.AuthTime))
	require.Nil(t, set.StringsOf(claims.Amr))
	require.Equal(t, []string{"b"}, set.Audience, "a bad list leaves nothing in another list")
}

// Each claim has one bit in a claims.Member. StringOf, StringsOf and TimeOf return nothing for a
// claim that has a field in Set. They also return nothing for a Member with no bit, with several
// bits, or with a bit that stands for no claim. In particular, they don't return the value of
// another claim.
func TestValuesOfOtherClaims(t *testing.T) {
	fields := map[string]string{
		"iss": `"a"`, "sub": `"a"`, "aud": `"a"`, "exp": `1`, "nbf": `1`, "iat": `1`, "jti": `"a"`, "client_id": `"a"`,
		"azp": `"a"`, "scope": `"a"`, "scp": `"a"`, "sid": `"a"`, "active": `"a"`, "token_type": `"a"`, "token_use": `"a"`,
		"typ": `"a"`,
	}
	for name, value := range fields {
		for _, others := range []string{`"auth_time":"1700000000"`, `"auth_time":1700000000`} {
			set, err := claims.Parse(`{`+others+`,"idp":"x","`+name+`":`+value+`}`, claims.JWT)
			require.NoError(t, err, name)
			for _, claim := range []claims.Member{bits[name], 0, claims.AuthTime | claims.Idp, 1 << 31} {
				require.Empty(t, set.StringOf(claim), "%s: %b", name, claim)
				require.Nil(t, set.StringsOf(claim), "%s: %b", name, claim)
				require.Zero(t, set.TimeOf(claim), "%s: %b", name, claim)
			}
		}
	}
}

// If the value of a claim is not strict JSON, the error is ErrSyntax, and not a *TypeError as for a
// value of the wrong type. Some of the values here are JSON with a repeated name.
func TestSyntaxErrorsInClaims(t *testing.T) {
	for name := range bits {
		for _, value := range []string{`x`, `"x`, `"\q"`, `[`, `["a"`, `["a" "b"]`, `{"x":1,"x":2}`, `[{"x":1,"x":2}]`, `tru`, `nul`, `-`, ``} {
			for _, source := range []claims.Source{claims.JWT, claims.Answer} {
				_, err := claims.Parse(`{"`+name+`":`+value+`}`, source)
				require.ErrorIs(t, err, claims.ErrSyntax, "%s: %s", name, value)
			}
		}
	}
}

func TestTimes(t *testing.T) {
	const lastSecond = 253402300799
	for _, tt := range []struct {
		text string
		// jwtTime is the result of Parse if the text is the value of a time claim (such as exp). -1
		// means that Parse must refuse the text.
		jwtTime int64
		// acceptsString is about a JSON string with the same characters as the field tt.text, in an
		// introspection response. If acceptsString is true, Parse must have the result jwtTime for
		// this string too. Otherwise Parse must refuse the string. In a JWT, Parse must refuse
		// every time that is a string.
		acceptsString bool
	}{
		{`0`, 0, true}, {`1`, 1, true}, {`1700000000`, 1700000000, true}, {`253402300799`, lastSecond, true},
		{`1700000000.0`, 1700000000, false}, {`1700000000.5`, 1700000000, false}, {`1700000000.999`, 1700000000, false},
		{`0.999`, 0, false}, {`1.7e9`, 1700000000, false}, {`17E+8`, 1700000000, false}, {`17000000000e-1`, 1700000000, false},
		{`1.5e1`, 15, false}, {`0e0`, 0, false}, {`0.0000000000000000000000001`, 0, false}, {`1e-400`, 0, false},
		{`253402300800`, -1, true}, {`253402300800.5`, -1, false}, {`999999999999`, -1, true}, {`1e12`, -1, false},
		{`1700000000000`, -1, true}, {`9223372036854775807`, -1, true}, {`9223372036854775808`, -1, true},
		{`18446744073709551616`, -1, true}, {`1e18`, -1, false}, {`1e19`, -1, false}, {`1e308`, -1, false}, {`1e309`, -1, false},
		{`1e400`, -1, false}, {`1e9223372036854775807`, -1, false}, {`1e-9223372036854775808`, 0, false}, {`0e9223372036854775807`, 0, false}, {`1e99999999999`, -1, false}, {`1` + strings.Repeat("0", 500), -1, true},
		{`-1`, -1, false}, {`-0`, -1, false}, {`-0.0`, -1, false}, {`-0.5`, -1, false}, {`-1700000000`, -1, false},
		{`-1e400`, -1, false}, {`-9223372036854775809`, -1, false}, {`-1e-400`, -1, false},
	} {
		t.Run(tt.text, func(t *testing.T) {
			for _, name := range []string{"exp", "nbf", "iat"} {
				for _, source := range []claims.Source{claims.JWT, claims.Answer} {
					set, err := claims.Parse(`{"`+name+`":`+tt.text+`}`, source)
					check(t, set, err, name, tt.jwtTime)
					set, err = claims.Parse(`{"`+name+`":"`+tt.text+`"}`, source)
					want := int64(-1)
					if source == claims.Answer && tt.acceptsString {
						want = tt.jwtTime
					}
					check(t, set, err, name, want)
				}
			}
		})
	}
	for _, text := range []string{``, ` `, ` 1`, `1 `, `+1`, `1_0`, `0x1`, `1.0`, `1e3`, `١`, `12a34`, `now`, `1\n`, `\u0000`, `1,2`} {
		_, err := claims.Parse(`{"exp":"`+text+`"}`, claims.Answer)
		require.ErrorAs(t, err, new(*claims.TypeError), "%q", text)
	}
	set, err := claims.Parse(`{"exp":"\u0031700000000"}`, claims.Answer)
	check(t, set, err, "exp", 1700000000)
	set, err = claims.Parse(`{"exp":"0001700000000"}`, claims.Answer)
	check(t, set, err, "exp", 1700000000)
}

func check(t *testing.T, set *claims.Set, err error, name string, want int64) {
	t.Helper()
	if want < 0 {
		require.ErrorAs(t, err, new(*claims.TypeError))
		return
	}
	require.NoError(t, err)
	got := claims.Set{Has: set.Has, ExpiresAt: set.ExpiresAt, NotBefore: set.NotBefore, IssuedAt: set.IssuedAt}
	require.Equal(t, map[string]claims.Set{
		"exp": {Has: claims.Exp, ExpiresAt: want},
		"nbf": {Has: claims.Nbf, NotBefore: want},
		"iat": {Has: claims.Iat, IssuedAt: want},
	}[name], got)
}

// Parse drops the fraction of a time, so that a token expires early and not late.
func TestFractionsAreDropped(t *testing.T) {
	for _, text := range []string{
		`1700000000.9999999`, `1700000000.99999999`, `1700000000.9999999999999999`, `1700000000.9999999999999999e0`,
		`1700000000999999999999999e-15`, `0.17000000009999999999999999E+10`, `17000000009999999999e-10`,
	} {
		set, err := claims.Parse(`{"exp":`+text+`}`, claims.JWT)
		check(t, set, err, "exp", 1700000000)
	}
}

func TestScopes(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
		list       bool
	}{
		{"string", `{"scope":"read write"}`, []string{"read", "write"}, false},
		{"one", `{"scope":"read"}`, []string{"read"}, false},
		{"empty", `{"scope":""}`, nil, false},
		{"spaces", `{"scope":"   "}`, nil, false},
		{"spaces around and between", `{"scope":"  read   write  "}`, []string{"read", "write"}, false},
		{"escaped space", `{"scope":"read\u0020write"}`, []string{"read", "write"}, false},
		{"tab", `{"scope":"read\twrite"}`, []string{"read\twrite"}, false},
		{"line break", `{"scope":"read\nwrite\r"}`, []string{"read\nwrite\r"}, false},
		{"no-break and ideographic space", `{"scope":"read\u00a0write\u3000x"}`, []string{"read\u00a0write\u3000x"}, false},
		{"comma", `{"scope":"read,write"}`, []string{"read,write"}, false},
		{"array", `{"scope":["read","write"]}`, []string{"read", "write"}, true},
		{"empty array", `{"scope":[]}`, nil, true},
		{"array is not split", `{"scope":["read write"]}`, []string{"read write"}, true},
		{"scp", `{"scp":"read write"}`, []string{"read", "write"}, false},
		{"scp array", `{"scp":["read","write"]}`, []string{"read", "write"}, true},
		{"both, scope first", `{"scope":"read","scp":["write"]}`, []string{"read"}, false},
		{"both, scp first", `{"scp":["write"],"scope":"read"}`, []string{"read"}, false},
		{"both, scope empty", `{"scp":["write"],"scope":""}`, nil, false},
		{"both, scope an array", `{"scp":"write","scope":["read"]}`, []string{"read"}, true},
		{"neither", `{"a":1}`, nil, false},
		{
			"many", `{"aud":["1","2","3","4","5"],"scope":"a b c d e f","amr":["x","y"]}`,
			[]string{"a", "b", "c", "d", "e", "f"}, false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, source := range []claims.Source{claims.JWT, claims.Answer} {
				set, err := claims.Parse(tt.text, source)
				require.NoError(t, err)
				require.Equal(t, len(tt.want), len(set.Scopes))
				require.ElementsMatch(t, tt.want, set.Scopes)
				require.Equal(t, tt.list, set.ScopeIsList)
			}
		})
	}
	set, err := claims.Parse(`{"scope":null,"scp":["write"]}`, claims.Answer)
	require.NoError(t, err)
	require.Equal(t, []string{"write"}, set.Scopes, "a scope of null does not count")
	require.True(t, set.ScopeIsList)
}

// The lists of strings in a Set share one array. If a caller appends to one list, the other lists
// must not change.
func TestListsDoNotOverlap(t *testing.T) {
	for n := range 12 {
		for m := range 12 {
			words := func(prefix string, n int) (list []string) {
				for i := range n {
					list = append(list, fmt.Sprint(prefix, i))
				}
				return list
			}
			aud, scope, amr, scp := words("aud", n), words("scope", m), words("amr", n), words("scp", m)
			text, err := json.Marshal(map[string]any{"aud": aud, "scope": strings.Join(scope, " "), "amr": amr, "scp": scp})
			require.NoError(t, err)
			set, err := claims.Parse(strings.ReplaceAll(string(text), ":null", ":[]"), claims.JWT)
			require.NoError(t, err)
			for _, list := range [][]string{set.Audience, set.Scopes, set.StringsOf(claims.Amr)} {
				_ = append(list, "overwritten")
			}
			require.True(t, slices.Equal(aud, set.Audience))
			require.True(t, slices.Equal(scope, set.Scopes))
			require.True(t, slices.Equal(amr, set.StringsOf(claims.Amr)))
		}
	}
}

func TestActive(t *testing.T) {
	for value, want := range map[string]bool{
		`true`: true, ` true `: true, `false`: false, `null`: false, `"true"`: false, `"True"`: false, `1`: false, `0`: false,
		`[true]`: false, `{"active":true}`: false, `""`: false, `-1.5e3`: false,
	} {
		for _, source := range []claims.Source{claims.JWT, claims.Answer} {
			set, err := claims.Parse(`{"active":`+value+`,"sub":"x"}`, source)
			require.NoError(t, err, value)
			require.Equal(t, want, set.Active, value)
			require.Equal(t, claims.Active|claims.Sub, set.Has)
			require.Equal(t, "x", set.Subject)
		}
	}
	for _, value := range []string{`True`, `TRUE`, `truex`, `true1`, `tru`, `yes`, `true false`} {
		_, err := claims.Parse(`{"active":`+value+`}`, claims.Answer)
		require.ErrorIs(t, err, claims.ErrSyntax, value)
	}
	set, err := claims.Parse(`{"nested":{"active":true}}`, claims.Answer)
	require.NoError(t, err)
	require.False(t, set.Active)
}

func TestFind(t *testing.T) {
	set, err := claims.Parse(` {"a" : [1, {"b":2}] ,"\u0063":"\u0064","":0 , "A":null,"iss":"x"} `, claims.JWT)
	require.NoError(t, err)
	for name, want := range map[string]string{"a": `[1, {"b":2}]`, "c": `"\u0064"`, "": `0`, "A": `null`, "iss": `"x"`} {
		raw, ok := set.Find(name)
		require.True(t, ok, name)
		require.Equal(t, want, raw)
	}
	for _, name := range []string{"b", "d", "ISS", `\u0063`, "aa", " "} {
		_, ok := set.Find(name)
		require.False(t, ok, name)
	}
	// Find finds nothing in these texts, which are not JSON objects. Parse refuses such texts.
	for _, broken := range []string{``, `{`, `{"b":`, `{"b":x,"a":1}`, `[]`} {
		_, ok := (&claims.Set{Raw: broken}).Find("a")
		require.False(t, ok, broken)
	}
}
