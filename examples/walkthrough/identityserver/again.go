package identityserver

import "errors"

// Again returns a JWT with changed claims: it calls the function change with the claims of the
// given JWT, and signs the result. The walkthrough uses Again for tokens that a user can't get, for
// example an expired token.
func (s *Server) Again(jwt string, change func(claims map[string]any)) (string, error) {
	claims, err := s.store.readJWT(jwt)
	if err != nil {
		return "", err
	}
	change(claims)
	return s.store.signJWT(claims)
}

// AnHour is the time by which [AnHourAgo] makes a token older. It is longer than the lifetime of a
// token, because the API still accepts a token that has expired a short time ago.
const AnHour = Lifetime + Lifetime/12

// AnHourAgo is a function that changes claims, for [Server.Again]. It makes a token older: it
// subtracts AnHour from each time in the claims.
func AnHourAgo(claims map[string]any) {
	for _, name := range []string{"exp", "nbf", "iat", "auth_time"} {
		if seconds, ok := claims[name].(float64); ok {
			claims[name] = int64(seconds - AnHour.Seconds())
		}
	}
}

// Reference returns a new opaque token. It has the user, the client and the scopes of a JWT of this
// server.
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
