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
		v.Scopes = append(v.Scopes, Scope{scope, identityserver.Words[scope]})
	}
	config, meta, err := a.oauth(ctx, s.registered())
	s.mu.Lock()
	defer s.mu.Unlock()
	v.Client, v.Denied, v.Hours, v.LoggedIn = s.client, s.denied, s.hours, s.tokens != nil
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
	v.Buttons = buttonsOf(name, v)
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
	for _, p := range []Param{
		{Name: "response_type", Meaning: "The application wants a code, which it exchanges for tokens itself."},
		{Name: "client_id", Meaning: "Who asks: the client id of step 1. The secret is not in this request."},
		{Name: "redirect_uri", Meaning: "Where the answer goes. The Identity server sends it nowhere else."},
		{Name: "scope", Meaning: "What the application asks for."},
		{Name: "state", Meaning: "Binds the answer to this browser."},
		{Name: "code_challenge", Meaning: "PKCE: only the application that has the random text can use the code."},
		{Name: "code_challenge_method", Meaning: "The hash of PKCE is SHA-256."},
	} {
		p.Value = values.Get(p.Name)
		r.Params = append(r.Params, p)
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

// meanings explain the claims of a token.
var meanings = map[string]string{
	"alg":       "How the token is signed.",
	"kid":       "Which of the issuer's keys has signed it.",
	"typ":       "What kind of JWT it is.",
	"iss":       "The issuer. The API accepts one issuer only.",
	"aud":       "Whom the token is for. The API must find its own name here.",
	"sub":       "The user, as an id.",
	"client_id": "The application that got the token.",
	"scope":     "What the user allowed.",
	"scp":       "What the user allowed.",
	"exp":       "When the token ends. After this time the API refuses it.",
	"nbf":       "When the token begins.",
	"iat":       "When the token was issued.",
	"auth_time": "When the user logged in.",
	"jti":       "The id of this token.",
	"sid":       "The login session of the user. When it ends, the issuer tells the API.",
	"idp":       "Where the user logged in: local is the Identity server itself.",
	"amr":       "How the user logged in: pwd is a password.",
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
		p.Meaning = meanings[p.Name]
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
