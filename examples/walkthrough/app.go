package main

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/examples/walkthrough/bounded"
	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// app is the application. It also contains the API that the application calls.
type app struct {
	base, apiURL      string
	issuer            *issuer
	api               http.Handler
	sessions          sessions
	watcher           *watch.Watcher
	endedSessionCount atomic.Int64 // how many sessions the function makeEndedToken has ended
}

// newApp returns the application. base is the URL of its pages, and apiURL is the URL of the API.
func newApp(base, apiURL string) (*app, error) {
	a := &app{base: base, apiURL: apiURL}
	var err error
	if a.issuer, err = chooseIssuer(a.redirectURI()); err != nil {
		return nil, err
	}
	a.sessions = sessions{bounded.New[*session](maxSessions), a.issuer.client}
	var cfg xenaauth.Config
	a.watcher, cfg = watch.New(a.issuer.config, pages.Texts.Texts, findRouteNeeds)
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		a.issuer.close()
		return nil, err
	}
	api := http.NewServeMux()
	api.Handle("/", a.watcher.Handler(newAPI(v, a.watcher.Event)))
	if ownServer := a.issuer.ownServer; ownServer != nil {
		api.Handle("POST /logout", v.LogoutHandler(cfg.Audiences...))
		ownServer.NotifyAt(apiURL + "/logout")
	}
	a.api = api
	return a, nil
}

func (a *app) redirectURI() string  { return a.base + "/callback" }
func (a *app) loggedOutURI() string { return a.base + "/loggedout" }

// app.handler returns the handler for the pages and the forms of the application.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	for _, page := range pages.Walk {
		pattern := "GET " + page.Path
		if page.Path == "/" {
			pattern = "GET /{$}"
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.showPage(w, r, page.Name) })
	}
	mux.HandleFunc("GET /static/{file}", pages.Static)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("GET /loggedout", a.loggedOut)
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		a.sessions.findOrCreate(w, r).calls.Stream(w, r, pages.WriteCall)
	})
	for path, action := range map[string]func(http.ResponseWriter, *http.Request, *session){
		"/register": a.register, "/authorize": a.authorize, "/call": a.callAPI, "/hour": a.letHourPass,
		"/refresh": a.refresh, "/revoke": a.revoke,
	} {
		mux.HandleFunc("POST "+path, a.checkForm(action))
		mux.HandleFunc(path, pages.OnlyPost)
	}
	mux.HandleFunc("/", pages.Missing)
	return http.NewCrossOriginProtection().Handler(mux)
}

// checkForm returns a handler that runs action only if the form is from a page of the same session.
func (a *app) checkForm(action func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		s := a.sessions.findOrCreate(w, r)
		if !isSame(r.PostFormValue("csrf"), s.csrf) {
			http.Error(w, "the form is not from a page of this session: reload the page", http.StatusForbidden)
			return
		}
		action(w, r, s)
	}
}

// app.redirect sends the browser to a page. The page shows err, or the notice if err is nil.
func (a *app) redirect(w http.ResponseWriter, r *http.Request, s *session, path, notice string, err error) {
	failure := ""
	if err != nil {
		notice, failure = "", err.Error()
	}
	s.update(func(v *state) { v.notice, v.failure = notice, failure })
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// app.register is step 1: it registers the application, as Xena's developer console does.
func (a *app) register(w http.ResponseWriter, r *http.Request, s *session) {
	if a.issuer.ownServer == nil {
		a.redirect(w, r, s, "/step/1", "", errors.New("the client of a real issuer is registered there"))
		return
	}
	name := r.PostFormValue("name")
	if name == "" || len(name) > 60 {
		a.redirect(w, r, s, "/step/1", "", errors.New("the name needs 1 to 60 letters"))
		return
	}
	c := a.issuer.ownServer.Register(name, a.redirectURI(), a.loggedOutURI())
	s.update(func(v *state) { // the session forgets the tokens of its previous OAuth client
		*v = state{done: v.done}
		v.client = &pages.Client{Name: c.Name, ID: c.ID, Secret: c.Secret, RedirectURI: c.RedirectURI}
	})
	a.redirect(w, r, s, "/step/1", "The application is registered.", nil)
}

// loggedOut forgets the tokens. After a logout, the issuer sends the browser here with the state of
// the logout form. A link on another site can't contain this state, so it can't log the user out.
func (a *app) loggedOut(w http.ResponseWriter, r *http.Request) {
	s := a.sessions.findOrCreate(w, r)
	if !isSame(r.URL.Query().Get("state"), s.logoutState) {
		a.redirect(w, r, s, "/after", "", errors.New("this answer does not belong to a logout of this browser"))
		return
	}
	s.update((*state).forget)
	a.redirect(w, r, s, "/after", "You are logged out, and the application has forgotten its tokens.", nil)
}
