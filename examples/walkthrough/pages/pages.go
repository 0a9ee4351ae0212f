// Package pages contains the pages of the walkthrough: the templates, the style sheet, the script,
// and the types of the data that the templates show.
package pages

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"path"
	"slices"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

//go:embed *.html identity static texts.json
var files embed.FS

// Texts contains the explanations on the pages: of claims, parameters, stages of the check, and
// calls.
var Texts = func() (t struct {
	Claims, Request, Scopes map[string]string
	// for each call, the label of its button and an explanation
	Calls map[string][2]string
	watch.Texts
}) {
	text, err := files.ReadFile("texts.json")
	if err := errors.Join(err, json.Unmarshal(text, &t)); err != nil {
		panic(err)
	}
	return t
}()

// Walk lists the pages in their order. The template of a page is in a file: the name of the page
// and ".html".
var Walk = []Link{
	{Path: "/", Name: "start", Title: "Xena’s seven steps"},
	{Path: "/before", Name: "before", Title: "A call without a token"},
	{Path: "/step/1", Name: "step1", Title: "Register the application"},
	{Path: "/step/2", Name: "step2", Title: "Ask the Identity server"},
	{Path: "/step/3", Name: "step3", Title: "The user consents"},
	{Path: "/step/4", Name: "step4", Title: "The access token"},
	{Path: "/step/5", Name: "step5", Title: "Call the API"},
	{Path: "/step/6", Name: "step6", Title: "The API checks"},
	{Path: "/step/7", Name: "step7", Title: "The hour passes"},
	{Path: "/after", Name: "after", Title: "Revoke and log out"},
	{Path: "/watch", Name: "watch", Title: "The request, watched"},
}

// Path returns the path of the page with this name. If no page has the name, it returns the path of
// the first page.
func Path(name string) string {
	return Walk[max(0, slices.IndexFunc(Walk, func(l Link) bool { return l.Name == name }))].Path
}

// templates contains a set of templates for each page, by the name of the page.
var templates = func() map[string]*template.Template {
	all := make(map[string]*template.Template)
	for _, page := range Walk {
		all[page.Name] = template.Must(template.ParseFS(files, "layout.html", "call.html", page.Name+".html"))
	}
	for _, name := range []string{"login", "consent", "loggedout", "error"} {
		name = "identity/" + name
		all[name] = template.Must(template.ParseFS(files, "identity/layout.html", name+".html"))
	}
	all["missing"] = template.Must(template.ParseFS(files, "missing.html"))
	return all
}()

// Write writes a page of the application.
func Write(w http.ResponseWriter, v *View) {
	v.navigate()
	writePage(w, http.StatusOK, v.Page, v, v.FormAction)
}

// Missing responds to a request for a page that does not exist.
func Missing(w http.ResponseWriter, _ *http.Request) {
	writePage(w, http.StatusNotFound, "missing", "This page does not exist", "")
}

// OnlyPost responds with 405 to a request for a path that accepts only forms, if the request is no
// POST request.
func OnlyPost(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	writePage(w, http.StatusMethodNotAllowed, "missing", "A form leads here", "")
}

// WriteIdentity writes a page of the Identity server.
func WriteIdentity(w http.ResponseWriter, status int, name string, p identityserver.Page) {
	writePage(w, status, "identity/"+name, p, p.Origins)
}

// WriteCall writes the HTML of the part of a page that shows an API call.
func WriteCall(w io.Writer, c *watch.Call) error {
	return templates["watch"].ExecuteTemplate(w, "call", c)
}

// writePage writes a page. formAction lists other origins to which the forms of the page may send
// the browser.
func writePage(w http.ResponseWriter, status int, name string, data any, formAction string) {
	var page bytes.Buffer
	if err := templates[name].ExecuteTemplate(&page, "layout", data); err != nil {
		slog.Error("page: a template failed", "page", name, "err", err)
		http.Error(w, "the page can't be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // the page may show a token
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+formAction)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}

// Static serves the files of the folder static.
func Static(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeFileFS(w, r, files, "static/"+path.Base(r.URL.Path))
}
