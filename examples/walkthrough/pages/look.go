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

// View.navigate sets the title of the page and the links to other pages.
func (v *View) navigate() {
	at := slices.IndexFunc(Walk, func(l Link) bool { return l.Name == v.Page })
	for i, link := range Walk {
		link.Current = i == at
		link.Done = slices.Contains(v.Done, link.Name) || link.Name == "step1" && v.Client != nil
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

// Done contains the names of the pages whose task the user has done.
type Done []string

// Add marks pages as done. The arguments are the names of the pages.
func (d *Done) Add(pages ...string) {
	for _, page := range pages {
		if !slices.Contains(*d, page) {
			*d = append(*d, page)
		}
	}
}

// Called is used after the user has sent a call from a page. It marks the page as done if the task
// of the page is to send a call.
func (d *Done) Called(page string) {
	if slices.Contains([]string{"before", "step5", "step6", "watch"}, page) {
		d.Add(page)
	}
}

// InParts returns the endpoint and the parameters of the authorization request, and the endpoint of
// the token request. Some parameters of a real request are random texts. The result has a
// description in place of each random text.
func InParts(config *oauth2.Config) *Request {
	link := config.AuthCodeURL("a new random text", oauth2.SetAuthURLParam("code_challenge_method", "S256"),
		oauth2.SetAuthURLParam("code_challenge", "the SHA-256 of another random text, the code verifier"))
	u, err := url.Parse(link)
	token, err2 := url.Parse(config.Endpoint.TokenURL)
	if err != nil || err2 != nil {
		return nil
	}
	r := &Request{Endpoint: Origin(link) + u.Path, Token: token}
	for _, name := range []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
	} {
		r.Params = append(r.Params, watch.Param{Name: name, Value: u.Query().Get(name), Meaning: Texts.Request[name]})
	}
	return r
}

// Origin returns the origin of a URL, as a Content-Security-Policy names it.
func Origin(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Look decodes an access token, so that the page can show its claims. A real application must not
// do this: for an application, the token is a text without a meaning.
func Look(tokens *oauth2.Token, issued time.Time) *Token {
	text := tokens.AccessToken
	t := &Token{
		Kind: "opaque", Text: shortenSecret(text), Issued: issued, Expires: tokens.Expiry, Length: len(text),
		Refresh: tokens.RefreshToken != "", Type: tokens.TokenType, ExpiresIn: tokens.ExpiresIn,
	}
	if granted, ok := tokens.Extra("scope").(string); ok {
		t.Scopes = strings.Fields(granted)
	}
	if parts := strings.Split(text, "."); len(parts) == 3 {
		t.Kind, t.Header, t.Payload, t.Signature = "JWT", parts[0], parts[1], shortenSecret(parts[2])
		t.HeaderClaims, t.Claims = explainMembers(parts[0]), explainMembers(parts[1])
	}
	if left := time.Until(t.Expires); left > 0 {
		t.Left = durationText(left)
	} else {
		t.Expired = !t.Expires.IsZero()
	}
	return t
}

// durationText returns a duration in words, such as "1 hour" or "12 minutes".
func durationText(d time.Duration) string {
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

// explainMembers decodes the header or the payload of a JWT. It returns the members in their order,
// each with an explanation.
func explainMembers(part string) (list []watch.Param) {
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

// shortenSecret shortens a secret, so that a page can show its beginning.
func shortenSecret(text string) string {
	if len(text) > 12 {
		return text[:12] + "…"
	}
	return text
}
