package main

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
)

// call is a request to the API that a button sends.
type call struct {
	name, label, what string
	path              string
	pages             []string // the pages with this button, beside "watch"
	needs             need
	// prepare returns the credentials. After the response, the function undo runs, unless it is nil.
	prepare func(context.Context, *app, *session) (field http.Header, undo func(), err error)
}

// need is what a call needs.
type need int

const (
	nothing need = iota
	aToken       // the user must have consented
	ownJWT       // and the issuer must be our own: it makes a token that a user can't get
)

const (
	fiscalSetupPath = "/Api/User/FiscalSetup"
	profilePath     = "/Api/User/Profile"
)

var calls = []call{
	{"none", "Call without a token", "No credentials at all.", fiscalSetupPath, []string{"before"}, nothing, nobody},
	{"apikey", "Call with an API key", "The retired XenaApiKey header field.", fiscalSetupPath, []string{"before"}, nothing, apiKey},
	{"token", "Call with the access token", "The access token of step 4.", fiscalSetupPath, []string{"step5", "step6", "step7", "after"}, aToken, asIs},
	{"profile", "Ask for the profile", "The route needs testapi and profile.", profilePath, []string{"step6"}, aToken, asIs},
	{"orders", "Ask for the orders of your company", "The API knows who is in which company.", "/Api/Fiscal/" + company + "/Order", []string{"step6"}, aToken, asIs},
	{"othercompany", "Ask for the orders of another company", "The token is good, but the API's policy says no.", "/Api/Fiscal/1/Order", []string{"step6"}, aToken, asIs},
	{"scope", "A scope is missing", "The Identity server signs a token with openid only.", fiscalSetupPath, []string{"step6"}, ownJWT, again(func(c map[string]any) { c["scope"] = []string{"openid"} })},
	{"expired", "Expired", "The Identity server signs a token whose hour is over.", fiscalSetupPath, []string{"step7"}, ownJWT, again(anHourAgo)},
	{"audience", "For another API", "The Identity server signs a token for another audience.", fiscalSetupPath, nil, ownJWT, again(func(c map[string]any) { c["aud"] = "otherapi" })},
	{"tampered", "Tampered with", "The user id in the token was changed after it was signed.", fiscalSetupPath, nil, aToken, tampered},
	{"none-alg", "alg: none", "The header says that the token needs no signature, and there is none.", fiscalSetupPath, nil, aToken, unsigned},
	{"idtoken", "An ID token", "The ID token says who the user is. It is for the application, not for an API.", fiscalSetupPath, nil, aToken, idToken},
	{"rotated", "A new key", "The Identity server makes a new key, and signs a token with it.", fiscalSetupPath, nil, ownJWT, rotated},
	{"opaque", "An opaque token", "A reference token: the API asks the issuer what it means.", fiscalSetupPath, nil, ownJWT, reference(nil)},
	{"down", "The issuer is down", "An opaque token, while the Identity server gives no answer.", fiscalSetupPath, nil, ownJWT, reference(down)},
	{"downjwt", "The issuer is down, with a JWT", "The API already has the key, so it needs no issuer.", fiscalSetupPath, nil, ownJWT, downJWT},
	{"ended", "The session ended", "The Identity server ends a session, and tells the API. The token has not expired.", fiscalSetupPath, nil, ownJWT, ended},
	{"revoked", "Revoked", "An opaque token that the application has revoked.", fiscalSetupPath, []string{"after"}, ownJWT, reference(revoked)},
}

// buttonsOf returns the buttons of a page.
func buttonsOf(page string, v *View) (list []Button) {
	for _, c := range calls {
		if page != "watch" && !slices.Contains(c.pages, page) {
			continue
		}
		b := Button{Name: c.name, Label: c.label, What: c.what}
		switch {
		case c.needs == ownJWT && v.Real:
			b.Off = "A real issuer does not make such a token."
		case c.needs != nothing && !v.LoggedIn:
			b.Off = "First get a token: steps 1 to 3."
		case c.name == "idtoken" && v.IDToken == "" && v.Real:
			b.Off = "The issuer sent no ID token."
		}
		list = append(list, b)
	}
	return list
}

// call sends the call that a button names.
func (a *app) call(w http.ResponseWriter, r *http.Request, s *session) {
	back := pageOf(r.PostFormValue("page")) + "#watched" // where the page shows the call
	at := slices.IndexFunc(calls, func(c call) bool { return c.name == r.PostFormValue("call") })
	if at < 0 {
		a.back(w, r, s, back, "", errors.New("there is no such call"))
		return
	}
	c := calls[at]
	switch {
	case c.needs != nothing && s.current() == nil:
		a.back(w, r, s, back, "", errors.New("first get a token: steps 1 to 3"))
	case c.needs == ownJWT && a.issuer.own == nil:
		a.back(w, r, s, back, "", errors.New("a real issuer does not make such a token"))
	default:
		a.back(w, r, s, back, "", a.send(r.Context(), s, c))
	}
}

func nobody(context.Context, *app, *session) (http.Header, func(), error) {
	return http.Header{}, nil, nil
}

