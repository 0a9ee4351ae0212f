package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
)

// view returns what a page gets.
func (a *app) view(ctx context.Context, s *session, name string) *View {
	v := &View{Page: name, CSRF: s.csrf, Real: a.issuer.own == nil, Issuer: a.issuer.url, API: a.apiURL}
	if a.issuer.client != nil && s.registered() == nil {
		s.mu.Lock()
		s.client = a.issuer.client
		s.mu.Unlock()
	}
	for _, scope := range scopes {
		v.Scopes = append(v.Scopes, Scope{scope, texts.Scopes[scope]})
	}
	for _, c := range calls {
		if name == "watch" || slices.Contains(strings.Fields(c.pages), name) {
			text := texts.Calls[c.name]
			v.Buttons = append(v.Buttons, Button{c.name, text[0], text[1], c.off(a, s)})
		}
	}
	config, meta, err := a.oauth(ctx, s.registered())
	s.mu.Lock()
	defer s.mu.Unlock()
	v.Client, v.Denied, v.Hours, v.LoggedIn = s.client, s.denied, s.hours, s.tokens != nil
	if v.Real && v.Client != nil {
		v.Client = &Client{Name: s.client.Name, ID: s.client.ID, RedirectURI: s.client.RedirectURI}
	}
	v.Notice, v.Error, s.notice, s.failure = s.notice, s.failure, "", ""
	if s.tokens != nil {
		v.Token = look(s.tokens)
	}
	v.Calls = slices.Clone(s.calls)
	if len(v.Calls) > 0 {
		v.Call = v.Calls[0]
	}
	if err == nil {
		v.Request = inParts(config)
		v.formAction = origin(meta.Authorize)
		if s.idToken != "" && meta.EndSession != "" {
			v.EndSession, v.IDToken, v.LoggedOut, v.LogoutState = meta.EndSession, s.idToken, a.base+"/loggedout", s.leave
			v.formAction += " " + origin(meta.EndSession)
		}
	} else if s.client != nil && v.Error == "" {
		v.Error = err.Error()
	}
	v.steps()
	return v
}

// steps fills the navigation.
func (v *View) steps() {
	done := map[string]bool{
		"start": true, "before": true, "step1": v.Client != nil, "step2": v.Client != nil && v.LoggedIn,
		"step3": v.LoggedIn, "step4": v.LoggedIn, "step5": len(v.Calls) > 0, "step6": len(v.Calls) > 0,
	}
	at := slices.IndexFunc(walk, func(l Link) bool { return l.Name == v.Page })
	for i, link := range walk {
		link.Current, link.Done = i == at, done[link.Name]
		v.Steps = append(v.Steps, link)
	}
	v.Title = walk[at].Title
	if at > 0 {
		v.Prev = &v.Steps[at-1]
	}
	if at+1 < len(walk) {
		v.Next = &v.Steps[at+1]
	}
}

// inParts takes the authorization request apart. State and challenge are only examples: the real
// ones are made when the browser leaves.
func inParts(config *oauth2.Config) *Request {
	u, err := url.Parse(config.AuthCodeURL("a new random text", oauth2.S256ChallengeOption("")))
	if err != nil {
		return nil
	}
	values := u.Query()
	values.Set("code_challenge", "a hash of a new random text")
	r := &Request{Endpoint: config.Endpoint.AuthURL}
	for _, name := range []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
	} {
		r.Params = append(r.Params, Param{name, values.Get(name), texts.Request[name]})
	}
	return r
}

func origin(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// look reads an access token for the page. A real application does not: for it, the token is a text
// without a meaning.
func look(tokens *oauth2.Token) *Token {
	text := tokens.AccessToken
	t := &Token{
		Kind: "opaque", Text: cut(text), Expires: tokens.Expiry, Length: len(text),
		Refresh: tokens.RefreshToken != "",
	}
	if granted, ok := tokens.Extra("scope").(string); ok {
		t.Scopes = strings.Fields(granted)
	}
	if parts := strings.Split(text, "."); len(parts) == 3 {
		t.Kind, t.Header, t.Payload, t.Signature = "JWT", parts[0], parts[1], cut(parts[2])
		t.HeaderClaims, t.Claims = explained(parts[0]), explained(parts[1])
	}
	if left := time.Until(t.Expires); left > 0 {
		t.Left = minutes(left)
	} else {
		t.Expired = !t.Expires.IsZero()
	}
	if !t.Expires.IsZero() {
		t.Issued = t.Expires.Add(-identityserver.Lifetime)
	}
	return t
}

// minutes returns a duration in words, such as "1 hour" or "12 minutes".
func minutes(d time.Duration) string {
	switch n := int(d.Round(time.Minute).Minutes()); {
	case n == 0:
		return "less than a minute"
	case n == 1:
		return "1 minute"
	case n == 60:
		return "1 hour"
	case n%60 == 0:
		return fmt.Sprintf("%d hours", n/60)
	default:
		return fmt.Sprintf("%d minutes", n)
	}
}

// explained returns the members of a part of a JWT, in their order.
func explained(part string) (list []Param) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return list
		}
		p := Param{Name: fmt.Sprint(name), Value: string(value)}
		p.Meaning = texts.Claims[p.Name]
		var seconds int64
		if json.Unmarshal(value, &seconds) == nil && slices.Contains([]string{"exp", "nbf", "iat", "auth_time"}, p.Name) {
			p.Value += " = " + time.Unix(seconds, 0).Format("15:04:05, 2 January 2006")
		}
		list = append(list, p)
	}
	return list
}

// cut returns the beginning of a secret.
func cut(text string) string {
	if len(text) > 12 {
		return text[:12] + "…"
	}
	return text
}
