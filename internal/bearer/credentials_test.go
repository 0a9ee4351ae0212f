package bearer_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

const limit = 64

// acceptedSchemes lists the authentication schemes that most tests accept.
var acceptedSchemes = []string{"Bearer"}

// parseField parses an Authorization field and then checks the characters of the token, like a
// middleware.
func parseField(lines []string, max int) (token string, kind bearer.Kind) {
	c := bearer.Parse(lines, acceptedSchemes, max)
	if c.Kind == bearer.Token && !bearer.IsToken68(c.Token()) {
		return "", bearer.Malformed
	}
	return c.Token(), c.Kind
}

// fieldCase contains the value of an Authorization field, and the results that parseField must
// return for it: token and kind (RFC 9110, section 11.4, and RFC 6750, section 2.1).
type fieldCase struct {
	name, line, token string
	kind              bearer.Kind
}

var fields = []fieldCase{
	{"token", "Bearer mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM", bearer.Token},
	{"lower-case scheme", "bearer abc", "abc", bearer.Token},
	{"upper-case scheme", "BEARER abc", "abc", bearer.Token},
	{"mixed-case scheme", "bEaReR abc", "abc", bearer.Token},
	{"two spaces", "Bearer  abc", "abc", bearer.Token},
	{"many spaces", "Bearer" + strings.Repeat(" ", 100) + "abc", "abc", bearer.Token},
	{"one character", "Bearer a", "a", bearer.Token},
	{"each punctuation mark of token68", "Bearer -._~+/", "-._~+/", bearer.Token},
	{"padding", "Bearer YQ==", "YQ==", bearer.Token},
	{"much padding", "Bearer a=====", "a=====", bearer.Token},
	{"as many spaces as allowed", "Bearer" + strings.Repeat(" ", 1024) + "abc", "abc", bearer.Token},
	{"longest", "Bearer " + strings.Repeat("a", limit), strings.Repeat("a", limit), bearer.Token},
	{"longest, padding included", "Bearer " + strings.Repeat("a", limit-2) + "==", strings.Repeat("a", limit-2) + "==", bearer.Token},
	{"longest after spaces, which do not count", "Bearer   " + strings.Repeat("a", limit), strings.Repeat("a", limit), bearer.Token},

	{"too many spaces", "Bearer" + strings.Repeat(" ", 1025) + "abc", "", bearer.Malformed},
	{"too many spaces and nothing", "Bearer" + strings.Repeat(" ", 5000), "", bearer.Malformed},
	{"long scheme", strings.Repeat("a", 65) + " abc", "", bearer.OtherScheme},
	{"token without a scheme", strings.Repeat("a.", 5000), "", bearer.OtherScheme},
	{"long scheme that is none", strings.Repeat("a", 63) + "/ abc", "", bearer.Malformed},
	{"long scheme, and what follows isn't read", strings.Repeat("a", 64) + "/ abc", "", bearer.OtherScheme},
	{"too long", "Bearer " + strings.Repeat("a", limit+1), "", bearer.Malformed},
	{"too long by its padding", "Bearer " + strings.Repeat("a", limit) + "=", "", bearer.Malformed},
	{"scheme alone", "Bearer", "", bearer.Malformed},
	{"scheme and a space", "Bearer ", "", bearer.Malformed},
	{"scheme and spaces", "Bearer   ", "", bearer.Malformed},
	{"padding alone", "Bearer ==", "", bearer.Malformed},
	{"padding inside", "Bearer a=b", "", bearer.Malformed},
	{"two tokens", "Bearer abc def", "", bearer.Malformed},
	{"trailing space", "Bearer abc ", "", bearer.Malformed},
	{"list", "Bearer abc, Bearer def", "", bearer.Malformed},
	{"comma", "Bearer abc,", "", bearer.Malformed},
	{"parameter", `Bearer token="abc"`, "", bearer.Malformed},
	{"quoted", `Bearer "abc"`, "", bearer.Malformed},
	{"tab for a space", "Bearer\tabc", "", bearer.Malformed},
	{"tab after the space", "Bearer \tabc", "", bearer.Malformed},
	{"tab at the end", "Bearer abc\t", "", bearer.Malformed},
	{"line break", "Bearer abc\r\ndef", "", bearer.Malformed},
	{"line break at the end", "Bearer abc\n", "", bearer.Malformed},
	{"NUL", "Bearer abc\x00", "", bearer.Malformed},
	{"DEL", "Bearer abc\x7f", "", bearer.Malformed},
	{"percent", "Bearer abc%20", "", bearer.Malformed},
	{"non-ASCII letter", "Bearer abcé", "", bearer.Malformed},
	{"byte above ASCII", "Bearer abc\xc1", "", bearer.Malformed},
	{"nothing between", "Bearerabc def", "", bearer.OtherScheme},
	{"colon after the scheme", "Bearer: abc", "", bearer.Malformed},
	{"quoted scheme", `"Bearer" abc`, "", bearer.Malformed},
	{"empty line", "", "", bearer.Malformed},
	{"leading space", " Bearer abc", "", bearer.Malformed},
	{"leading tab", "\tBearer abc", "", bearer.Malformed},
	{"scheme that only folds to ours outside ASCII", "Béarer abc", "", bearer.Malformed},
	{"scheme with a control", "Bea\x00rer abc", "", bearer.Malformed},

	{"Basic", "Basic dTpw", "", bearer.OtherScheme},
	{"DPoP", "DPoP abc", "", bearer.OtherScheme},
	{"Digest with parameters", `Digest username="u", realm="r"`, "", bearer.OtherScheme},
	{"other scheme alone", "Negotiate", "", bearer.OtherScheme},
	{"scheme of every tchar", "!#$%&'*+-.^_`|~09azAZ x", "", bearer.OtherScheme},
	{"scheme that begins as ours", "BearerX abc", "", bearer.OtherScheme},
	{"scheme that is a part of ours", "Bear abc", "", bearer.OtherScheme},
}

