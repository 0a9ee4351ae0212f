package walkthrough

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// page.sees fails the test unless the visible text of an element of the page contains every string
// in texts.
func (p *page) sees(selector string, texts ...string) {
	p.t.Helper()
	shown := p.text(selector)
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			p.t.Errorf("%s: %s does not show %q, but:\n%s", p.path(), selector, text, shown)
		}
	}
}

// page.at fails the test unless the page in the browser has the given path.
func (p *page) at(path string) {
	p.t.Helper()
	if got := p.path(); got != path {
		p.t.Fatalf("the browser is at %s, not at %s", got, path)
	}
}

// page.consent takes steps 1 to 4 of the walkthrough: afterwards the user has consented, and the
// application has tokens.
func (p *page) consent(base string) {
	p.t.Helper()
	p.open(base + "/step/1")
	p.click(`form[action="/register"] button`)
	p.open(base + "/step/2")
	p.click(`form[action="/authorize"] button`)
	p.click(`form[action="/login"] button`)
	p.click(`[value="allow"]`)
	p.at("/step/4")
}

// In this test a user takes the seven steps of the walkthrough with the mouse.
func TestSevenSteps(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base)
	p.click(`[rel="next"]`)
	p.at("/before")
	p.send("none")
	p.sees("#call", "401", "WWW-Authenticate", "Ended here")
	p.send("apikey")
	p.sees("#call", "401", "missing_token")

	p.click(`[rel="next"]`)
	p.at("/step/1")
	p.do("name the application", chromedp.SetValue(chromedp.CSS("#name"), "Bikes <b>& Books</b>"))
	p.click(`form[action="/register"] button`)
	p.sees("main", "Bikes <b>& Books</b> is registered", ".xena.biz")

	p.click(`[rel="next"]`)
	p.at("/step/2")
	p.sees("main", "response_type", "code_challenge", "testapi")
	p.click(`form[action="/authorize"] button`)
	p.at("/login")
	p.click(`form[action="/login"] button`)

	p.at("/consent")
	p.sees("main", "Bikes <b>& Books</b>", "Full access to your Xena data", "email", "offline_access")
	p.do("untick email", chromedp.Click(chromedp.CSS("#scope-email")))
	p.click(`[value="allow"]`)

	p.at("/step/4")
	p.sees("main", "valid for one hour", "104711", "client_id", "Refresh token")
	if scope := p.text(`#claims + dl`); strings.Contains(scope, "email") {
		t.Errorf("the user left email out, but the token has it:\n%s", scope)
	}

	p.click(`[rel="next"]`)
	p.at("/step/5")
	p.send("token")
	p.sees("#call", "200", "Berg Bicycles")

	p.click(`[rel="next"]`)
	p.at("/step/6")
	p.send("profile")
	p.sees("#call", "200")
	p.send("othercompany")
	p.sees("#call", "403", "Ended here")

	p.click(`[rel="next"]`)
	p.at("/step/7")
	p.click(`form[action="/hour"] button`)
	p.sees("main", "has expired")
	p.send("token")
	p.sees("#call", "401", "expired")
	p.click(`form[action="/refresh"] button`)
	p.sees("#notices", "new access token")
	p.send("token")
	p.sees("#call", "200", "Berg Bicycles")
	p.sees("header", "valid for 1 hour")
	if names := p.done(); names != "before step1 step2 step3 step4 step5 step6 step7" {
		t.Errorf("done are %s", names)
	}
}

// page.done returns the names of the pages that the navigation shows as done.
func (p *page) done() string {
	p.t.Helper()
	const names = `[...document.querySelectorAll('.steps .done')].map(e => e.className.slice(3, -5)).join(' ')`
	return eval[string](p, names)
}

// If the user does not allow offline_access, there is no refresh token. The pages say so, and their
// buttons for a refresh token are off or missing.
func TestWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.open(base)
	if names := p.done(); names != "" {
		t.Errorf("at the beginning, done are %s", names)
	}
	p.open(base + "/step/1")
	p.click(`form[action="/register"] button`)
	p.open(base + "/step/2")
	p.click(`form[action="/authorize"] button`)
	p.click(`form[action="/login"] button`)
	p.do("untick offline_access", chromedp.Click(chromedp.CSS("#scope-offline_access")))
	p.click(`[value="allow"]`)
	p.at("/step/4")
	if names := p.done(); names != "step1 step2 step3 step4" {
		t.Errorf("after the consent, done are %s", names)
	}
	p.open(base + "/step/7")
	if !eval[bool](p, `document.querySelector('form[action="/refresh"] button').disabled`) {
		t.Error("without a refresh token, the button for a refresh is on")
	}
	p.sees("#no-refresh", "you did not allow offline_access")
	p.everyLook("no-refresh")
	p.open(base + "/after")
	p.sees("main", "There is no refresh token: you did not allow offline_access")
	if p.count(`form[action="/revoke"]`) > 0 {
		t.Error("without a refresh token, the page offers to revoke it")
	}
	p.everyLook("nothing-to-revoke")
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
	p.at("/step/3")
	p.sees("main", "access_denied", "no code and no token")
	p.sees("header", "No access token yet")
	p.everyLook("denied")
	p.click(`form[action="/authorize"] button`) // the application asks for consent again
	p.at("/login")
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
	p.sees(`[role="alert"]`, "wrong")
	p.everyLook("wrong-password")
	p.faults.allow("log, error: Failed to load resource: the server responded with a status of 401")
}

func TestRevocationAndLogout(t *testing.T) {
	t.Parallel()
	base := startProgram(t)
	p := newPage(t)
	p.consent(base)
	p.open(base + "/after")
	p.click(`form[action="/revoke"] button`)
	p.sees("#notices", "revoked")
	p.open(base + "/step/7")
	p.click(`form[action="/refresh"] button`)
	p.sees(`[role="alert"]`, "invalid_grant", "log in again")

	p.open(base + "/after")
	p.click(`form:has([name="id_token_hint"]) button`)
	p.at("/after")
	p.sees("#notices", "logged out")
	p.sees("header", "No access token yet")
	p.sees("main", "Nobody is logged in")
	p.send("past") // the Identity server has told the API that the session has ended
	p.sees("#call", "401", "revoked")
	p.everyLook("logged-out")
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
	p.everyLook("signed-out")
	r := p.load("open an unknown request", chromedp.Navigate(issuer+"/login?id=unknown"))
	if r.Status != 403 {
		t.Errorf("status %d", r.Status)
	}
	p.everyLook("identity-error")
	p.faults.allow("log, error: Failed to load resource: the server responded with a status of 403")
}
