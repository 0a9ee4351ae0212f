package main

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
)

func (a *app) showPage(w http.ResponseWriter, r *http.Request, name string) {
	pages.Write(w, a.view(r.Context(), a.sessions.findOrCreate(w, r), name))
}

// app.view returns the data for the page with the given name.
func (a *app) view(ctx context.Context, s *session, name string) *pages.View {
	v := &pages.View{Page: name, CSRF: s.csrf, Real: a.issuer.ownServer == nil, Issuer: a.issuer.url, API: a.apiURL}
	for _, scope := range scopes {
		v.Scopes = append(v.Scopes, pages.Scope{Name: scope, Words: pages.Texts.Scopes[scope]})
	}
	now := s.update(func(v *state) { v.notice, v.failure = "", "" }) // each text is shown only once
	for _, c := range calls {
		if name == "watch" || slices.Contains(strings.Fields(c.pages), name) {
			text := pages.Texts.Calls[c.name]
			v.Buttons = append(v.Buttons, pages.Button{Name: c.name, Label: text[0], What: text[1], Off: c.whyDisabled(a, now)})
		}
	}
	v.Client, v.Denied, v.Hours, v.LoggedIn = now.client, now.denied, now.hours, now.tokens != nil
	v.Notice, v.Error, v.Done = now.notice, now.failure, now.done
	if v.Calls = s.calls.Calls(); len(v.Calls) > 0 {
		v.Call = v.Calls[0]
	}
	if v.LoggedIn {
		v.Token = pages.Look(now.tokens, now.issued)
	}
	if v.Real {
		v.Client = &pages.Client{Name: now.client.Name, ID: now.client.ID, RedirectURI: now.client.RedirectURI}
	}
	config, endpoints, err := a.oauthConfig(ctx, now.client)
	switch {
	case err == nil:
		v.Request = pages.InParts(config)
		v.FormAction = pages.Origin(endpoints.AuthorizationEndpoint)
		if now.idToken != "" && endpoints.EndSessionEndpoint != "" {
			v.EndSession, v.IDToken = endpoints.EndSessionEndpoint, now.idToken
			v.LoggedOut, v.LogoutState = a.loggedOutURI(), s.logoutState
			v.FormAction += " " + pages.Origin(endpoints.EndSessionEndpoint)
		}
	case now.client != nil && v.Error == "":
		v.Error = err.Error()
	}
	return v
}
