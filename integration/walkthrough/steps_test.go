package walkthrough

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// page.wantText fails the test unless the visible text of an element of the page contains every
// string in texts.
func (p *page) wantText(selector string, texts ...string) {
	p.t.Helper()
	shown := p.text(selector)
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			p.t.Errorf("%s: %s does not show %q, but:\n%s", p.path(), selector, text, shown)
		}
	}
}

// page.wantPath fails the test unless the page in the browser has the given path.
func (p *page) wantPath(path string) {
	p.t.Helper()
	if got := p.path(); got != path {
		p.t.Fatalf("the browser is at %s, not at %s", got, path)
	}
}

// page.takeFourSteps takes steps 1 to 4 of the walkthrough: afterwards the user has consented, and
// the application has tokens.
func (p *page) takeFourSteps(base string) {
	p.t.Helper()
	p.open(base + "/step/1")
	p.click(`form[action="/register"] button`)
	p.open(base + "/step/2")
	p.click(`form[action="/authorize"] button`)
	p.click(`form[action="/login"] button`)
	p.click(`[value="allow"]`)
	p.wantPath("/step/4")
}

// In this test a user takes the seven steps of the walkthrough with the mouse.
func TestSevenSteps(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base)
	p.click(`[rel="next"]`)
	p.wantPath("/before")
	p.sendCall("none")
	p.wantText("#call", "401", "WWW-Authenticate", "Ended here")
	p.sendCall("apikey")
	p.wantText("#call", "401", "missing_token")

	p.click(`[rel="next"]`)
	p.wantPath("/step/1")
	p.do("name the application", chromedp.SetValue(chromedp.CSS("#name"), "Bikes <b>& Books</b>"))
	p.click(`form[action="/register"] button`)
	p.wantText("main", "Bikes <b>& Books</b> is registered", ".xena.biz")

	p.click(`[rel="next"]`)
	p.wantPath("/step/2")
	p.wantText("main", "response_type", "code_challenge", "testapi")
	p.click(`form[action="/authorize"] button`)
	p.wantPath("/login")
	p.click(`form[action="/login"] button`)

	p.wantPath("/consent")
	p.wantText("main", "Bikes <b>& Books</b>", "Full access to your Xena data", "email", "offline_access")
	p.do("untick email", chromedp.Click(chromedp.CSS("#scope-email")))
	p.click(`[value="allow"]`)

	p.wantPath("/step/4")
	p.wantText("main", "valid for one hour", "104711", "client_id", "Refresh token")
	if scope := p.text(`#claims + dl`); strings.Contains(scope, "email") {
		t.Errorf("the user left email out, but the token has it:\n%s", scope)
	}

	p.click(`[rel="next"]`)
	p.wantPath("/step/5")
	p.sendCall("token")
	p.wantText("#call", "200", "Berg Bicycles")

	p.click(`[rel="next"]`)
	p.wantPath("/step/6")
	p.sendCall("profile")
	p.wantText("#call", "200")
	p.sendCall("othercompany")
	p.wantText("#call", "403", "Ended here")

	p.click(`[rel="next"]`)
	p.wantPath("/step/7")
	p.click(`form[action="/hour"] button`)
	p.wantText("main", "has expired")
	p.sendCall("token")
	p.wantText("#call", "401", "expired")
	p.click(`form[action="/refresh"] button`)
	p.wantText("#notices", "new access token")
	p.sendCall("token")
	p.wantText("#call", "200", "Berg Bicycles")
	p.wantText("header", "valid for 1 hour")
	if names := p.doneSteps(); names != "before step1 step2 step3 step4 step5 step6 step7" {
		t.Errorf("done are %s", names)
	}
}

// page.doneSteps returns the names of the pages that the navigation shows as done.
func (p *page) doneSteps() string {
	p.t.Helper()
	const names = `[...document.querySelectorAll('.steps .done')].map(e => e.className.slice(3, -5)).join(' ')`
	return evaluate[string](p, names)
}

