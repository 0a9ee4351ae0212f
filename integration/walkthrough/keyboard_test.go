package walkthrough

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// page.tabTo presses the key Tab until the element that the CSS selector matches has the focus.
// After each key, the page must visibly mark the element that has the focus.
func (p *page) tabTo(selector string) {
	p.t.Helper()
	const unseen = `(() => {
		const e = document.activeElement, s = getComputedStyle(e);
		const seen = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
		return e === document.body || seen ? '' : e.outerHTML;
	})()`
	for range 100 {
		p.press(kb.Tab)
		if e := evaluate[string](p, unseen); e != "" {
			p.t.Errorf("%s: no visible focus: %s", p.path(), e)
		}
		if evaluate[bool](p, "document.activeElement.matches("+quoteText(selector)+")") {
			return
		}
	}
	p.t.Fatalf("%s: Tab does not reach %s", p.path(), selector)
}

// page.followByKeys moves the focus to an element with the key Tab, and presses Enter. The element
// must lead to another page.
func (p *page) followByKeys(selector string) {
	p.t.Helper()
	p.tabTo(selector)
	p.ok(selector, p.load("press Enter on "+selector, chromedp.KeyEvent(kb.Enter)))
}

// A user takes the seven steps of the walkthrough with the keys Tab, Space and Enter only.
func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base)
	p.press(kb.Tab)
	if !evaluate[bool](p, `document.activeElement.matches('.skip')`) {
		t.Error("the first Tab does not lead to the skip link")
	}
	p.press(kb.Enter)
	p.waitUntilTrue(`document.activeElement.id === 'main'`)
	p.followByKeys(`[rel="next"]`)
	p.followByKeys(`[rel="next"]`)

	p.wantPath("/step/1")
	p.followByKeys(`form[action="/register"] button`)
	p.followByKeys(`[rel="next"]`)
	p.followByKeys(`form[action="/authorize"] button`)
	p.wantPath("/login")
	p.followByKeys(`form[action="/login"] button`)
	p.wantPath("/consent")
	p.tabTo("#scope-email")
	p.press(" ")
	if evaluate[bool](p, `document.activeElement.checked`) {
		t.Error("Space does not untick a scope")
	}
	p.followByKeys(`[value="allow"]`)

	p.wantPath("/step/4")
	p.followByKeys(`[rel="next"]`)
	p.tabTo(`button[value="token"]`)
	p.press(kb.Enter)
	p.waitUntilTrue(`document.querySelector('#says').textContent.startsWith('Response: 200')`)
	p.followByKeys(`[rel="next"]`)
	p.tabTo(`button[value="scope"]`)
	p.press(" ")
	p.waitUntilTrue(`document.querySelector('#says').textContent.startsWith('Response: 403')`)
	p.followByKeys(`[rel="next"]`)
	p.wantPath("/step/7")
	p.followByKeys(`form[action="/hour"] button`)
	p.followByKeys(`form[action="/refresh"] button`)
	p.wantText("#notices", "new access token")
	p.followByKeys(`[rel="next"]`)
	p.followByKeys(`form:has([name="id_token_hint"]) button`)
	p.wantText("#notices", "logged out")
}
