package identityserver

import "errors"

// Again makes a changed copy of a JWT, and returns it. It passes the claims of the JWT to the
// function changeClaims, and then signs the changed claims. The walkthrough uses Again for tokens
// that a user can't get, for example an expired token.
func (s *Server) Again(jwt string, changeClaims func(claims map[string]any)) (string, error) {
	claims, err := s.store.readJWT(jwt)
	if err != nil {
		return "", err
	}
	changeClaims(claims)
	return s.store.signJWT(claims)
}

// AnHour is the duration that the function [AnHourAgo] subtracts from the times in a token. It is
// longer than the lifetime of a token. The API still accepts a token that has expired a short time
// ago, but it refuses a token that has become older by AnHour.
const AnHour = Lifetime + Lifetime/12

// AnHourAgo makes a token older: it subtracts [AnHour] from each time in the claims. Callers pass
// AnHourAgo to [Server.Again].
func AnHourAgo(claims map[string]any) {
	for _, name := range []string{"exp", "nbf", "iat", "auth_time"} {
		if seconds, ok := claims[name].(float64); ok {
			claims[name] = int64(seconds - AnHour.Seconds())
		}
	}
}

// Reference returns a new opaque token. It has the same user, client and scopes as the given JWT of
// this server.
func (s *Server) Reference(jwt string) (string, error) {
	claims, err := s.store.readJWT(jwt)
	if err != nil {
		return "", err
	}
	id, _ := claims["jti"].(string)
	t, ok := s.store.tokens.Get(id)
	if !ok {
		return "", errors.New("the token was revoked")
	}
	return s.store.Encrypt(s.store.newToken(t.grant).id + ":" + User.ID)
}
