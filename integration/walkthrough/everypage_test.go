package walkthrough

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// A state is a moment in the tour through the walkthrough, at which the test looks at the page in
// the browser. The function goThere leads from the previous state to this one.
type state struct {
	name    string
	path    string // the path of the page in the browser
	goThere func(p *page, base string)
}

func at(path string) func(*page, string) {
	return func(p *page, base string) { p.open(base + path) }
}

func press(selector string) func(*page, string) {
	return func(p *page, _ string) { p.click(selector) }
}

// sendCall returns a function for state.goThere. That function presses the button for an API call,
// and waits until the page shows the response.
func sendCall(call string) func(*page, string) {
	return func(p *page, _ string) { p.sendCall(call) }
}

// tourStates lists the moments at which the test looks at a page, in the order in which a user
// comes to them. Error pages and the page after the logout are not in this list.
var tourStates = []state{
	{"start", "/", at("/")},
	{"before", "/before", at("/before")},
	{"challenge", "/before", sendCall("none")},
	{"register", "/step/1", at("/step/1")},
	{"registered", "/step/1", press(`form[action="/register"] button`)},
	{"ask", "/step/2", at("/step/2")},
	{"login", "/login", press(`form[action="/authorize"] button`)},
	{"consent", "/consent", press(`form[action="/login"] button`)},
	{"token", "/step/4", press(`[value="allow"]`)},
	{"consented", "/step/3", at("/step/3")},
	{"call", "/step/5", at("/step/5")},
	{"called", "/step/5", sendCall("token")},
	{"check", "/step/6", at("/step/6")},
	{"scope", "/step/6", sendCall("scope")},
	{"refresh", "/step/7", at("/step/7")},
	{"expired", "/step/7", press(`form[action="/hour"] button`)},
	{"after", "/after", at("/after")},
	{"watch", "/watch", at("/watch")},
	{"opaque", "/watch", sendCall("opaque")},
	{"down", "/watch", sendCall("down")},
	{"valid", "/step/7", func(p *page, base string) {
		p.open(base + "/step/7")
		p.click(`form[action="/refresh"] button`)
	}},
	{"tampered", "/watch", func(p *page, base string) {
		p.open(base + "/watch")
		p.sendCall("tampered")
	}},
}

// TestEveryPage looks at every page in light colours, in dark colours and with the width of a
// phone. axe-core must find no violation, and no element may be wider than the screen. If the
// environment variable SCREENSHOTS names a folder, TestEveryPage also writes a picture of each page
// into this folder.
func TestEveryPage(t *testing.T) {
	base := startProgram(t)
	p := newPage(t)
	for _, s := range tourStates {
		s.goThere(p, base)
		if p.path() != s.path {
			t.Fatalf("%s: the browser is at %s, not at %s", s.name, p.path(), s.path)
		}
		p.checkLooks(s.name)
	}
}

// page.checkLooks checks the page in light colours, in dark colours and with the width of a phone.
// name becomes a part of the file names of the pictures.
func (p *page) checkLooks(name string) {
	p.t.Helper()
	for _, l := range []look{wide, dark, phone} {
		p.look(l)
		p.pictures(name + "-" + l.name)
		p.unfold(true)
		p.checkAccessible()
		p.checkFits(l.width)
		p.unfold(false)
	}
	p.look(wide)
}

// page.sendCall presses the button for an API call, and waits until the page shows the response.
// The browser does not load the page again, because a script of the page sends the form.
func (p *page) sendCall(call string) {
	p.t.Helper()
	const shown = "(document.querySelector('#call article')?.id ?? '')"
	before := evaluate[string](p, shown)
	button := chromedp.CSS(`button[name="call"][value=` + quoteText(call) + `]`)
	p.do("click on "+call, chromedp.Click(button))
	p.waitUntilTrue(`document.querySelector('#call article[data-done]') !== null`)
	p.waitUntilTrue(shown + ` !== ` + quoteText(before))
	p.waitUntilTrue(`document.querySelector('[aria-busy]') === null`)
}

// If open is true, page.unfold opens the closed sections of the API call on the page. If open is
// false, page.unfold closes these sections again.
func (p *page) unfold(open bool) {
	p.t.Helper()
	const all = `document.querySelectorAll('#call details').forEach(d => {
		if (d.open !== %[1]t && (%[1]t || d.dataset.folded)) {
			d.open = %[1]t;
			d.dataset.folded = 'yes';
		}
	}), true`
	evaluate[bool](p, fmt.Sprintf(all, open))
}

// page.checkFits fails the test if an element of the page is wider than width, the width of the
// screen. The test cannot ask the page for this width: if a page is too wide, the browser of a
// phone zooms out, and the page sees a larger width.
func (p *page) checkFits(width int64) {
	p.t.Helper()
	const tooWide = `[...document.body.querySelectorAll('*')].filter(e => {
		if (e.closest('.quiet, .skip, .scroll')) return false;
		const r = e.getBoundingClientRect();
		return r.width > 1 && (r.right > %d.5 || r.left < -0.5);
	}).map(e => e.outerHTML.slice(0, 120))`
	for _, element := range evaluate[[]string](p, fmt.Sprintf(tooWide, width)) {
		p.t.Errorf("%s: wider than the screen: %s", p.path(), element)
	}
}

// page.pictures writes a picture of the page into a file, and a picture of its most important part:
// the API call, or the form of the Identity server.
func (p *page) pictures(name string) {
	p.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	write := func(name string, take chromedp.Action[[]byte]) {
		png, err := chromedp.Run(p.ctx, take)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	evaluate[bool](p, "scrollTo(0, 0), true")
	write(name, chromedp.FullScreenshot(100))
	if p.countElements(".sheet") > 0 {
		write(name+"-sheet", chromedp.Screenshot(chromedp.CSS(".sheet")))
	}
	if p.countElements("#call article") > 0 {
		write(name+"-call", chromedp.Screenshot(chromedp.CSS(`section:has(#call)`)))
	}
}
