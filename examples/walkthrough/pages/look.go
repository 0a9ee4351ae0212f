package pages

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// The method navigate sets the title of the page, and the links to the other pages of the
// walkthrough.
func (v *View) navigate() {
	done := map[string]bool{
		"start": true, "before": len(v.Calls) > 0, "step1": v.Client != nil, "step2": v.LoggedIn,
		"step3": v.LoggedIn, "step4": v.LoggedIn, "step5": v.LoggedIn && len(v.Calls) > 0,
		"step6": v.LoggedIn && len(v.Calls) > 0,
	}
	at := slices.IndexFunc(Walk, func(l Link) bool { return l.Name == v.Page })
	for i, link := range Walk {
		link.Current, link.Done = i == at, done[link.Name]
		v.Steps = append(v.Steps, link)
	}
	v.Title = Walk[at].Title
	if at > 0 {
		v.Prev = &v.Steps[at-1]
	}
	if at+1 < len(Walk) {
		v.Next = &v.Steps[at+1]
	}
}

// InParts divides link, the URL of an authorization request, into the endpoint and the parameters,
// and returns both for the page.
func InParts(link string) *Request {
	u, err := url.Parse(link)
	if err != nil {
		return nil
	}
	r := &Request{Endpoint: Origin(link) + u.Path}
	for _, name := range []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
	} {
		r.Params = append(r.Params, watch.Param{Name: name, Value: u.Query().Get(name), Meaning: Texts.Request[name]})
	}
	return r
}

// Origin returns the origin of a URL in the form that a Content-Security-Policy needs, for example
// "https://api.example".
func Origin(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Look decodes an access token, so that the page of the walkthrough can show its claims. A real
// application must not do this: for an application, the token is a text without a meaning.
func Look(tokens *oauth2.Token, issued time.Time) *Token {
	text := tokens.AccessToken
	t := &Token{
		Kind: "opaque", Text: cut(text), Issued: issued, Expires: tokens.Expiry, Length: len(text),
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
	return t
}

// The function minutes returns a duration in words, such as "1 hour" or "12 minutes".
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

// The function explained decodes the header or the payload of a JWT. It returns the JSON members in
// their order, each with an explanation for the page.
func explained(part string) (list []watch.Param) {
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
		p := watch.Param{Name: fmt.Sprint(name), Value: string(value)}
		p.Meaning = Texts.Claims[p.Name]
		var seconds int64
		if json.Unmarshal(value, &seconds) == nil && slices.Contains([]string{"exp", "nbf", "iat", "auth_time"}, p.Name) {
			p.Value += " = " + time.Unix(seconds, 0).Format("15:04:05, 2 January 2006")
		}
		list = append(list, p)
	}
	return list
}

// The function cut returns the beginning of a secret, so that a page does not show the whole
// secret.
func cut(text string) string {
	if len(text) > 12 {
		return text[:12] + "…"
	}
	return text
}
