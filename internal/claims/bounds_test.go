package claims_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// arrayOf returns the text of a JSON array with n equal elements. The parameter element is the text
// of one element.
func arrayOf(n int, element string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}

// A token may have 512 members in all its objects together. A response of the issuer may have 512
// members in each object, and eight times as many together.
func TestMembersAreBounded(t *testing.T) {
	objects := func(n, each int) string {
		return `{"a":` + arrayOf(n, objectOf(each, func(i int) string { return fmt.Sprint(i) })) + `}`
	}
	for _, tt := range []struct {
		name, text  string
		jwt, answer bool
	}{
		{"in two objects", objects(1, 511), true, true},
		// This text has 73 inner objects with seven members each. The outer object has one member,
		// whose value is the array of the inner objects. Together they are 512 members.
		{"in many objects", objects(73, 7), true, true},
		{"in many objects, one too many", objects(64, 8), false, true},
		{"a full object", objects(1, 512), false, true},
		{"an object too full", objects(1, 513), false, false},
		{"a response's", objects(585, 7), false, true},
		{"more than a response's", objects(586, 7), false, false},
		{"of known names too", `{"iss":"a","sub":"b",` + objectOf(511, func(i int) string { return fmt.Sprint(i) })[1:], false, false},
		{"with escapes, which count twice", objectOf(256, func(i int) string { return "\n" + fmt.Sprint(i) }), true, true},
		{"with escapes, one too many", objectOf(257, func(i int) string { return "\n" + fmt.Sprint(i) }), false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := claims.Parse(tt.text, claims.JWT)
			require.Equal(t, tt.jwt, err == nil)
			_, err = claims.Parse(tt.text, claims.Answer)
			require.Equal(t, tt.answer, err == nil)
			_, _, err = parseObject(tt.text)
			require.Equal(t, tt.answer, err == nil)
		})
	}
}

// Decoder.Lax does not count the members of the value that it reads. The members are counted when
// another decoder parses this value later.
func TestLaxMembersAreNotCounted(t *testing.T) {
	text := `{"keys":` + arrayOf(1000, objectOf(10, func(i int) string { return fmt.Sprint("\t", i) })) + `}`
	require.NoError(t, claims.Object(text, nil, func(_ string, d *claims.Decoder) error {
		return d.Elements(func(d *claims.Decoder) error {
			_, ok := d.Lax()
			require.True(t, ok)
			return nil
		})
	}))
}

