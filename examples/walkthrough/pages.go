package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"path"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
)

// pages are the files of folder pages: a template for each page, layouts, and static files.
//
//go:embed pages
var files embed.FS

// texts are what the pages say about claims, parameters, stages and calls.
var texts = func() (t struct {
	Claims, Request, Scopes, Fields, Stages map[string]string
	Calls                                   map[string][2]string // the label of a button, and what is special
}) {
	text, err := files.ReadFile("pages/texts.json")
	if err := errors.Join(err, json.Unmarshal(text, &t)); err != nil {
		panic(err)
	}
	return t
}()

// walk lists the pages in their order. The template of a page is in the file pages/NAME.html.
var walk = []Link{
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

// templates has a set of templates for each page.
type templates map[string]*template.Template

// parseTemplates parses the pages of the application with layout.html and call.html, and those of
// the Identity server with identity/layout.html.
func parseTemplates() (templates, error) {
	all := make(templates)
	parse := func(name string, from ...string) (err error) {
		all[name], err = template.ParseFS(files, from...)
		return err
	}
	for _, page := range walk {
		if err := parse(page.Name, "pages/layout.html", "pages/call.html", "pages/"+page.Name+".html"); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"login", "consent", "loggedout", "error"} {
		err := parse("identity/"+name, "pages/identity/layout.html", "pages/identity/"+name+".html")
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// write writes a page. formAction lists further origins to which a form of the page may lead.
func (t templates) write(w http.ResponseWriter, status int, name string, data any, formAction string) {
	var page bytes.Buffer
	if err := t[name].ExecuteTemplate(&page, "layout", data); err != nil {
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

// identity writes a page of the Identity server.
func (t templates) identity(w http.ResponseWriter, status int, name string, p identityserver.Page) {
	t.write(w, status, "identity/"+name, p, p.Origins)
}

// static serves the files of pages/static under /static/.
func static(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeFileFS(w, r, files, "pages/static/"+path.Base(r.URL.Path))
}