func TestParse(t *testing.T) {
	for _, tt := range fields {
		t.Run(tt.name, func(t *testing.T) {
			token, kind := parseField([]string{tt.line}, limit)
			require.Equal(t, tt.kind, kind)
			require.Equal(t, tt.token, token)
		})
	}
}

func TestParseWantsOneLine(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		kind  bearer.Kind
	}{
		{"no field", nil, bearer.None},
		{"no lines", []string{}, bearer.None},
		{"two tokens", []string{"Bearer abc", "Bearer def"}, bearer.Malformed},
		{"the same twice", []string{"Bearer abc", "Bearer abc"}, bearer.Malformed},
		{"another scheme second", []string{"Bearer abc", "Basic dTpw"}, bearer.Malformed},
		{"another scheme first", []string{"Basic dTpw", "Bearer abc"}, bearer.Malformed},
		{"neither ours", []string{"Basic dTpw", "Basic dTpw"}, bearer.Malformed},
		{"an empty one second", []string{"Bearer abc", ""}, bearer.Malformed},
		{"an empty one first", []string{"", "Bearer abc"}, bearer.Malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, kind := parseField(tt.lines, limit)
			require.Equal(t, tt.kind, kind)
			require.Empty(t, token)
		})
	}
}

// Parse does not check the characters of a token. It checks every other part of the Authorization
// field.
func TestParseLeavesTheToken(t *testing.T) {
	for _, tt := range fields {
		c := bearer.Parse([]string{tt.line}, acceptedSchemes, limit)
		if c.Kind != bearer.Token {
			require.Empty(t, c.Token(), tt.name)
			require.Equal(t, tt.kind, c.Kind, tt.name)
			continue
		}
		require.NotEmpty(t, c.Token(), tt.name)
		require.LessOrEqual(t, len(c.Token()), limit, tt.name)
		require.True(t, strings.HasSuffix(tt.line, " "+c.Token()), tt.name)
		require.Equal(t, tt.kind == bearer.Token, bearer.IsToken68(c.Token()), tt.name)
	}
}

// Parse uses the same rules for every accepted scheme. The name of a scheme may have upper-case or
// lower-case letters.
func TestAcceptedSchemes(t *testing.T) {
	schemes := []string{"Bearer", "DPoP"}
	for line, want := range map[string]struct {
		kind   bearer.Kind
		scheme uint8
		token  string
	}{
		"Bearer abc":                           {bearer.Token, 0, "abc"},
		"DPoP abc":                             {bearer.Token, 1, "abc"},
		"dPOP  abc":                            {bearer.Token, 1, "abc"},
		"DPoP":                                 {bearer.Malformed, 1, ""},
		"DPoP ":                                {bearer.Malformed, 1, ""},
		"DPoPX abc":                            {bearer.OtherScheme, 0, ""},
		"Basic abc":                            {bearer.OtherScheme, 0, ""},
		"DPoP: abc":                            {bearer.Malformed, 0, ""},
		"DPoP " + strings.Repeat("a", limit+1): {bearer.Malformed, 1, ""},
	} {
		c := bearer.Parse([]string{line}, schemes, limit)
		require.Equal(t, want.kind, c.Kind, line)
		require.Equal(t, want.scheme, c.Scheme, line)
		require.Equal(t, want.token, c.Token(), line)
	}
}

