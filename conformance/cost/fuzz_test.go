//go:build !race

package cost_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// A textReader describes a function of the library that reads a text from an unknown client. The
// text has at most maxLength bytes, because net/http or the library refuses a longer text before
// the function is called.
type textReader struct {
	name      string
	maxLength int
	// The parameter text stands for a text that an unknown client sends. prepareRead returns a
	// function that makes the library read this text.
	prepareRead func(text string) func()
	// The library may make at most maxObjects allocations while it reads a text. Together these
	// allocations may have baseBytes bytes, and perByte more bytes for each byte of the text.
	maxObjects, baseBytes, perByte uint64
}

// textReaders returns functions of the library that read text before the client is known.
func textReaders(t testing.TB) []textReader {
	issuer, handler := guardedByScope(t)
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	logout := v.LogoutHandler(harness.ClientID)
	rules := []routes.Rule{
		{Pattern: "/", Access: routes.Public()}, {Pattern: "/{a}/{b}/x", Access: routes.Public()}, {Pattern: "/admin", Access: routes.Deny()},
		{Pattern: "GET api.example/own/{a...}", Access: routes.Public()},
	}
	exact, err := routes.New(rules, nil)
	require.NoError(t, err)
	folded, err := routes.New(rules, &routes.Options{IgnoreCase: true})
	require.NoError(t, err)

	serve := func(authorization, query string) func() {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/", RawQuery: query}, Body: http.NoBody}
		r.Header = http.Header{"Authorization": {authorization}}
		w := nowhere{make(http.Header)}
		return func() { handler.ServeHTTP(w, r) }
	}
	token := func(token string) func() { return serve("Bearer "+token, "") }
	header := harness.Base64(`{"alg":"RS256","kid":"` + issuer.KeyID() + `","typ":"at+jwt"}`)
	signature := strings.Repeat("A", 342)
	post := func(contentType, form string) func() {
		r := &http.Request{Method: "POST", URL: &url.URL{Path: "/logout"}, Header: http.Header{"Content-Type": {contentType}}}
		w := nowhere{make(http.Header)}
		return func() {
			r.Body = io.NopCloser(strings.NewReader(form))
			logout.ServeHTTP(w, r)
		}
	}
	find := func(table *routes.Table) func(string) func() {
		return func(target string) func() {
			u, err := url.ParseRequestURI(target)
			if err != nil {
				return func() {}
			}
			r := &http.Request{Method: "GET", Host: "api.example", URL: u, RequestURI: target}
			return func() { _, _ = table.Find(r) }
		}
	}
	const most = xenaauth.DefaultMaxTokenLength
	payload := (most - len(header) - len(signature) - 2) * 3 / 4
	return []textReader{
		{"the Authorization field", 1 << 20, func(s string) func() { return serve(s, "") }, 40, 20 << 10, 0},
		{"a token", most, token, 40, 16 << 10, 2},
		{"the header of a token", most / 2, func(s string) func() { return token(harness.Base64(s) + "." + harness.Base64("{}") + "." + signature) }, 40, 16 << 10, 3},
		{"the claims of a token", payload, func(s string) func() { return token(header + "." + harness.Base64(s) + "." + signature) }, 40, 24 << 10, 4},
		{"the query", 1 << 20, func(s string) func() { return serve("Bearer a.b.c", s) }, 40, 16 << 10, 0},
		{"the target, by its case", 32 << 10, find(exact), 80, 16 << 10, 32},
		{"the target, in any case", 32 << 10, find(folded), 80, 16 << 10, 32},
		{"the form of a logout", 1 << 20, func(s string) func() { return post(harness.FormType, s) }, 300, 300 << 10, 0},
		{"the claims of a logout token", payload, func(s string) func() {
			return post(harness.FormType, "logout_token="+header+"."+harness.Base64(s)+"."+signature)
		}, 80, 32 << 10, 16},
		{"the content type of a logout", 1 << 20, func(s string) func() { return post(s, "") }, 100, 20 << 10, 0},
	}
}

// textReader.requireCheap makes the library read a text. It requires that the library allocates no
// more than maxObjects, baseBytes and perByte allow.
func (p textReader) requireCheap(t testing.TB, text string) {
	t.Helper()
	text = text[:min(len(text), p.maxLength)]
	read := p.prepareRead(text)
	bytes, objects := measureAllocations(1, read)
	// The first measurement may be too high, because a garbage collection may have emptied the
	// memory pools of the library. So measure again.
	if objects > p.maxObjects || bytes > p.baseBytes+p.perByte*uint64(len(text)) {
		bytes, objects = measureAllocations(9, read)
	}
	require.LessOrEqual(t, objects, p.maxObjects, "%s: objects for %d bytes: %.80q", p.name, len(text), text)
	require.LessOrEqual(t, bytes, p.baseBytes+p.perByte*uint64(len(text)), "%s: bytes for %d bytes: %.80q", p.name, len(text), text)
}

// hostileTexts returns texts that are expensive for the library to read: JSON of all kinds, header
// fields, forms and paths.
func hostileTexts(max int) []string {
	var all []string
	for _, text := range costlyJSON(min(max, 11_800)) {
		all = append(all, text)
	}
	for _, part := range []string{
		"a", ".", "/", "/a", "%41", "/%61", "%2f", "%D0%B6", "/%E6%BC%A2", "&", "a=b&", "%41%42=&", ";a", ";a=b", " ", "~", "a ", "Bearer ",
		"\\", "\"", "\x00", "é", "logout_token=a&", "logout_token=", "access_token&", "%61ccess_token&", "?", "{", "[",
	} {
		for _, begin := range []string{"", "/", "Bearer ", "logout_token=", "a/b", harness.FormType} {
			n := max - len(begin)
			all = append(all, begin+strings.Repeat(part, n/len(part)))
		}
	}
	return all
}

// The library has to read some texts before it knows the client, for example the Authorization
// field of a request. Reading one of these texts costs few allocations. Apart from a fixed amount,
// the memory is at most in proportion to the length of the text.
func TestTextOfUnknownClientsIsCheap(t *testing.T) {
	for _, p := range textReaders(t) {
		t.Run(p.name, func(t *testing.T) {
			for _, text := range hostileTexts(min(p.maxLength, 128<<10)) {
				p.requireCheap(t, text)
			}
		})
	}
}

// FuzzCost searches for a text for which a function of the library allocates more memory than its
// limit. It does not measure time, because time depends on the load of the machine.
func FuzzCost(f *testing.F) {
	all := textReaders(f)
	for _, text := range hostileTexts(200) {
		f.Add(text, uint16(60))
	}
	f.Fuzz(func(t *testing.T, text string, times uint16) {
		for _, p := range all {
			p.requireCheap(t, strings.Repeat(text, min(1+int(times)%64, 1+p.maxLength/max(1, len(text)))))
		}
	})
}
