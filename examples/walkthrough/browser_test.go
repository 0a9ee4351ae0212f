package main

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// browser acts like a browser without JavaScript: it loads pages, follows redirects and sends
// forms.
type browser struct {
	t      *testing.T
	app    *app
	client *http.Client
	status int
	url    *url.URL
	header http.Header
	page   string
}

// startBrowser starts the walkthrough, and returns a browser that shows its first page.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	return startApp(t, nil).open(t)
}

// startApp starts the walkthrough. If beforeStart is not nil, startApp first calls it with the URL
// that the pages will have.
func startApp(t *testing.T, beforeStart func(base string)) *app {
	t.Helper()
	pages, api := httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	if beforeStart != nil {
		beforeStart(baseURL(pages.Listener))
	}
	a, err := newApp(baseURL(pages.Listener), baseURL(api.Listener))
	if err != nil {
		t.Fatal(err)
	}
	pages.Config.Handler, api.Config.Handler = a.handler(), a.api
	pages.Start()
	api.Start()
	t.Cleanup(func() {
		pages.Close()
		api.Close()
		a.issuer.close()
	})
	return a
}

// app.open opens the first page of the walkthrough in a new browser.
func (a *app) open(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, app: a, client: &http.Client{Jar: jar, Transport: &http.Transport{}}}
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		for _, values := range r.URL.Query() {
			if strings.Count(values[0], ".") == 2 && strings.HasPrefix(values[0], "ey") {
				t.Errorf("a token is in the URL %s", r.URL.Path)
			}
		}
		return nil
	}
	t.Cleanup(b.client.CloseIdleConnections)
	b.do(http.MethodGet, a.base, nil)
	return b
}

// browser.visit loads a page of the application by its path, or any page by its URL.
func (b *browser) visit(page string) *browser {
	b.t.Helper()
	if strings.HasPrefix(page, "/") {
		page = b.app.base + page
	}
	b.do(http.MethodGet, page, nil)
	return b
}

func (b *browser) do(method, path string, form url.Values) {
	b.t.Helper()
	if b.url != nil {
		target, err := b.url.Parse(path)
		if err != nil {
			b.t.Fatal(err)
		}
		path = target.String()
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // after reading, no error of Close matters
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.status, b.header, b.page, b.url = response.StatusCode, response.Header, string(body), response.Request.URL
}

var (
	formTag  = regexp.MustCompile(`(?s)<form [^>]*action="([^"]*)".*?</form>`)
	inputTag = regexp.MustCompile(`(?s)<(?:input|button)\b[^>]*>`)
	attr     = func(name string) *regexp.Regexp { return regexp.MustCompile(`\s` + name + `="([^"]*)"`) }
	nameAttr = attr("name")
	valAttr  = attr("value")
	typeAttr = attr("type")
)

// browser.findForm finds a form on the page by a part of its HTML. It returns the target of the
// form and the fields that a browser would send: ticked boxes are included, and buttons are not.
func (b *browser) findForm(htmlPart string) (target string, fields url.Values) {
	b.t.Helper()
	for _, f := range formTag.FindAllStringSubmatch(b.page, -1) {
		if !strings.Contains(f[0], htmlPart) {
			continue
		}
		fields = url.Values{}
		for _, tag := range inputTag.FindAllString(f[0], -1) {
			name, kind := firstMatch(nameAttr, tag), firstMatch(typeAttr, tag)
			ticked := kind != "checkbox" || strings.Contains(tag, " checked") && !strings.Contains(tag, " disabled")
			if name != "" && ticked && !strings.HasPrefix(tag, "<button") {
				fields.Add(name, firstMatch(valAttr, tag))
			}
		}
		return html.UnescapeString(f[1]), fields
	}
	b.t.Fatalf("%s: no form with %q on the page:\n%s", b.url.Path, htmlPart, b.page)
	return "", nil
}

func firstMatch(pattern *regexp.Regexp, text string) string {
	if found := pattern.FindStringSubmatch(text); found != nil {
		return html.UnescapeString(found[1])
	}
	return ""
}

// browser.submit finds a form on the page by a part of its HTML, and sends the form. moreFields
// contains the names and values of fields that submit adds.
func (b *browser) submit(htmlPart string, moreFields ...string) *browser {
	b.t.Helper()
	target, fields := b.findForm(htmlPart)
	for i := 0; i+1 < len(moreFields); i += 2 {
		fields.Set(moreFields[i], moreFields[i+1])
	}
	b.do(http.MethodPost, target, fields)
	return b
}

// browser.wantPage fails the test unless the page has the given path and contains each of the
// texts.
func (b *browser) wantPage(path string, texts ...string) *browser {
	b.t.Helper()
	if b.url.Path != path {
		b.t.Fatalf("at %s (status %d), want %s:\n%s", b.url.Path, b.status, path, b.page)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(b.page), text) {
			b.t.Errorf("%s does not contain %q:\n%s", path, text, b.page)
		}
	}
	return b
}

// browser.session returns the session of the browser.
func (b *browser) session() *session {
	b.t.Helper()
	for _, c := range b.client.Jar.Cookies(b.url) {
		if c.Name == cookieName {
			if s, ok := b.app.sessions.table.Get(c.Value); ok {
				return s
			}
		}
	}
	b.t.Fatal("the browser has no session")
	return nil
}

// browser.callAPI presses the button for an API call, and returns the call as the page shows it.
func (b *browser) callAPI(name string) *watch.Call {
	b.t.Helper()
	s := b.session()
	b.do(http.MethodPost, b.app.base+"/call", url.Values{"csrf": {s.csrf}, "page": {"watch"}, "call": {name}})
	b.wantPage("/watch")
	sent := s.calls.Calls()
	if len(sent) == 0 || sent[0].Name != name || !sent[0].Done {
		b.t.Fatalf("%s: the call was not sent: %s", name, b.page)
	}
	return sent[0]
}

// browser.signIn takes steps 1 to 4: it registers an application, logs the user in and allows
// everything that the application asks for.
func (b *browser) signIn() *browser {
	b.t.Helper()
	b.visit("/step/1").submit(`action="/register"`)
	b.visit("/step/2").submit(`action="/authorize"`).wantPage("/login")
	b.submit(`action="/login"`).wantPage("/consent")
	return b.submit(`action="/consent"`, "decision", "allow").wantPage("/step/4")
}
