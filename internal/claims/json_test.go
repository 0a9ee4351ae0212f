package claims_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// nestedValue returns a JSON value that consists of n arrays or objects inside one another.
func nestedValue(n int, open, shut string) string {
	return strings.Repeat(open, n) + "1" + strings.Repeat(shut, n)
}

// objectOf returns a JSON object with n members. It calls memberName for the name of each member.
func objectOf(n int, memberName func(int) string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%q:%d`, memberName(i), i)
	}
	b.WriteByte('}')
	return b.String()
}

// jsonCase is a JSON text for the tests. If mustAccept is true, a strict JSON reader must accept
// the text. Otherwise the reader must refuse it. In all tests, iss and token_type are the
// registered names.
type jsonCase struct {
	name, text string
	mustAccept bool
}

func texts() []jsonCase {
	list := []jsonCase{
		{"empty object", `{}`, true},
		{"space everywhere", " \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n, \"b\" : {\n} \n} \t\r\n", true},
		{"every kind of value", `{"a":1,"b":"x","c":true,"d":false,"e":null,"f":[],"g":{},"h":[1,"x",true,false,null,[],{}]}`, true},
		{"empty name", `{"":1}`, true},
		{"NUL in a name, escaped", `{"a\u0000":1}`, true},
		{"names that differ", `{"a":1,"A":2,"á":3}`, true},
		{"a name of its child", `{"a":{"a":{"a":1}}}`, true},
		{"DEL and beyond", "{\"a\":\"\x7f\u0080\u2028\uffff\U0010ffff\"}", true},
		{"every escape", `{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}`, true},
		{"registered names exactly", `{"iss":1,"token_type":2}`, true},
		{"a registered name, escaped", `{"i\u0073s":1}`, true},
		{"a registered name inside", `{"a":{"ISS":1,"iss":2}}`, true},
		{"a name that begins as a registered one", `{"ISSUER":1,"IS":2}`, true},

		{"nothing", ``, false},
		{"space", ` `, false},
		{"null", `null`, false},
		{"number", `1`, false},
		{"string", `"a"`, false},
		{"array", `[]`, false},
		{"array of an object", `[{}]`, false},
		{"byte order mark", "\ufeff{}", false},
		{"open", `{`, false},
		{"shut", `}`, false},
		{"name without a value", `{"a"}`, false},
		{"name and colon", `{"a":}`, false},
		{"ends after a name", `{"a"`, false},
		{"ends after a colon", `{"a":`, false},
		{"ends after a value", `{"a":1`, false},
		{"ends after a comma", `{"a":1,`, false},
		{"ends in a name", `{"a`, false},
		{"ends in a string", `{"a":"b`, false},
		{"ends in an array", `{"a":[1`, false},
		{"ends in an object inside", `{"a":{"b":1`, false},
		{"ends in a name, behind an escape", `{"\n`, false},
		{"ends in a name, in an escape", `{"a\`, false},
		{"ends in a name, in a long escape", `{"a\u004`, false},
		{"ends in a string, behind an escape", `{"iss":"\n`, false},
		{"ends in a string, in an escape", `{"iss":"a\`, false},
		{"comma at the end", `{"a":1,}`, false},
		{"comma at the start", `{,"a":1}`, false},
		{"comma alone", `{,}`, false},
		{"two commas", `{"a":1,,"b":2}`, false},
		{"no comma", `{"a":1 "b":2}`, false},
		{"two colons", `{"a"::1}`, false},
		{"comma at the end of an array", `{"a":[1,]}`, false},
		{"comma at the start of an array", `{"a":[,1]}`, false},
		{"no comma in an array", `{"a":[1 2]}`, false},
		{"array shut as an object", `{"a":[1}}`, false},
		{"object shut as an array", `{"a":{]}`, false},
		{"name without quotes", `{a:1}`, false},
		{"name in single quotes", `{'a':1}`, false},
		{"number as a name", `{1:1}`, false},
		{"null as a name", `{null:1}`, false},
		{"comment", `{"a":1/**/}`, false},
		{"space that is none in JSON", "{\"a\":\v1}", false},
		{"no-break space", "{\"a\":\u00a01}", false},
		{"NUL at the end", "{}\x00", false},
		{"second object", `{}{}`, false},
		{"word at the end", `{} x`, false},
		{"comma behind", `{},`, false},

		{"repeated name", `{"a":1,"a":1}`, false},
		{"repeated name, apart", `{"a":1,"b":2,"a":3}`, false},
		{"repeated name, one escaped", `{"a":1,"\u0061":2}`, false},
		{"repeated name, escaped in two ways", `{"\/":1,"/":2}`, false},
		{"repeated name of a pair", `{"😀":1,"\ud83d\ude00":2}`, false},
		{"repeated empty name", `{"":1,"":2}`, false},
		{"repeated name inside", `{"a":{"b":1,"b":2}}`, false},
		{"repeated name inside, escaped", `{"a":{"b":1,"\u0062":2}}`, false},
		{"repeated name in an array", `{"a":[{"b":1,"b":2}]}`, false},
		{"repeated name far inside", `{"a":[[{"c":{"b":1,"b":2}}]]}`, false},
		{"repeated registered name", `{"iss":1,"iss":2}`, false},
		{"repeated registered name, escaped", `{"iss":1,"i\u0073s":2}`, false},
		{"collision: capitals", `{"ISS":1}`, false},
		{"collision: one capital", `{"isS":1}`, false},
		{"collision: capitals, escaped", `{"\u0049ss":1}`, false},
		{"collision beside the real one", `{"iss":1,"Iss":2}`, false},
		{"collision before the real one", `{"Iss":1,"iss":2}`, false},
		{"collision: long s", `{"iſs":1}`, false},
		{"collision: long s, escaped", `{"i\u017fs":1}`, false},
		{"collision: Kelvin sign", "{\"to\u212aen_type\":1}", false},

		{"control in a string", "{\"a\":\"\x1f\"}", false},
		{"line break in a string", "{\"a\":\"\n\"}", false},
		{"tab in a string", "{\"a\":\"\t\"}", false},
		{"NUL in a string", "{\"a\":\"\x00\"}", false},
		{"control in a name", "{\"a\t\":1}", false},
		{"control behind an escape", "{\"a\":\"\\n\x1f\"}", false},
		{"ends behind a backslash", `{"a":"\`, false},
		{"ends behind an escape", `{"a":"\n`, false},
		{"backslash before the quote", `{"a":"\"}`, false},
		{"unknown escape", `{"a":"\x41"}`, false},
		{"escaped single quote", `{"a":"\'"}`, false},
		{"capital escape", `{"a":"\N"}`, false},
		{"capital U", `{"a":"\U0041"}`, false},
		{"escaped letter outside ASCII", `{"a":"\é"}`, false},
		{"short \\u", `{"a":"\u004"}`, false},
		{"short \\u at the end", `{"a":"\u00`, false},
		{"sign in \\u", `{"a":"\u+041"}`, false},
		{"minus in \\u", `{"a":"\u-041"}`, false},
		{"underscore in \\u", `{"a":"\u0_41"}`, false},
		{"g in \\u", `{"a":"\u004g"}`, false},
		{"control in \\u", "{\"a\":\"\\u004\x11\"}", false},
		{"é in \\u", `{"a":"\u00é"}`, false},
		{"high surrogate alone", `{"a":"\ud800"}`, false},
		{"highest high surrogate alone", `{"a":"\udbff"}`, false},
		{"low surrogate alone", `{"a":"\udc00"}`, false},
		{"highest low surrogate alone", `{"a":"\udfff"}`, false},
		{"pair the wrong way round", `{"a":"\udc00\ud800"}`, false},
		{"two high surrogates", `{"a":"\ud800\ud800"}`, false},
		{"two low surrogates", `{"a":"\udc00\udc00"}`, false},
		{"high surrogate and a letter", `{"a":"\ud800x"}`, false},
		{"high surrogate and an escaped letter", `{"a":"\ud800\u0041"}`, false},
		{"high surrogate and another escape", `{"a":"\ud800\n"}`, false},
		{"high surrogate and half an escape", `{"a":"\ud800\udc0`, false},
		{"high surrogate and just beyond", `{"a":"\ud800\ue000"}`, false},
		{"lone surrogate in a name", `{"\ud800":1}`, false},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", false},
		{"no UTF-8", "{\"a\":\"\xff\"}", false},
		{"no UTF-8 in a name", "{\"\xc3\":1}", false},
		{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}", false},
		{"UTF-16", "\xff\xfe{\x00}\x00", false},

		{"just below the surrogates", `{"a":"\ud7ff"}`, true},
		{"just above the surrogates", `{"a":"\ue000"}`, true},
		{"the last pair", `{"a":"\udbff\udfff"}`, true},

		{"as many members as allowed", objectOf(512, func(i int) string { return fmt.Sprint(i) }), true},
		{"one member too many", objectOf(513, func(i int) string { return fmt.Sprint(i) }), false},
		{"members by the thousand", objectOf(3000, func(i int) string { return fmt.Sprint(i) }), false},
		{"repeated name among few", objectOf(12, func(i int) string { return fmt.Sprint(i % 11) }), false},
		{"repeated name as the set grows", objectOf(13, func(i int) string { return fmt.Sprint(i % 12) }), false},
		{"repeated name right after", objectOf(14, func(i int) string { return fmt.Sprint(i % 13) }), false},
		{"repeated name among hundreds", objectOf(512, func(i int) string { return fmt.Sprint(i % 511) }), false},
		{"as many members as allowed inside", `{"a":` + objectOf(511, func(i int) string { return fmt.Sprint(i) }) + `}`, true},
		{"one member too many inside", `{"a":` + objectOf(513, func(i int) string { return fmt.Sprint(i) }) + `}`, false},
		{"repeated name among hundreds inside", `{"a":` + objectOf(511, func(i int) string { return fmt.Sprint(i % 510) }) + `}`, false},

		{"arrays as deep as allowed", `{"a":` + nestedValue(31, "[", "]") + `}`, true},
		{"arrays too deep", `{"a":` + nestedValue(32, "[", "]") + `}`, false},
		{"objects as deep as allowed", `{"a":` + nestedValue(31, `{"a":`, "}") + `}`, true},
		{"objects too deep", `{"a":` + nestedValue(32, `{"a":`, "}") + `}`, false},
		{"arrays that a stack doesn't hold", `{"a":` + nestedValue(100_000, "[", "]") + `}`, false},
		{"objects that a stack doesn't hold", `{"a":` + nestedValue(100_000, `{"a":`, "}") + `}`, false},
		{"arrays without an end", `{"a":` + strings.Repeat("[", 100_000), false},
	}
	for _, number := range []string{
		"0", "-0", "1", "-1", "10", "1234567890", "0.5", "-0.5", "1.0", "1.25", "0e0", "1e5", "1E5", "1e+5", "1e-5",
		"-1.5E-7", "1e400", "0.00000000000000000000001", "123456789012345678901234567890", "1e00",
	} {
		list = append(list, jsonCase{"number " + number, `{"a":` + number + `}`, true})
	}
	for _, word := range []string{
		"01", "-01", "00", "+1", "-", ".5", "1.", "1.e5", "-.5", "1e", "1e+", "1e5.5", "1.5.5", "0x10", "1_000", "1,5",
		"NaN", "Infinity", "-Infinity", "1 0", "--1", "1-", "1f", "١", "True", "TRUE", "tru", "truex", "fals", "falsey", "nul",
		"nullx", "nil", "undefined", "t", "'a'", "#", "true false",
	} {
		list = append(list, jsonCase{"no value: " + word, `{"a":` + word + `}`, false})
		list = append(list, jsonCase{"no element: " + word, `{"a":[` + strings.TrimSuffix(word, ",5") + `]}`, word == "1,5"})
	}
	return list
}

var registered = claims.NewNames("iss", "token_type")

// parseObject parses a JSON text with the function Object. It returns the names of the members in
// order, and their values as JSON texts.
func parseObject(text string) (names []string, members map[string]string, err error) {
	members = make(map[string]string)
	err = claims.Object(text, registered, func(name string, d *claims.Decoder) error {
		raw, ok := d.Raw()
		if !ok {
			return claims.ErrSyntax
		}
		names = append(names, name)
		members[name] = raw
		return nil
	})
	return names, members, err
}

func TestObject(t *testing.T) {
	for _, tt := range texts() {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := parseObject(tt.text)
			if tt.mustAccept {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, claims.ErrSyntax)
			}
		})
	}
}

// The functions Parse and Object must accept and refuse the same texts. But Parse also checks the
// types of registered claims: it would refuse a text in which the claim iss is a number. So the
// test replaces this number by a string. In two texts, another number remains where a string must
// be. For these two texts, the error must be a *TypeError.
func TestParseIsAsStrict(t *testing.T) {
	for _, tt := range texts() {
		t.Run(tt.name, func(t *testing.T) {
			set, err := claims.Parse(strings.Replace(tt.text, `"iss":1`, `"iss":"1"`, 1), claims.Answer)
			if !tt.mustAccept {
				require.Error(t, err)
				return
			}
			if strings.Contains(tt.text, "i\\u0073s") || strings.Contains(tt.text, `"token_type":2`) {
				require.ErrorAs(t, err, new(*claims.TypeError))
				return
			}
			require.NoError(t, err)
			require.NotNil(t, set)
		})
	}
}

// Some JSON readers, for example with Turkish rules or with equalsIgnoreCase of Java, treat the
// dotless and the dotted I as i. They may read a name with one of these letters as a registered
// name, so such a name is refused.
func TestDotlessIsCollide(t *testing.T) {
	for _, name := range []string{"\u0131ss", "\u0130ss", `\u0131ss`, "IS\u017f"} {
		_, _, err := parseObject(`{"` + name + `":1}`)
		require.ErrorIs(t, err, claims.ErrSyntax, "Object reads %s", name)
		_, err = claims.Parse(`{"`+name+`":1}`, claims.JWT)
		require.ErrorIs(t, err, claims.ErrSyntax, "Parse reads %s", name)
	}
}

func TestEveryRegisteredNameCollides(t *testing.T) {
	for name := range bits {
		for _, source := range []claims.Source{claims.JWT, claims.Answer} {
			_, err := claims.Parse(`{"`+strings.ToUpper(name)+`":null}`, source)
			require.ErrorIs(t, err, claims.ErrSyntax, "%s in capitals", name)
			_, err = claims.Parse(`{"`+strings.ToUpper(name[:1])+name[1:]+`":"1"}`, source)
			require.ErrorIs(t, err, claims.ErrSyntax, "%s with a capital", name)
			value := `"1"`
			if strings.Contains("exp nbf iat auth_time", name) {
				value = "1"
			}
			_, err = claims.Parse(`{"`+name+`":`+value+`,"b":1}`, source)
			require.NoError(t, err, "%s once", name)
			for _, first := range []string{value, "null"} {
				_, err = claims.Parse(`{"`+name+`":`+first+`,"b":1,"`+name+`":`+value+`}`, source)
				require.Error(t, err, "%s twice", name)
			}
		}
	}
}

// A JSON object with a repeated member name is refused. The position of the two equal names, and
// the number of names between them, make no difference.
func TestRepeatedNames(t *testing.T) {
	for n := 1; n < 40; n++ {
		distinct := strings.TrimSuffix(objectOf(n, func(i int) string { return fmt.Sprint(i) }), "}")
		_, _, err := parseObject(distinct + "}")
		require.NoError(t, err)
		for k := range n {
			_, _, err := parseObject(fmt.Sprintf(`%s,"%d":0}`, distinct, k))
			require.ErrorIs(t, err, claims.ErrSyntax, "name %d of %d again", k, n)
		}
	}
}

func TestObjectGivesNamesAndValues(t *testing.T) {
	names, members, err := parseObject(` { "b" : [ 1 , {"x" : 2} ] , "\u0061\n" : "\u00e9" , "" : -1.50e+3 , "😀" : null } `)
	require.NoError(t, err)
	require.Equal(t, []string{"b", "a\n", "", "😀"}, names)
	require.Equal(t, map[string]string{"b": `[ 1 , {"x" : 2} ]`, "a\n": `"\u00e9"`, "": `-1.50e+3`, "😀": `null`}, members)
}

func TestObjectReturnsTheErrorOfMember(t *testing.T) {
	want, calls := errors.New("enough"), 0
	err := claims.Object(`{"a":1,"b":2}`, nil, func(string, *claims.Decoder) error { calls++; return want })
	require.ErrorIs(t, err, want)
	require.Equal(t, 1, calls)
}

func TestObjectRefusesTheNameBeforeItsValueIsRead(t *testing.T) {
	for _, text := range []string{`{"a":1,"a":2}`, `{"a":1,"ISS":2}`} {
		calls := 0
		err := claims.Object(text, registered, func(_ string, d *claims.Decoder) error {
			calls++
			_, ok := d.Raw()
			require.True(t, ok)
			return nil
		})
		require.ErrorIs(t, err, claims.ErrSyntax)
		require.Equal(t, 1, calls)
	}
}

func TestObjectWithoutRegisteredNames(t *testing.T) {
	require.NoError(t, claims.Object(`{"ISS":1,"iss":2}`, nil, func(_ string, d *claims.Decoder) error {
		_, ok := d.Raw()
		require.True(t, ok)
		return nil
	}))
}

// FuzzObject compares the function Object with encoding/json, which is less strict. If
// encoding/json refuses a text, Object must refuse it too. If Object accepts a text, Object and
// encoding/json must read the same values.
func FuzzObject(f *testing.F) {
	for _, tt := range texts() {
		if len(tt.text) < 1000 {
			f.Add(tt.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		names, members, err := parseObject(text)
		var std map[string]json.RawMessage
		if stdErr := json.Unmarshal([]byte(text), &std); stdErr != nil || std == nil {
			require.Error(t, err, "encoding/json: %v", stdErr)
			return
		}
		if err != nil {
			require.ErrorIs(t, err, claims.ErrSyntax)
			return
		}
		require.Len(t, names, len(std))
		require.Len(t, members, len(std))
		for name, raw := range std {
			require.Equal(t, string(raw), members[name])
		}
		checkStructDecoding(t, text)
	})
}

// checkStructDecoding decodes a JSON text into a struct with encoding/json, as most Go programs do.
// For the fields of a struct, encoding/json does not distinguish upper and lower case. So it could
// store the value of a member ISS in the field for iss. The test fails if a field does not have the
// value of the member with exactly its name.
func checkStructDecoding(t *testing.T, text string) {
	t.Helper()
	var exact map[string]json.RawMessage
	var folded struct {
		Iss       json.RawMessage `json:"iss"`
		TokenType json.RawMessage `json:"token_type"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &folded))
	require.NoError(t, json.Unmarshal([]byte(text), &exact))
	require.Equal(t, exact["iss"], folded.Iss)
	require.Equal(t, exact["token_type"], folded.TokenType)
}