func TestSame(t *testing.T) {
	for name, tt := range map[string]struct {
		line  string
		lines []string
		want  bool
	}{
		"equal":             {"Bearer abc", []string{"Bearer abc"}, true},
		"other token":       {"Bearer abc", []string{"Bearer abd"}, false},
		"other scheme":      {"Bearer abc", []string{"bearer abc"}, false},
		"missing later":     {"Bearer abc", nil, false},
		"missing":           {"", nil, true},
		"missing at first":  {"", []string{"Bearer abc"}, false},
		"missing and empty": {"", []string{""}, false},
		"repeated later":    {"Bearer abc", []string{"Bearer abc", "Bearer abc"}, false},
		"repeated":          {"", []string{"Bearer abc", "Bearer abc"}, false},
		"other credentials": {"Basic abc", []string{"Basic abc"}, true},
	} {
		require.Equal(t, tt.want, bearer.Same(tt.line, tt.lines), name)
	}
}

// This test tries each byte in four positions: inside a token, at the end of a token, in the name
// of a scheme, and inside a scope. At the end of a token, it does not try "=", which is legal there
// as padding. In the name of a scheme, it does not try the space, because a space ends the name.
// The test has its own list of the legal characters.
func TestAlphabets(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	const token68, tchar = letters + "-._~+/", letters + "!#$%&'*+-.^_`|~"
	for c := range 256 {
		s := string([]byte{byte(c)})
		_, kind := parseField([]string{"Bearer a" + s + "b"}, limit)
		require.Equal(t, strings.Contains(token68, s), kind == bearer.Token, "byte %#x in a token", c)
		if c != '=' {
			_, kind = parseField([]string{"Bearer a" + s}, limit)
			require.Equal(t, strings.Contains(token68, s), kind == bearer.Token, "byte %#x at the end of a token", c)
		}
		if c != ' ' {
			_, kind = parseField([]string{"X" + s + "y abc"}, limit)
			require.Equal(t, strings.Contains(tchar, s), kind == bearer.OtherScheme, "byte %#x in a scheme", c)
		}
		scope := c >= 0x21 && c <= 0x7e && c != '"' && c != '\\'
		require.Equal(t, scope, bearer.IsScopeToken("a"+s+"b"), "byte %#x in a scope token", c)
	}
	require.False(t, bearer.IsScopeToken(""))
	require.True(t, bearer.IsScopeToken("https://api.example/read:all"))
}

// The regular expression credentials describes an Authorization field with a Bearer token (RFC
// 9110, section 11.4, and RFC 6750, section 2.1). The regular expression otherScheme describes the
// beginning of a field with the name of a scheme, for example Basic. Parse reads at most 64
// characters of this name.
var (
	credentials = regexp.MustCompile(`^(?i:Bearer)( +)([A-Za-z0-9\-._~+/]+=*)\z`)
	otherScheme = regexp.MustCompile("^([A-Za-z0-9!#$%&'*+\\-.^_`|~]{1,63}(?: |\\z)|[A-Za-z0-9!#$%&'*+\\-.^_`|~]{64})")
)

func FuzzParse(f *testing.F) {
	for _, tt := range fields {
		f.Add(tt.line, limit)
	}
	f.Fuzz(func(t *testing.T, line string, max int) {
		want, wantKind := "", bearer.Malformed
		if m := credentials.FindStringSubmatch(line); m != nil {
			if len(m[1]) <= 1024 && len(m[2]) <= max {
				want, wantKind = m[2], bearer.Token
			}
		} else if m := otherScheme.FindStringSubmatch(line); m != nil && !strings.EqualFold(strings.TrimSuffix(m[1], " "), "Bearer") {
			wantKind = bearer.OtherScheme
		}
		token, kind := parseField([]string{line}, max)
		require.Equal(t, wantKind, kind)
		require.Equal(t, want, token)
		_, kind = parseField([]string{line, line}, max)
		require.Equal(t, bearer.Malformed, kind)
	})
}
