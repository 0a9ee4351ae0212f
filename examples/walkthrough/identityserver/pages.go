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

// Pages writes one of the server's pages: "login", "consent", "loggedout" or "error".
type Pages func(w http.ResponseWriter, status int, name string, p Page)

// Page is what a page of the server gets.
type Page struct {
	Name    string  // the name of the application that asks
	Scopes  []Scope // what it asks for: for the consent page
	ID      string  // the form sends it back as "id"
	CSRF    string  // the form sends it back as "csrf"
	Login   string  // the name of the only user: the login form sends "login" and "password"
	Hint    string  // the password of the only user
	Error   string  // what went wrong, or ""
	Origins string  // the origin of the application: forms may lead there (CSP form-action)
}

// Scope is one thing that the application asks for.
type Scope struct {
	Name     string // the consent form sends it as "scope" if it is ticked
	Words    string // what it allows, in words
	Required bool   // the user can't leave it out
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

// cookie is the name of the cookie that binds a request to the browser in which it began. Without
// it, somebody could send the user a link to the consent page of a request of their own.
const cookie = "identity"

// showLogin binds a new request to this browser, and shows the login form.
func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if g, ok := s.store.requests.Get(id); ok && g.browser == "" {
		bound := *g
		bound.browser = rand.Text()
		s.store.requests.Put(id, &bound)
		http.SetCookie(w, &http.Cookie{
			Name: cookie, Value: bound.browser, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
		s.pages(w, http.StatusOK, "login", s.page(&bound))
		return
	}
	if g, ok := s.requestOf(w, r, id); ok { // the user has loaded the page again
		s.pages(w, http.StatusOK, "login", s.page(g))
	}
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	g, ok := s.sentFrom(w, r)
	if !ok {
		return
	}
	name := subtle.ConstantTimeCompare([]byte(r.PostFormValue("login")), []byte(User.Login))
	password := subtle.ConstantTimeCompare([]byte(r.PostFormValue("password")), []byte(User.Password))
	if name&password == 0 {
		p := s.page(g)
		p.Error = "The name or the password is wrong."
		s.pages(w, http.StatusUnauthorized, "login", p)
		return
	}
	known := *g
	known.loggedIn, known.session = time.Now(), rand.Text()
	s.store.requests.Put(g.id, &known)
	http.Redirect(w, r, "/consent?id="+url.QueryEscape(g.id), http.StatusSeeOther)
}

func (s *Server) showConsent(w http.ResponseWriter, r *http.Request) {
	g, ok := s.requestOf(w, r, r.URL.Query().Get("id"))
	switch {
	case ok && g.loggedIn.IsZero():
		http.Redirect(w, r, loginURL(g.id), http.StatusSeeOther)
	case ok:
		s.pages(w, http.StatusOK, "consent", s.page(g))
	}
}

// consent ends with a redirect to the application: with a code, or with the error access_denied.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	g, ok := s.sentFrom(w, r)
	if !ok {
		return
	}
	if g.loggedIn.IsZero() {
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
		return !required(scope) && !slices.Contains(r.PostForm["scope"], scope)
	})
	s.store.requests.Put(g.id, &allowed)
	ctx := op.ContextWithIssuer(r.Context(), s.url)
	http.Redirect(w, r, op.AuthCallbackURL(s.provider)(ctx, g.id), http.StatusSeeOther)
}

// requestOf returns the request with an id if it began in this browser. Otherwise it writes an error.
func (s *Server) requestOf(w http.ResponseWriter, r *http.Request, id string) (*grant, bool) {
	g, ok := s.store.requests.Get(id)
	c, err := r.Cookie(cookie)
	if !ok || err != nil || g.browser == "" ||
		subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.browser)) == 0 {
		s.pages(w, http.StatusForbidden, "error", Page{Error: "This request has ended, or it did not begin " +
			"in this browser. Go back to the application and begin again."})
		return nil, false
	}
	return g, true
}

// sentFrom returns the request whose form was sent, if the form is from a page of the request.
// Otherwise it writes an error.
func (s *Server) sentFrom(w http.ResponseWriter, r *http.Request) (*grant, bool) {
	g, ok := s.requestOf(w, r, r.PostFormValue("id"))
	if ok && subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(g.form)) == 0 {
		s.pages(w, http.StatusForbidden, "error", Page{Error: "The form is not from a page of this request."})
		return nil, false
	}
	return g, ok
}

func (s *Server) page(g *grant) Page {
	p := Page{ID: g.id, CSRF: g.form, Login: User.Login, Hint: User.Password}
	if c, err := s.store.GetClientByClientID(context.Background(), g.GetClientID()); err == nil {
		p.Name = c.(Client).Name
	}
	if u, err := url.Parse(g.GetRedirectURI()); err == nil {
		p.Origins = u.Scheme + "://" + u.Host
	}
	for _, scope := range g.scopes {
		p.Scopes = append(p.Scopes, Scope{scope, s.words[scope], required(scope)})
	}
	return p
}

func required(scope string) bool { return scope == "openid" || scope == Audience }
