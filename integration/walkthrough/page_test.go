package walkthrough

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// A page is a tab of the browser. It shares no cookies with the tabs of other tests.
type page struct {
	t      *testing.T
	ctx    context.Context
	faults *pageFaults
}

// newPage opens an empty tab. If a page in this tab causes a fault, for example an exception in its
// script, the test fails at its end. The type pageFaults lists all kinds of faults.
func newPage(t *testing.T) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(startBrowser(t), chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx, faults: watchFaults(t, ctx)}
	t.Cleanup(func() { p.faults.check(t) })
	p.look(wide)
	return p
}

// A look is a way to show a page: in light or dark colours, on a screen of a certain size.
type look struct {
	name   string
	dark   bool
	width  int64
	height int64
}

var (
	wide  = look{name: "light", width: 1280, height: 800}
	dark  = look{name: "dark", dark: true, width: 1280, height: 800}
	phone = look{name: "phone", width: 360, height: 740}
)

func (p *page) look(l look) {
	p.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	callBrowser(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 500,
	})
	features := []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: "reduce"}, // colours change without a transition
	}
	callBrowser(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

// page.do runs actions of the browser, for example a click. If they take longer than pageTimeout,
// the test fails.
func (p *page) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.failTest(what, err)
	}
}

// page.load runs actions of the browser that lead to another page, and waits until the browser has
// loaded the new page. It returns the response with the new page.
func (p *page) load(what string, actions ...chromedp.Action[chromedp.Void]) *network.Response {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTimeout)
	defer cancel()
	r, err := chromedp.RunResponse(ctx, actions...)
	if err != nil {
		p.failTest(what, err)
	}
	return r
}

// page.open loads a URL. The test fails unless the response has status 200.
func (p *page) open(target string) {
	p.t.Helper()
	p.ok(target, p.load("open "+target, chromedp.Navigate(target)))
}

// page.click clicks on an element that leads to another page. The test fails unless the response
// has status 200.
func (p *page) click(selector string) {
	p.t.Helper()
	p.ok(selector, p.load("click on "+selector, chromedp.Click(chromedp.CSS(selector))))
}

func (p *page) ok(what string, r *network.Response) {
	p.t.Helper()
	if r == nil || r.Status != 200 {
		p.failTest(what, fmt.Errorf("response %+v", r))
	}
}

// page.press sends keys to the element of the page that has the focus.
func (p *page) press(keys string, opts ...chromedp.KeyOption) {
	p.t.Helper()
	p.do("press "+keys, chromedp.KeyEvent(keys, opts...))
}

// page.text finds the first element of the page that matches a CSS selector, and returns the
// visible text of this element.
func (p *page) text(selector string) string {
	p.t.Helper()
	s := quoteText(selector)
	return evaluate[string](p, "document.querySelector("+s+")?.innerText ?? 'no element: ' + "+s)
}

// page.countElements returns the number of elements in the page that match a CSS selector.
func (p *page) countElements(selector string) int {
	p.t.Helper()
	return evaluate[int](p, "document.querySelectorAll("+quoteText(selector)+").length")
}

// page.waitUntilTrue waits until a JavaScript expression is true in the page.
func (p *page) waitUntilTrue(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTimeout)
	defer cancel()
	poll := chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(pageTimeout))
	if _, err := chromedp.Run(ctx, poll); err != nil {
		p.failTest("wait for "+expression, err)
	}
}

// page.path returns the path of the URL of the page in the browser.
func (p *page) path() string {
	p.t.Helper()
	u, err := url.Parse(evaluate[string](p, "location.href"))
	if err != nil {
		p.failTest("location", err)
	}
	return u.Path
}

// page.failTest ends the test as failed. The message of the failure contains the text that the page
// shows.
func (p *page) failTest(what string, err error) {
	p.t.Helper()
	shown := ""
	ctx, cancel := context.WithTimeout(p.ctx, pageTimeout)
	defer cancel()
	const all = "location.href + '\\n' + document.body.innerText"
	shown, _ = chromedp.Run(ctx, chromedp.Evaluate[string](all))
	p.t.Fatalf("%s: %v\nthe page shows:\n%.4000s", what, err, shown)
}

// evaluate evaluates a JavaScript expression in the page and returns its value.
func evaluate[T any](p *page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTimeout)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.failTest(fmt.Sprintf("%.200s", expression), err)
	}
	return value
}

// callBrowser sends a command of the DevTools protocol to the browser and returns the result.
func callBrowser[P, R any](p *page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTimeout)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		p.failTest(command.Method, err)
	}
	return result
}

// quoteText returns a text as a string literal of JavaScript.
func quoteText(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}