// A token may have 1024 strings in its lists of scopes and audiences, and 2048 elements in all its
// other arrays together.
func TestElementsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		jwt        bool
	}{
		{"numbers", `{"a":` + arrayOf(2048, "1") + `}`, true},
		{"one number too many", `{"a":` + arrayOf(2049, "1") + `}`, false},
		{"numbers in two arrays", `{"a":` + arrayOf(1024, "1") + `,"b":` + arrayOf(1025, "1") + `}`, false},
		{"audiences", `{"aud":` + arrayOf(1024, `"a"`) + `}`, true},
		{"one audience too many", `{"aud":` + arrayOf(1025, `"a"`) + `}`, false},
		{"scopes", `{"scope":"` + strings.Repeat(" a", 1024) + `"}`, true},
		{"one scope too many", `{"scope":"` + strings.Repeat(" a", 1025) + `"}`, false},
		{"spaces are no scopes", `{"scope":"a` + strings.Repeat(" ", 5000) + `b"}`, true},
		{"commas are no audiences", `{"aud":["` + strings.Repeat(",", 5000) + `","b"]}`, true},
		{"in two lists", `{"aud":` + arrayOf(512, `"a"`) + `,"scp":` + arrayOf(512, `"a"`) + `}`, true},
		{"in two lists, one too many", `{"aud":` + arrayOf(512, `"a"`) + `,"scope":` + arrayOf(513, `"a"`) + `}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := claims.Parse(tt.text, claims.JWT)
			require.Equal(t, tt.jwt, err == nil)
			set, err := claims.Parse(tt.text, claims.Answer)
			require.NoError(t, err, "only its length bounds a response of the issuer")
			require.NotNil(t, set)
		})
	}
	_, err := claims.Parse(`{"aud":`+arrayOf(1025, `"a"`)+`}`, claims.JWT)
	require.ErrorAs(t, err, new(*claims.TypeError), "the log names the claim")
}

// Some claims are lists, for example the audiences. If the JSON text of such a list is malformed,
// Parse returns ErrSyntax.
func TestListsBeginAsLists(t *testing.T) {
	for _, name := range []string{"aud", "scope", "scp", "amr"} {
		for _, value := range []string{`]`, `}`, `"a","b"]`, `,"a"]`, `["a"`, `["a",]`, `["a""b"]`, `["a";"b"]`} {
			for _, source := range []claims.Source{claims.JWT, claims.Answer} {
				_, err := claims.Parse(`{"`+name+`":`+value+`}`, source)
				require.ErrorIs(t, err, claims.ErrSyntax, "%s %s", name, value)
			}
		}
	}
}

// Parse makes at most 16 allocations, also for a JSON text with many members, names or strings.
func TestParsingAllocatesLittle(t *testing.T) {
	for name, text := range map[string]string{
		"names":           objectOf(512, func(i int) string { return fmt.Sprint(i) }),
		"capitals":        objectOf(512, func(i int) string { return fmt.Sprintf("Client_%02d", i) }),
		"beyond ASCII":    objectOf(512, func(i int) string { return fmt.Sprint("ſ", i) }),
		"escaped names":   strings.ReplaceAll(objectOf(256, func(i int) string { return fmt.Sprintf("_%d", i) }), "_", `\u0041`),
		"objects":         `{"a":` + arrayOf(39, objectOf(13, func(i int) string { return fmt.Sprint(i) })) + `}`,
		"escaped strings": `{"a":` + arrayOf(2000, `"\u0041\n"`) + `}`,
		"audiences":       `{"aud":` + arrayOf(1000, `"\u0041\n"`) + `}`,
		"scopes":          `{"scope":"` + strings.Repeat(" a", 1000) + `"}`,
		"a long time":     `{"exp":1.` + strings.Repeat("1", 12000) + `e1}`,
		"a long string":   `{"iss":"` + strings.Repeat(`\u0041`, 2000) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			allocs := testing.AllocsPerRun(20, func() {
				var set claims.Set
				_ = set.Parse(text, claims.JWT)
			})
			require.LessOrEqual(t, allocs, 16.0)
		})
	}
}

// Readers of JSON fold names in different ways: by simple case folding (encoding/json), by
// conversion of each character to upper or lower case, and by full case folding (Unicode, section
// 3.13, C+F; Python's casefold, Java's toUpperCase). A name is refused if any of these ways turns
// it into a registered name.
func TestEveryCharacterThatFolds(t *testing.T) {
	collides := func(registered, name string) bool {
		err := claims.Object(`{"`+name+`":1}`, claims.NewNames(registered), func(_ string, d *claims.Decoder) error {
			_, ok := d.Raw()
			require.True(t, ok)
			return nil
		})
		return err != nil
	}
	letter := func(r rune) string {
		folded := map[rune]bool{unicode.ToLower(r): true, unicode.ToLower(unicode.ToUpper(r)): true, unicode.ToLower(unicode.ToTitle(r)): true}
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			folded[f] = true
		}
		for f := range folded {
			if f >= 'a' && f <= 'z' {
				return string(f)
			}
		}
		return ""
	}
	full := map[rune]string{
		'ß': "ss", 'ẞ': "ss", '\ufb00': "ff", '\ufb01': "fi", '\ufb02': "fl", '\ufb03': "ffi", '\ufb04': "ffl", '\ufb05': "st", '\ufb06': "st",
	}
	found := 0
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		want := letter(r)
		if want == "" {
			want = full[r]
		}
		if want == "" {
			continue
		}
		found++
		require.True(t, collides("a"+want+"b", "a"+string(r)+"B"), "%U", r)
		require.True(t, collides(want, string(r)), "%U alone", r)
		require.False(t, collides("a"+want+"b", "a"+string(r)), "%U and too short", r)
		require.False(t, collides("a"+want, "a"+string(r)+"b"), "%U and too long", r)
		require.False(t, collides("a"+want, "é"+string(r)), "%U and another letter", r)
	}
	require.Equal(t, 4+len(full), found, "this version of Unicode has more such characters")
}
