package identityserver

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Pages is a function that writes an HTML page of the server. Its parameter pageName is "login",
// "consent", "loggedout" or "error".
type Pages func(w http.ResponseWriter, status int, pageName string, p Page)

// Page contains the data that an HTML page of the server shows.
type Page struct {
	Name   string  // the name of the application that asks for consent
	Scopes []Scope // the scopes that the application asks for; only the consent page shows them
	ID     string  // the id of the request for consent; the form on the page sends it back as "id"
	CSRF   string  // the CSRF token of the request for consent; the form sends it back as "csrf"
	// the login name of the only user; the login form has the fields "login" and "password"
	Login string
	Hint  string // the password of the only user
	Error string // the error that the page shows, or ""
	// the origin of the application; the page may send its form there (CSP directive form-action)
	Origins string
}

// Scope is a scope that the application asks for.
type Scope struct {
	Name     string // the form field "scope" has this value if the user ticks the box of the scope
	Words    string // the meaning of the scope, in words for the user
	Required bool   // if Required is set, the user can't untick the box of the scope
}

func (s *Server) handlePages(mux *http.ServeMux) {
	protect := http.NewCrossOriginProtection()
	handle := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, protect.Handler(h)) }
	handle("GET /login", s.showLogin)
	handle("POST /login", s.login)
	handle("GET /consent", s.showConsent)
	handle("POST /consent", s.consent)
	handle("GET /loggedout", func(w http.ResponseWriter, _ *http.Request) {
		s.pages(w, http.StatusOK, "loggedout", Page{})
	})
}

// cookieName is the name of a cookie. By this cookie, the server recognizes the browser in which a
// request for consent began, and continues the request in no other browser. Without the cookie, an
// attacker could begin a request and send the link to its consent page to the user.
const cookieName = "identity"

// Server.showLogin shows the login form, which comes before the consent page. If the request for
// consent is new, showLogin sets a cookie, so that only this browser can continue the request.
func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if g, ok := s.store.requests.Get(id); ok && g.browserCookie == "" {
		bound := *g
		bound.browserCookie = rand.Text()
		s.store.requests.Put(id, &bound)
		http.SetCookie(w, &http.Cookie{
			Name: cookieName, Value: bound.browserCookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
		s.pages(w, http.StatusOK, "login", s.pageData(&bound))
		return
	}
	// the request for consent is not new: the user has loaded the login page again
	if g, ok := s.requestOf(w, r, id); ok {
		s.pages(w, http.StatusOK, "login", s.pageData(g))
	}
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	g, ok := s.requestOfForm(w, r)
	if !ok {
		return
	}
	name := subtle.ConstantTimeCompare([]byte(r.PostFormValue("login")), []byte(User.Login))
	password := subtle.ConstantTimeCompare([]byte(r.PostFormValue("password")), []byte(User.Password))
	if name&password == 0 {
		p := s.pageData(g)
		p.Error = "The name or the password is wrong."
		s.pages(w, http.StatusUnauthorized, "login", p)
		return
	}
	known := *g
	known.loginTime, known.session = time.Now(), rand.Text()
	s.store.requests.Put(g.id, &known)
	http.Redirect(w, r, "/consent?id="+url.QueryEscape(g.id), http.StatusSeeOther)
}

func (s *Server) showConsent(w http.ResponseWriter, r *http.Request) {
	g, ok := s.requestOf(w, r, r.URL.Query().Get("id"))
	switch {
	case ok && g.loginTime.IsZero():
		http.Redirect(w, r, loginURL(g.id), http.StatusSeeOther)
	case ok:
		s.pages(w, http.StatusOK, "consent", s.pageData(g))
	}
}

// Server.consent handles the consent form, in which the user allows or denies the application's
// request. It redirects the browser to the application, with a code or with the error
// access_denied.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	g, ok := s.requestOfForm(w, r)
	if !ok {
		return
	}
	if g.loginTime.IsZero() {
		http.Redirect(w, r, loginURL(g.id), http.StatusSeeOther)
		return
	}
	if r.PostFormValue("decision") != "allow" {
		s.store.requests.Take(g.id)
		denied := oidc.ErrAccessDenied().WithDescription("The user denied the request.")
		op.AuthRequestError(w, r, g, denied, s.provider)
		return
	}
	allowed := *g
	allowed.allowed = true
	allowed.scopes = slices.DeleteFunc(slices.Clone(g.scopes), func(scope string) bool {
		return !isRequired(scope) && !slices.Contains(r.PostForm["scope"], scope)
	})
	s.store.requests.Put(g.id, &allowed)
	ctx := op.ContextWithIssuer(r.Context(), s.url)
	http.Redirect(w, r, op.AuthCallbackURL(s.provider)(ctx, g.id), http.StatusSeeOther)
}

// Server.requestOf returns the request for consent that has the given id. If this request does not
// exist, or did not begin in this browser, requestOf writes an error page and returns false.
func (s *Server) requestOf(w http.ResponseWriter, r *http.Request, id string) (*grant, bool) {
	g, ok := s.store.requests.Get(id)
	c, err := r.Cookie(cookieName)
	if !ok || err != nil || g.browserCookie == "" ||
		subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.browserCookie)) == 0 {
		s.pages(w, http.StatusForbidden, "error", Page{Error: "This request has ended, or it did not begin " +
			"in this browser. Go back to the application and begin again."})
		return nil, false
	}
	return g, true
}

// Server.requestOfForm returns the request for consent whose id is in the form that the browser
// sent. If there is no such request, or if the form lacks the CSRF token of this request,
// requestOfForm writes an error page and returns false.
func (s *Server) requestOfForm(w http.ResponseWriter, r *http.Request) (*grant, bool) {
	g, ok := s.requestOf(w, r, r.PostFormValue("id"))
	if ok && subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(g.formToken)) == 0 {
		s.pages(w, http.StatusForbidden, "error", Page{Error: "The form is not from a page of this request."})
		return nil, false
	}
	return g, ok
}

func (s *Server) pageData(g *grant) Page {
	p := Page{ID: g.id, CSRF: g.formToken, Login: User.Login, Hint: User.Password}
	if c, err := s.store.GetClientByClientID(context.Background(), g.GetClientID()); err == nil {
		p.Name = c.(Client).Name
	}
	if u, err := url.Parse(g.GetRedirectURI()); err == nil {
		p.Origins = u.Scheme + "://" + u.Host
	}
	for _, scope := range g.scopes {
		p.Scopes = append(p.Scopes, Scope{scope, s.scopeTexts[scope], isRequired(scope)})
	}
	return p
}

func isRequired(scope string) bool { return scope == "openid" || scope == Audience }