// If the user does not allow offline_access, there is no refresh token. The pages say so, and their
// buttons for a refresh token are off or missing.
func TestWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base)
	if names := p.doneSteps(); names != "" {
		t.Errorf("at the beginning, done are %s", names)
	}
	p.open(base + "/step/1")
	p.click(`form[action="/register"] button`)
	p.open(base + "/step/2")
	p.click(`form[action="/authorize"] button`)
	p.click(`form[action="/login"] button`)
	p.do("untick offline_access", chromedp.Click(chromedp.CSS("#scope-offline_access")))
	p.click(`[value="allow"]`)
	p.wantPath("/step/4")
	if names := p.doneSteps(); names != "step1 step2 step3 step4" {
		t.Errorf("after the consent, done are %s", names)
	}
	p.open(base + "/step/7")
	if !evaluate[bool](p, `document.querySelector('form[action="/refresh"] button').disabled`) {
		t.Error("without a refresh token, the button for a refresh is on")
	}
	p.wantText("#no-refresh", "you did not allow offline_access")
	p.checkLooks("no-refresh")
	p.open(base + "/after")
	p.wantText("main", "There is no refresh token: you did not allow offline_access")
	if p.countElements(`form[action="/revoke"]`) > 0 {
		t.Error("without a refresh token, the page offers to revoke it")
	}
	p.checkLooks("nothing-to-revoke")
}

func TestDenial(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base + "/step/1")
	p.click(`form[action="/register"] button`)
	p.open(base + "/step/3")
	p.click(`form[action="/authorize"] button`)
	p.click(`form[action="/login"] button`)
	p.click(`[value="deny"]`)
	p.wantPath("/step/3")
	p.wantText("main", "access_denied", "no code and no token")
	p.wantText("header", "No access token yet")
	p.checkLooks("denied")
	p.click(`form[action="/authorize"] button`) // the application asks for consent again
	p.wantPath("/login")
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base + "/step/1")
	p.click(`form[action="/register"] button`)
	p.open(base + "/step/2")
	p.click(`form[action="/authorize"] button`)
	p.do("type a wrong password", chromedp.SetValue(chromedp.CSS("#password"), "wrong"))
	r := p.load("log in", chromedp.Click(chromedp.CSS(`form[action="/login"] button`)))
	if r.Status != 401 {
		t.Errorf("status %d", r.Status)
	}
	p.wantText(`[role="alert"]`, "wrong")
	p.checkLooks("wrong-password")
	p.faults.allow("log, error: Failed to load resource: the server responded with a status of 401")
}

func TestRevocationAndLogout(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.takeFourSteps(base)
	p.open(base + "/after")
	p.click(`form[action="/revoke"] button`)
	p.wantText("#notices", "revoked")
	p.open(base + "/step/7")
	p.click(`form[action="/refresh"] button`)
	p.wantText(`[role="alert"]`, "invalid_grant", "log in again")

	p.open(base + "/after")
	p.click(`form:has([name="id_token_hint"]) button`)
	p.wantPath("/after")
	p.wantText("#notices", "logged out")
	p.wantText("header", "No access token yet")
	p.wantText("main", "Nobody is logged in")
	p.sendCall("past") // the Identity server has told the API that the session has ended
	p.wantText("#call", "401", "revoked")
	p.checkLooks("logged-out")
}

// The Identity server shows a page if a request for consent is no longer valid. It shows another
// page if a user has logged out without coming from an application.
func TestOtherPagesOfTheIdentityServer(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base)
	issuer := p.text("footer code")
	p.open(issuer + "/loggedout")
	p.checkLooks("signed-out")
	r := p.load("open an unknown request", chromedp.Navigate(issuer+"/login?id=unknown"))
	if r.Status != 403 {
		t.Errorf("status %d", r.Status)
	}
	p.checkLooks("identity-error")
	p.faults.allow("log, error: Failed to load resource: the server responded with a status of 403")
}
