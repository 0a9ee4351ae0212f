package walkthrough

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// pageFaults collects events that a page of the walkthrough must not cause: a line in the console,
// an exception, an entry in the browser's log, a violation of the Content-Security-Policy, an issue
// that the browser reports, or a request to another machine.
type pageFaults struct {
	mu    sync.Mutex
	found []string
}

// watchFaults starts to collect the faults of a page.
func watchFaults(t *testing.T, ctx context.Context) *pageFaults {
	t.Helper()
	f := new(pageFaults)
	err := chromedp.Listen(ctx, f.see)
	if err == nil {
		_, err = chromedp.Call(ctx, audits.Enable, cdp.Empty{})
	}
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return f
}

func (f *pageFaults) see(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		text := ""
		for _, arg := range e.Args {
			text += " " + string(arg.Value) + arg.Description
		}
		f.add("console.%s:%s", e.Type, text)
	case *runtime.EventExceptionThrown:
		f.add("exception: %s", exception(e.ExceptionDetails))
	case *log.EventEntryAdded:
		f.add("log, %s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *audits.EventIssueAdded:
		if csp := e.Issue.Details.ContentSecurityPolicyIssueDetails; csp != nil {
			f.add("Content-Security-Policy: %s %s", csp.ViolatedDirective, csp.BlockedURL)
		}
		if form := e.Issue.Details.GenericIssueDetails; form != nil {
			f.add("issue: %s", form.ErrorType)
		}
	case *network.EventRequestWillBeSent:
		if !isLocal(e.Request.URL) {
			f.add("request to another machine: %s", e.Request.URL)
		}
	}
}

func exception(d *runtime.ExceptionDetails) string {
	if d.Exception != nil {
		return d.Exception.Description
	}
	return d.Text
}

func (f *pageFaults) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found = append(f.found, fmt.Sprintf(format, args...))
}

// pageFaults.take returns the descriptions of the faults that were found since the last call of
// take.
func (f *pageFaults) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.found
	f.found = nil
	return found
}

// pageFaults.allow removes the collected faults whose description begins with prefix. If there is
// no such fault, the test fails.
func (f *pageFaults) allow(prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.found)
	f.found = slices.DeleteFunc(f.found, func(s string) bool { return strings.HasPrefix(s, prefix) })
	if len(f.found) == n {
		f.found = append(f.found, "not found: "+prefix)
	}
}

func (f *pageFaults) check(t *testing.T) {
	t.Helper()
	for _, fault := range f.take() {
		t.Error(fault)
	}
}

// isLocal reports whether a request for rawURL stays on this machine.
func isLocal(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "about", "data", "blob":
		return true
	case "http":
		ip := net.ParseIP(u.Hostname())
		return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	}
	return false
}

// TestFaultsAreFound loads pages that cause faults: one of each kind that pageFaults must collect.
// Without this test, nobody would notice if pageFaults did not collect a kind of fault.
func TestFaultsAreFound(t *testing.T) {
	site := serveHTML(t, `<script>console.log("written")</script>
		<script>throw new Error("thrown")</script>
		<img src="http://192.0.2.1/pixel.png" alt=""><img src="/missing.png" alt="">
		<form><label for="nothing">Name</label><input></form>`)
	guarded := serveHTML(t, `<script>document.title = "inline"</script>`,
		"Content-Security-Policy", "script-src 'self'")
	p := newPage(t)
	p.open(site)
	p.open(guarded)
	found := p.faults.take()
	for _, want := range []string{
		`console.log: "written"`,
		"exception: Error: thrown",
		"request to another machine: http://192.0.2.1/pixel.png",
		"log, error: Failed to load resource: the server responded with a status of 404",
		"Content-Security-Policy: script-src",
		"issue: FormLabelForMatchesNonExistingIdError",
	} {
		if !anyHasPrefix(found, want) {
			t.Errorf("not found: %s, in %q", want, found)
		}
	}
}
