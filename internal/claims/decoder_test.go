package claims_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// readValue calls one method of a Decoder to read one JSON value.
func readValue[T any](t *testing.T, value string, method func(*claims.Decoder) (T, bool)) (got T, ok bool) {
	t.Helper()
	err := claims.Object(`{"a":`+value+`}`, nil, func(_ string, d *claims.Decoder) error {
		if got, ok = method(d); !ok {
			return claims.ErrSyntax
		}
		return nil
	})
	require.Equal(t, ok, err == nil, "%s leaves the decoder behind the value", value)
	return got, ok
}

func TestDecoderString(t *testing.T) {
	for value, want := range map[string]string{
		`""`: "", `"abc"`: "abc", `"é"`: "é", `"\u00E9\u00e9"`: "éé", `"a\u0000b"`: "a\x00b", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t",
		`"\uD83D\uDE00"`: "😀", `"\ud800\udc00"`: "\U00010000", `"\udbff\udfff"`: "\U0010ffff", `"x\u0041y"`: "xAy", `" a "`: " a ",
	} {
		got, ok := readValue(t, value, (*claims.Decoder).String)
		require.True(t, ok, value)
		require.Equal(t, want, got, value)
		var std string
		require.NoError(t, json.Unmarshal([]byte(value), &std))
		require.Equal(t, std, got)
	}
	for _, value := range []string{`1`, `null`, `true`, `["a"]`, `{"a":"b"}`} {
		_, ok := readValue(t, value, (*claims.Decoder).String)
		require.False(t, ok, value)
	}
}

func TestDecoderStrings(t *testing.T) {
	for value, want := range map[string][]string{
		`"a"`: {"a"}, `"a b"`: {"a b"}, `""`: {""}, `[]`: {}, `[""]`: {""}, `["a","b c"]`: {"a", "b c"}, `[ "\u0061" , "a" ]`: {"a", "a"},
	} {
		got, ok := readValue(t, value, (*claims.Decoder).Strings)
		require.True(t, ok, value)
		require.ElementsMatch(t, want, got, value)
	}
	for _, value := range []string{`1`, `null`, `[1]`, `["a",null]`, `[["a"]]`, `{"a":"b"}`, `["a"`, `["a" "b"]`, `["a",]`, `"\q"`, `["\q"]`} {
		_, ok := readValue(t, value, (*claims.Decoder).Strings)
		require.False(t, ok, value)
	}
}

func TestDecoderBoolAndNull(t *testing.T) {
	null := func(d *claims.Decoder) (struct{}, bool) { return struct{}{}, d.Null() }
	for _, tt := range []struct {
		value                string
		isBool, isTrue, null bool
	}{
		{`true`, true, true, false}, {`false`, true, false, false}, {`null`, false, false, true},
		{`"true"`, false, false, false}, {`1`, false, false, false}, {`tru`, false, false, false}, {`nul`, false, false, false},
		{`True`, false, false, false}, {`[true]`, false, false, false}, {`[null]`, false, false, false},
	} {
		value, ok := readValue(t, tt.value, (*claims.Decoder).Bool)
		require.Equal(t, tt.isBool, ok, tt.value)
		require.Equal(t, tt.isTrue, value, tt.value)
		_, ok = readValue(t, tt.value, null)
		require.Equal(t, tt.null, ok, tt.value)
	}
}

func TestDecoderElements(t *testing.T) {
	elements := func(text string, element func(*claims.Decoder) error) error {
		return claims.Object(`{"a":`+text+`}`, nil, func(_ string, d *claims.Decoder) error { return d.Elements(element) })
	}
	for _, tt := range []struct {
		text string
		// want contains the JSON texts of the elements that Decoder.Elements must find; nil means
		// that Elements must refuse the text
		want []string
	}{
		{`[]`, []string{}}, {`[ ]`, []string{}}, {`[1]`, []string{`1`}}, {`[ 1 , "b" ,[2], {"c":3} ]`, []string{`1`, `"b"`, `[2]`, `{"c":3}`}},
		{`{}`, nil}, {`1`, nil}, {`null`, nil}, {`[1`, nil}, {`[1,]`, nil}, {`[,1]`, nil}, {`[1 2]`, nil}, {`[`, nil},
	} {
		got := []string{}
		err := elements(tt.text, func(d *claims.Decoder) error {
			raw, ok := d.Raw()
			if !ok {
				return claims.ErrSyntax
			}
			got = append(got, raw)
			return nil
		})
		if tt.want == nil {
			require.ErrorIs(t, err, claims.ErrSyntax, tt.text)
			continue
		}
		require.NoError(t, err, tt.text)
		require.Equal(t, tt.want, got)
	}
	want := errors.New("enough")
	require.ErrorIs(t, elements(`[1,2]`, func(*claims.Decoder) error { return want }), want)
}

func TestDecoderLax(t *testing.T) {
	for _, value := range []string{`{"a":1,"a":2}`, `[{"b":{"a":1,"a":2}}]`, `{"a":1}`, `1`} {
		got, ok := readValue(t, value, (*claims.Decoder).Lax)
		require.True(t, ok, value)
		require.Equal(t, value, got)
	}
	for _, value := range []string{`{"a":1,"a":}`, `{"a":01}`, `[`, nestedValue(32, "[", "]"), "{\"a\":\"\t\"}"} {
		_, ok := readValue(t, value, (*claims.Decoder).Lax)
		require.False(t, ok, value)
	}
	// Decoder.Lax accepts repeated member names inside the value that it reads. Values that other
	// methods of the same Decoder read later must not have repeated names.
	err := claims.Object(`{"a":{"b":1,"b":2},"c":{"b":1,"b":2}}`, nil, func(name string, d *claims.Decoder) error {
		next := d.Lax
		if name == "c" {
			next = d.Raw
		}
		if _, ok := next(); !ok {
			return fmt.Errorf("at %s", name)
		}
		return nil
	})
	require.EqualError(t, err, "at c")
}