func apiKey(context.Context, *app, *session) (http.Header, func(), error) {
	return http.Header{"Xenaapikey": {"0123456789abcdef"}}, nil, nil
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func asIs(_ context.Context, _ *app, s *session) (http.Header, func(), error) {
	return bearer(s.current().AccessToken), nil, nil
}

// again sends the access token with other claims, signed by the Identity server.
func again(change func(claims map[string]any)) func(context.Context, *app, *session) (http.Header, func(), error) {
	return func(_ context.Context, a *app, s *session) (http.Header, func(), error) {
		token, err := a.issuer.own.Again(s.current().AccessToken, change)
		return bearer(token), nil, err
	}
}

// back1 is a little more than the lifetime of a token: more than the difference between two clocks
// that the API accepts.
const anHour = identityserver.Lifetime + 5*time.Minute

// anHourAgo moves the times of a token into the past.
func anHourAgo(claims map[string]any) {
	for _, name := range []string{"exp", "nbf", "iat", "auth_time"} {
		if seconds, ok := claims[name].(float64); ok {
			claims[name] = int64(seconds) - int64(anHour.Seconds())
		}
	}
}

// hour lets the hour pass. No page can move the clock of the API, so the Identity server signs the
// token again, with times of an hour ago.
func (a *app) hour(w http.ResponseWriter, r *http.Request, s *session) {
	old := s.current()
	if a.issuer.own == nil || old == nil {
		a.back(w, r, s, "/step/7", "", errors.New("only our own Identity server can sign a token of an hour ago"))
		return
	}
	token, err := a.issuer.own.Again(old.AccessToken, anHourAgo)
	if err == nil {
		aged := *old
		aged.AccessToken, aged.Expiry = token, old.Expiry.Add(-anHour)
		s.mu.Lock()
		s.tokens = &aged
		s.hours++
		s.mu.Unlock()
	}
	a.back(w, r, s, "/step/7", "The hour has passed for your token.", err)
}

// tampered changes the user id in a JWT, and keeps the signature.
func tampered(_ context.Context, _ *app, s *session) (http.Header, func(), error) {
	header, payload, signature, err := parts(s.current().AccessToken)
	if err != nil {
		return nil, nil, err
	}
	text := strings.Replace(string(payload), `"sub":"`, `"sub":"1`, 1)
	return bearer(header + "." + base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + signature), nil, nil
}

// unsigned replaces the header of a JWT, and removes the signature.
func unsigned(_ context.Context, _ *app, s *session) (http.Header, func(), error) {
	_, payload, _, err := parts(s.current().AccessToken)
	if err != nil {
		return nil, nil, err
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	return bearer(header + "." + base64.RawURLEncoding.EncodeToString(payload) + "."), nil, nil
}

func parts(jwt string) (header string, payload []byte, signature string, err error) {
	split := strings.Split(jwt, ".")
	if len(split) != 3 {
		return "", nil, "", errors.New("the access token is not a JWT")
	}
	payload, err = base64.RawURLEncoding.DecodeString(split[1])
	return split[0], payload, split[2], err
}

func idToken(_ context.Context, _ *app, s *session) (http.Header, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idToken == "" {
		return nil, nil, errors.New("the issuer sent no ID token")
	}
	return bearer(s.idToken), nil, nil
}

func rotated(ctx context.Context, a *app, s *session) (http.Header, func(), error) {
	own, token := a.issuer.own, s.current().AccessToken
	if err := own.Rotate(); err != nil {
		return nil, nil, err
	}
	token, err := own.Again(token, func(map[string]any) {})
	return bearer(token), nil, err
}

// reference sends a reference token, after then has done something to it.
func reference(
	then func(context.Context, *app, *session, string) (func(), error),
) func(context.Context, *app, *session) (http.Header, func(), error) {
	return func(ctx context.Context, a *app, s *session) (http.Header, func(), error) {
		token, err := a.issuer.own.Reference(s.current().AccessToken)
		var undo func()
		if err == nil && then != nil {
			undo, err = then(ctx, a, s, token)
		}
		return bearer(token), undo, err
	}
}

func down(_ context.Context, a *app, _ *session, _ string) (func(), error) {
	a.issuer.own.SetDown(true)
	return func() { a.issuer.own.SetDown(false) }, nil
}

func downJWT(ctx context.Context, a *app, s *session) (http.Header, func(), error) {
	undo, err := down(ctx, a, s, "")
	return bearer(s.current().AccessToken), undo, err
}

func revoked(ctx context.Context, a *app, s *session, token string) (func(), error) {
	return nil, a.revokeToken(ctx, s, token)
}

// ended sends a token of another session of the user, for example on a phone, after it has ended.
func ended(ctx context.Context, a *app, s *session) (http.Header, func(), error) {
	session := "phone-" + s.current().AccessToken[:8] + time.Now().Format("150405.000000")
	token, err := a.issuer.own.Again(s.current().AccessToken, func(c map[string]any) { c["sid"] = session })
	if err == nil {
		err = a.issuer.own.EndSession(ctx, session)
	}
	return bearer(token), nil, err
}
