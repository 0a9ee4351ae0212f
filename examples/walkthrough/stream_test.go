package main

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// The event stream of a session reports the API calls of this session.
func TestStream(t *testing.T) {
	t.Parallel()
	b := startBrowser(t).signIn()
	response, err := b.client.Get(b.app.base + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // after reading, no error of Close matters
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("content type %q", got)
	}
	b.callAPI("expired")
	lines := bufio.NewScanner(response.Body)
	if !lines.Scan() || lines.Text() != "event: call" || !lines.Scan() || !strings.HasPrefix(lines.Text(), "data: ") {
		t.Errorf("the stream begins with %q", lines.Text())
	}
}

// A session has a limited number of event streams, and the application has a limited number of
// sessions.
func TestLimits(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	for i := range watch.MaxStreams + 1 {
		response, err := b.client.Get(b.app.base + "/events")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // the stream stays open until the test ends
		if full := response.StatusCode == http.StatusTooManyRequests; full != (i == watch.MaxStreams) {
			t.Errorf("stream %d: status %d", i, response.StatusCode)
		}
	}
	for range maxSessions {
		b.app.open(t)
	}
	old := b.client.Jar.Cookies(b.url)[0].Value
	if _, ok := b.app.sessions.table.Get(old); ok {
		t.Error("the oldest session is still there")
	}
	if b.visit("/"); b.status != http.StatusOK {
		t.Errorf("a forgotten session: status %d", b.status)
	}
}

// The header fields of a page limit what a browser may load, and keep tokens out of caches and of
// the field Referer.
func TestHeaders(t *testing.T) {
	t.Parallel()
	b := startBrowser(t).signIn().visit("/after")
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store",
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if !strings.Contains(b.header.Get(name), want) {
			t.Errorf("%s: %q", name, b.header.Get(name))
		}
	}
	if csp := b.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") {
		t.Errorf("the policy allows inline code: %s", csp)
	}
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0"} {
		if _, err := listen(addr); err == nil {
			t.Errorf("%s is not loopback", addr)
		}
	}
}
