package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// apiCall is a request to the API. The pages have a button for each call.
type apiCall struct {
	name   string // a key of the map pages.Texts.Calls
	path   string
	pages  string // the pages that show the button of this call; the page "watch" shows all buttons
	needs  need
	isDown bool       // if isDown is set, the issuer is down during the call
	token  tokenMaker // if token is nil, the call has no token
	apiKey string
}

// tokenMaker is a function that returns the token for a call. current is the state of the session.
type tokenMaker func(ctx context.Context, a *app, current state) (string, error)

// need is the condition under which the user can send a call.
type need int

const (
	needNothing   need = iota
	needToken          // the user can send the call after the consent
	needOwnServer      // the user can send the call after the consent at our own Identity server
	needLogout         // the user can send the call after the logout
)

const fiscalSetupPath = "/Api/User/FiscalSetup"

var calls = []apiCall{
	{name: "none", path: fiscalSetupPath, pages: "before"},
	{name: "apikey", path: fiscalSetupPath, pages: "before", apiKey: "0123456789abcdef"},
	{name: "token", path: fiscalSetupPath, pages: "step5 step6 step7 after", needs: needToken, token: currentToken},
	{name: "profile", path: "/Api/User/Profile", pages: "step6", needs: needToken, token: currentToken},
	{name: "orders", path: "/Api/Fiscal/" + company + "/Order", pages: "step6", needs: needToken, token: currentToken},
	{name: "othercompany", path: "/Api/Fiscal/1/Order", pages: "step6", needs: needToken, token: currentToken},
	{name: "scope", path: fiscalSetupPath, pages: "step6", needs: needOwnServer, token: changeClaim("scope", []string{"openid"})},
	{name: "expired", path: fiscalSetupPath, pages: "step7", needs: needOwnServer, token: signAgain(identityserver.AnHourAgo)},
	{name: "audience", path: fiscalSetupPath, needs: needOwnServer, token: changeClaim("aud", "otherapi")},
	{name: "tampered", path: fiscalSetupPath, needs: needToken, token: tamperedToken},
	{name: "unsigned", path: fiscalSetupPath, needs: needToken, token: unsignedToken},
	{name: "idtoken", path: fiscalSetupPath, needs: needToken, token: idToken},
	{name: "rotated", path: fiscalSetupPath, needs: needOwnServer, token: rotatedToken},
	{name: "opaque", path: fiscalSetupPath, needs: needOwnServer, token: opaqueToken},
	{name: "down", path: fiscalSetupPath, needs: needOwnServer, token: opaqueToken, isDown: true},
	{name: "downjwt", path: fiscalSetupPath, needs: needOwnServer, token: signAgain(keepClaims), isDown: true},
	{name: "past", path: fiscalSetupPath, pages: "after", needs: needLogout, token: pastToken},
	{name: "ended", path: fiscalSetupPath, needs: needOwnServer, token: makeEndedToken},
	{name: "revoked", path: fiscalSetupPath, pages: "after", needs: needOwnServer, token: revokedToken},
}

// apiCall.whyDisabled returns the reason why the session can't send the call now, or "" if it can.
func (c apiCall) whyDisabled(a *app, now state) string {
	switch {
	case c.needs == needLogout && now.pastToken == "":
		return "First log out."
	case c.needs == needOwnServer && a.issuer.ownServer == nil:
		return "A real issuer does not make such a token."
	case c.needs != needNothing && c.needs != needLogout && now.tokens == nil:
		return "First get a token: steps 1 to 3."
	}
	return ""
}

// callAPI is the action of the buttons for calls: it sends the call that the form names.
func (a *app) callAPI(w http.ResponseWriter, r *http.Request, s *session) {
	page := r.PostFormValue("page")
	at := slices.IndexFunc(calls, func(c apiCall) bool { return c.name == r.PostFormValue("call") })
	err := errors.New("there is no such call")
	if at >= 0 {
		err = a.sendCall(r.Context(), s, calls[at])
	}
	if err == nil {
		s.update(func(v *state) { v.done.Called(page) })
	}
	a.redirect(w, r, s, pages.Path(page)+"#watched", "", err) // this part of the page shows the call
}

// app.sendCall sends a call to the API, and adds it to the log of calls in the session.
func (a *app) sendCall(ctx context.Context, s *session, c apiCall) error {
	now := s.get()
	if off := c.whyDisabled(a, now); off != "" {
		return errors.New(off)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.apiURL+c.path, nil)
	if err != nil {
		return err
	}
	text := pages.Texts.Calls[c.name]
	shown := watch.Call{Name: c.name, Label: text[0], What: text[1], Credentials: "none"}
	if c.apiKey != "" {
		r.Header.Set("XenaApiKey", c.apiKey)
		shown.Credentials = "XenaApiKey: " + c.apiKey
	}
	return a.watcher.Send(r, shown, s.calls.Show, func() (token string, end func(), err error) {
		end = func() {}
		if c.token != nil {
			token, err = c.token(ctx, a, now)
		}
		if c.isDown {
			a.issuer.ownServer.SetDown(true)
			end = func() { a.issuer.ownServer.SetDown(false) }
		}
		return token, end, err
	})
}

