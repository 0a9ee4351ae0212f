package xenaauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
)

// ClientAuth is how this API authenticates at the introspection endpoint (RFC 7662, section 2.1).
// [ClientSecretBasic] and [ClientSecretPost] send a secret (RFC 6749, section 2.3.1). Implement
// ClientAuth for another method, for example private_key_jwt (RFC 7523), or a client certificate
// (RFC 8705) that [Config.HTTPClient] presents.
type ClientAuth interface {
	// Authenticate adds the credentials of this API to an introspection request. It may change
	// r.Header and r.PostForm, which is the form that will be sent, and nothing else of r. r.URL is
	// the endpoint, and the context of r bounds the request. r has no body yet.
	//
	// A request that is sent again is authenticated again, so an assertion that is valid only once
	// can be used. Authenticate may run in several goroutines at a time. If it returns an error, or
	// panics, the request is not sent, and the token can't be checked: 503. The error is found with
	// [errors.As] and [errors.Is], but its text is not logged, because it may contain a secret.
	Authenticate(r *http.Request, i Introspection) error
}

// clientSecret is a way to send Introspection.ClientID and ClientSecret.
type clientSecret int

const (
	// ClientSecretBasic sends ClientID and ClientSecret as HTTP Basic credentials, each
	// form-encoded first, as RFC 6749 requires.
	ClientSecretBasic clientSecret = iota
	// ClientSecretPost sends ClientID and ClientSecret in the form, as IdentityServer's own clients
	// do. Use it for an old IdentityServer that doesn't decode a Basic secret with special
	// characters.
	ClientSecretPost
)

// Authenticate implements [ClientAuth].
func (c clientSecret) Authenticate(r *http.Request, i Introspection) error {
	switch c {
	case ClientSecretBasic:
		pair := url.QueryEscape(i.ClientID) + ":" + url.QueryEscape(i.ClientSecret)
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case ClientSecretPost:
		r.PostForm.Set("client_id", i.ClientID)
		r.PostForm.Set("client_secret", i.ClientSecret)
	default:
		return errors.New("unknown client authentication")
	}
	return nil
}

// String returns the name of the method in the metadata of issuers (RFC 7591, section 2).
func (c clientSecret) String() string {
	if c == ClientSecretPost {
		return "client_secret_post"
	}
	return "client_secret_basic"
}
