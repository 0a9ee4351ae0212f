package target_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/target"
)

// The tests in this file check only some of the targets that package target refuses. The tests of
// package gateway/routes check the others.

func TestRead(t *testing.T) {
	type header = map[string][]string
	for name, tt := range map[string]struct {
		r    target.Request
		want target.Target
		err  string
	}{
		"a path": {target.Request{Method: "GET", Host: "API.example:80", RequestURI: "/a", Path: "/a"},
			target.Target{Method: "GET", Host: "api.example", Path: "/a"}, ""},
		"a needless escape": {target.Request{Method: "GET", Path: "/aæ", RawPath: "/%61%C3%A6"},
			target.Target{Method: "GET", Path: "/aæ", RawPath: "/%61æ"}, ""},
		"a necessary escape": {target.Request{Method: "GET", Path: "/æ", RawPath: "/%c3%a6"},
			target.Target{Method: "GET", Path: "/æ"}, ""},
		"all of a server": {target.Request{Method: "OPTIONS", RequestURI: "*", Path: "*"},
			target.Target{Method: "OPTIONS", Path: "*"}, ""},
		"the same method": {target.Request{Method: "POST", Path: "/", Header: header{"X-Http-Method": {"post"}}},
			target.Target{Method: "POST", Path: "/"}, ""},
		"another method": {target.Request{Method: "POST", Path: "/", Header: header{"X_http.Method": {"POST", "PUT"}}},
			target.Target{}, "a header field asks for another method"},
		"no method":        {target.Request{Path: "/"}, target.Target{}, "the method is missing"},
		"an absolute form": {target.Request{Method: "GET", RequestURI: "http://a/", Path: "/"}, target.Target{}, "the target is not in origin form"},
		"a bad host":       {target.Request{Method: "GET", Host: "a b", Path: "/"}, target.Target{}, "the host is not a plain name or address"},
		"another raw path": {target.Request{Method: "GET", Path: "/a", RawPath: "/b"}, target.Target{}, "the path and its encoding differ"},
		"dot segments":     {target.Request{Method: "GET", Path: "/a/../b"}, target.Target{}, "a path segment ends in a dot or a space"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := target.Read(tt.r)
			require.Equal(t, tt.want, got)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, target.Ambiguity(tt.err))
		})
	}
}

// The function target.Read limits the length of the path as it was sent, so an escape counts as
// three bytes. The limit is the same for a path in the default encoding of net/url and for a path
// in another encoding.
func TestLongPaths(t *testing.T) {
	for name, sent := range map[string]string{
		"ASCII":           "/" + strings.Repeat("a", target.MaxPath-1),
		"default escapes": "/ab" + strings.Repeat("%C3%A6", (target.MaxPath-3)/6) + "abcde",
		"other escapes":   "/ab" + strings.Repeat("%c3%a6", (target.MaxPath-3)/6) + "abcde",
		"delimiters":      "/" + strings.Repeat("$&+,:=@a", target.MaxPath/8)[1:],
	} {
		for extra := range 2 {
			u, err := url.ParseRequestURI(sent + strings.Repeat("a", extra+target.MaxPath-len(sent)))
			require.NoError(t, err, name)
			_, err = target.Read(target.Request{Method: "GET", Path: u.Path, RawPath: u.RawPath})
			if extra == 0 {
				require.NoError(t, err, name)
			} else {
				require.ErrorIs(t, err, target.Ambiguity("the path is too long"), name)
			}
		}
	}
	// If a path was sent in the default encoding of net/url, target.Read gets only the decoded
	// path. It computes the length that the path had when it was sent. For each byte in a path,
	// this length must be the length that net/url computes.
	for c := range 256 {
		u := url.URL{Path: "/" + string([]byte{byte(c)})}
		u.Path += strings.Repeat("a", target.MaxPath-len(u.EscapedPath()))
		longer := u
		longer.Path += "a"
		_, err := target.Read(target.Request{Method: "GET", Path: u.Path})
		require.NotErrorIs(t, err, target.Ambiguity("the path is too long"), "%q", c)
		_, err = target.Read(target.Request{Method: "GET", Path: longer.Path})
		require.ErrorIs(t, err, target.Ambiguity("the path is too long"), "%q", c)
	}
}

func TestHost(t *testing.T) {
	for host, want := range map[string]string{
		"": "", "a": "a", "A.b:8": "a.b", "[2001:DB8:0::1]:443": "[2001:db8::1]", "[::1]": "[::1]", "192.0.2.1:80": "192.0.2.1",
	} {
		got, err := target.Host(host)
		require.NoError(t, err, host)
		require.Equal(t, want, got, host)
		require.Equal(t, strings.HasSuffix(host, ":8") || strings.HasSuffix(host, ":443") || strings.HasSuffix(host, ":80"), target.HasPort(host), host)
	}
	for _, host := range []string{"a.", ".a", "a..b", "a b", "a@b", "a:", "a:x", "::1", "[::1", "[::1]x", "[fe80::1%25e]", "[192.0.2.1]", ":80"} {
		_, err := target.Host(host)
		require.Error(t, err, host)
	}
}

func TestCheckOrigin(t *testing.T) {
	for _, uri := range []string{"/", "/a?b", "/a/../b", "//a", "/%zz", "/a?b=%00"} {
		require.NoError(t, target.CheckOrigin(uri), uri)
	}
	for _, uri := range []string{"", "*", "a", "http://a/", "/a b", "/a#b", "/a?b#c", "/å", "/\x7f", "/\n"} {
		require.Error(t, target.CheckOrigin(uri), uri)
	}
}

func TestQueryHas(t *testing.T) {
	for query, want := range map[string]bool{
		"": false, "a=1&token": true, "token=1": true, "%74oken=": true, "t%6Fke%6e": true, "tokens=1": false, "xtoken=1": false,
		"a=token": false, "tok%65": false, "token%": false, "TOKEN=1": false,
	} {
		require.Equal(t, want, target.QueryHas(query, "token"), query)
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { target.QueryHas("a=b&c=%64&x", "token") }))
}