func currentToken(_ context.Context, _ *app, now state) (string, error) {
	return now.tokens.AccessToken, nil
}

// signAgain returns a tokenMaker. Our own issuer signs the access token again, with changed claims.
func signAgain(change func(claims map[string]any)) tokenMaker {
	return func(_ context.Context, a *app, now state) (string, error) {
		return a.issuer.ownServer.Again(now.tokens.AccessToken, change)
	}
}

func changeClaim(name string, value any) tokenMaker {
	return signAgain(func(claims map[string]any) { claims[name] = value })
}

func keepClaims(map[string]any) {}

// letHourPass is the action of the button "Let the hour pass". No page can move the clock of the
// API. So the Identity server signs the token again, with times that are an hour earlier.
func (a *app) letHourPass(w http.ResponseWriter, r *http.Request, s *session) {
	old := s.get().tokens
	if a.issuer.ownServer == nil || old == nil {
		a.redirect(w, r, s, "/step/7", "", errors.New("only our own Identity server signs a token of an hour ago"))
		return
	}
	token, err := a.issuer.ownServer.Again(old.AccessToken, identityserver.AnHourAgo)
	if err == nil {
		aged := *old
		aged.AccessToken, aged.Expiry = token, old.Expiry.Add(-identityserver.AnHour)
		s.update(func(v *state) {
			v.tokens, v.issued = &aged, v.issued.Add(-identityserver.AnHour)
			v.hours++
		})
	}
	a.redirect(w, r, s, "/step/7", "For your token, the hour has passed: the Identity server has signed it "+
		"again, with times of an hour ago. No page can move the clock of the API.", err)
}

// tamperedToken returns the access token with another user id. The old signature is now wrong.
func tamperedToken(_ context.Context, _ *app, now state) (string, error) {
	header, payload, signature, err := splitJWT(now.tokens.AccessToken)
	changed := strings.Replace(payload, `"sub":"`, `"sub":"1`, 1)
	return header + "." + base64.RawURLEncoding.EncodeToString([]byte(changed)) + "." + signature, err
}

// unsignedToken returns the access token with the algorithm "none" and without a signature.
func unsignedToken(_ context.Context, _ *app, now state) (string, error) {
	_, payload, _, err := splitJWT(now.tokens.AccessToken)
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + encode([]byte(payload)) + ".", err
}

// splitJWT returns the three parts of a JWT, with the payload decoded.
func splitJWT(jwt string) (header, payload, signature string, err error) {
	split := strings.Split(jwt, ".")
	if len(split) != 3 {
		return "", "", "", errors.New("the access token is not a JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(split[1])
	return split[0], string(text), split[2], err
}

func idToken(_ context.Context, _ *app, now state) (string, error) {
	if now.idToken != "" {
		return now.idToken, nil
	}
	return "", errors.New("the issuer sent no ID token")
}

func rotatedToken(ctx context.Context, a *app, now state) (string, error) {
	before := now.tokens.AccessToken // the API still accepts the old signing key
	if err := a.issuer.ownServer.Rotate(); err != nil {
		return "", err
	}
	return a.issuer.ownServer.Again(before, keepClaims)
}

func opaqueToken(_ context.Context, a *app, now state) (string, error) {
	return a.issuer.ownServer.Reference(now.tokens.AccessToken)
}

func revokedToken(ctx context.Context, a *app, now state) (string, error) {
	token, err := opaqueToken(ctx, a, now)
	if err != nil {
		return "", err
	}
	return token, a.revokeToken(ctx, now.client, token)
}

// pastToken returns the access token that the session had before the logout.
func pastToken(_ context.Context, _ *app, now state) (string, error) { return now.pastToken, nil }

// makeEndedToken makes a token for another session of the user, for example on a phone, and ends
// that session. It returns the token, which the API must refuse.
func makeEndedToken(ctx context.Context, a *app, now state) (string, error) {
	otherSession := fmt.Sprintf("phone-%d", a.endedSessionCount.Add(1))
	token, err := changeClaim("sid", otherSession)(ctx, a, now)
	if err != nil {
		return "", err
	}
	return token, a.issuer.ownServer.EndSession(ctx, otherSession)
}
