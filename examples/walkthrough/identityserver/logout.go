package identityserver

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// TerminateSessionFromRequest handles a logout request of an application. It ends the session that
// the ID token in the request names. It implements [op.CanTerminateSessionFromRequest].
func (s *memoryStore) TerminateSessionFromRequest(ctx context.Context, r *op.EndSessionRequest) (string, error) {
	if r.IDTokenHintClaims != nil {
		if session, ok := r.IDTokenHintClaims.Claims["sid"].(string); ok {
			s.endSession(ctx, session)
		}
	}
	return r.RedirectURI, nil
}

// NotifyAt sets the URL to which the server sends logout tokens. It is a URL of the API (OpenID
// Connect Back-Channel Logout 1.0).
func (s *Server) NotifyAt(url string) { s.logoutURL.Store(&url) }

// EndSession ends a session of the user at the server. It deletes the tokens of the session, and
// sends a logout token to the API.
func (s *Server) EndSession(ctx context.Context, session string) error {
	s.store.tokens.DeleteFunc(func(t *accessToken) bool { return t.session == session })
	s.store.refreshGrants.DeleteFunc(func(g *grant) bool { return g.session == session })
	to := s.logoutURL.Load()
	if to == nil {
		return nil
	}
	now := time.Now()
	logout, err := s.store.signJWT(map[string]any{
		"iss": s.URL(), "aud": Audience, "sub": User.ID, "sid": session, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	form := url.Values{"logout_token": {logout}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, *to, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := s.client.Do(r)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New("the API does not accept the logout token: " + response.Status)
	}
	return nil
}
