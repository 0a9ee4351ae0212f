package walkthrough

import (
	"strings"
	"testing"
)

// buttonAnswers contains, for each button on the page "watch", what the page must show after a
// click: the status of the API's response, the name of the stage at which the check refused the
// request, and the reason of the refusal.
var buttonAnswers = map[string]struct{ status, stageName, reason string }{
	"none":         {"401", "credentials", "missing_token"},
	"apikey":       {"401", "credentials", "missing_token"},
	"token":        {"200", "", ""},
	"profile":      {"200", "", ""},
	"orders":       {"200", "", ""},
	"othercompany": {"403", "policy", "forbidden"},
	"scope":        {"403", "scopes", "insufficient_scope"},
	"expired":      {"401", "claims", "expired"},
	"audience":     {"401", "claims", "audience"},
	"tampered":     {"401", "signature", "signature"},
	"unsigned":     {"401", "credentials", "algorithm"},
	"idtoken":      {"401", "claims", "token_type"},
	"rotated":      {"200", "", ""},
	"opaque":       {"200", "", ""},
	"down":         {"503", "introspection", ""},
	"downjwt":      {"200", "", ""},
	"ended":        {"401", "user", "revoked"},
	"revoked":      {"401", "introspection", "inactive"},
}

// readStageScript is a JavaScript expression. Its value is the name of the stage at which the check
// of the token ended with a refusal. If the API accepted the request, the value is "".
const readStageScript = `document.querySelector('#call .ended h4, #call .unknown h4')?.textContent ?? ''`

func TestEveryButton(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.takeFourSteps(base)
	p.open(base + "/watch")
	// This test clicks on every enabled button of the page. The button "past" sends the token from
	// before a logout, so it is disabled until the user logs out. Another test,
	// TestRevocationAndLogout, clicks on it.
	const all = `[...document.querySelectorAll('button[name="call"]:enabled')].map(b => b.value)`
	names := evaluate[[]string](p, all)
	if len(names) != len(buttonAnswers) {
		t.Errorf("the page has %d buttons, the test knows %d", len(names), len(buttonAnswers))
	}
	for _, name := range names {
		want, known := buttonAnswers[name]
		if !known {
			t.Errorf("button %s: the test does not know it", name)
			continue
		}
		p.sendCall(name)
		p.wantText("#call figure:last-of-type", want.status)
		if want.reason != "" {
			p.wantText("#call", want.reason)
		}
		stageName := evaluate[string](p, readStageScript)
		if (stageName == "") != (want.status == "200") || want.stageName != "" && stageName != want.stageName {
			t.Errorf("%s ended at stage %q, want %q", name, stageName, want.stageName)
		}
		const why = `document.querySelector('#call .why')?.textContent ?? ''`
		if text := evaluate[string](p, why); (text == "") != (want.status == "200") ||
			strings.Contains(text, "xenaauth:") {
			t.Errorf("%s: the page says %q", name, text)
		}
		// The element #says contains a text for screen readers. It must say which status the
		// response had.
		if says := p.text("#says"); !strings.HasPrefix(says, "Response: "+want.status) {
			t.Errorf("%s: the live region says %q", name, says)
		}
	}
	p.checkAccessible()
	p.open(base + "/watch")
	p.checkTable()
}

// page.checkTable checks the table of the last requests on two screens: a phone, and the narrowest
// screen on which the page shows the steps beside the text. On both screens, the table must not
// scroll sideways. The table shows why a request was refused, for example insufficient_scope. No
// such word may have a line break.
func (p *page) checkTable() {
	p.t.Helper()
	for _, l := range []look{phone, {name: "narrow", width: 960, height: 800}} {
		p.look(l)
		if evaluate[bool](p, `document.querySelector('#log').scrollWidth > document.querySelector('#log').clientWidth`) {
			p.t.Errorf("%s: the table is wider than its place", l.name)
		}
		const broken = `[...document.querySelectorAll('#log code')].filter(e => e.getClientRects().length > 1).length`
		if n := evaluate[int](p, broken); n > 0 {
			p.t.Errorf("%s: %d reasons have a line break", l.name, n)
		}
		p.checkAccessible()
	}
	p.look(wide)
}
