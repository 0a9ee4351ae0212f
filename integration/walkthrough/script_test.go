package walkthrough

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The pages of the walkthrough also work without JavaScript. After an API call, the browser then
// loads the page again and scrolls to the result.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	off := emulation.SetScriptExecutionDisabledParams{Value: true}
	callBrowser(p, emulation.SetScriptExecutionDisabled, off)
	p.takeFourSteps(base)
	p.open(base + "/watch")
	p.click(`button[value="token"]`)
	p.wantPath("/watch")
	p.wantText("#call", "200", "Berg Bicycles")
	p.wantText("#log", "Call with the access token")
	if hash := evaluate[string](p, "location.hash"); hash != "#watched" {
		t.Errorf("the page is at %q, not at the result of the call", hash)
	}
}

// Two tabs of one browser share a session of the walkthrough. A page in one tab shows an API call
// even if the other tab sends it.
func TestCallOfAnotherTab(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base + "/watch")
	ctx, cancel := chromedp.NewContext(p.ctx)
	defer cancel()
	other := &page{t: t, ctx: ctx, faults: watchFaults(t, ctx)}
	other.open(base + "/before")
	other.sendCall("none")
	p.waitUntilTrue(`document.querySelector('#call article[data-done]') !== null`)
	p.wantText("#call", "401", "missing_token")
	other.faults.check(t)
}
