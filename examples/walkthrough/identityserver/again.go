package identityserver

import "errors"

// Again calls the function change to change the claims of a JWT of this server, and signs the
// changed JWT. The walkthrough uses Again for tokens that a user can't get from the server, for
// example an expired token.
func (s *Server) Again(jwt string, change func(claims map[string]any)) (string, error) {
	claims, err := s.store.read(jwt)
	if err != nil {
		return "", err
	}
	change(claims)
	return s.store.sign(claims)
}

// Reference returns a new opaque token for a JWT of this server. The opaque token has the same
// user, client and scopes as the JWT.
func (s *Server) Reference(jwt string) (string, error) {
	claims, err := s.store.read(jwt)
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
