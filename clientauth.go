package xenaauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
)

// ClientAuth is the method by which this API authenticates at the introspection endpoint (RFC 7662,
// section 2.1). [ClientSecretBasic] and [ClientSecretPost] send a secret (RFC 6749, section 2.3.1).
// Implement ClientAuth for another method, for example private_key_jwt (RFC 7523), or a client
// certificate (RFC 8705) that [Config.HTTPClient] presents.
type ClientAuth interface {
	// Authenticate adds the credentials of this API to the introspection request r. Authenticate
	// may change r.Header and r.PostForm, which is the form that will be sent. It must not change
	// any other field of r. r.URL is the introspection endpoint, and the context of r limits the
	// time of the request. r has no body yet.
	//
	// If a request is sent a second time, Authenticate is called a second time too. So your
	// implementation may send an assertion (RFC 7521) that is valid only once. Several goroutines
	// may call Authenticate at the same time. If Authenticate returns an error, or panics, the
	// request is not sent. The token then can't be checked, and the response to the client is 503.
	// [errors.As] and [errors.Is] find the error in the refusal, but the text of the error is not
	// logged, because it may contain a secret.
	Authenticate(r *http.Request, i Introspection) error
}

// clientSecret is a ClientAuth that sends Introspection.ClientID and Introspection.ClientSecret.
type clientSecret int

const (
	// ClientSecretBasic sends Introspection.ClientID and Introspection.ClientSecret as HTTP Basic
	// credentials. Both are form-encoded before they are sent, as RFC 6749, section 2.3.1,
	// requires.
	ClientSecretBasic clientSecret = iota
	// ClientSecretPost sends Introspection.ClientID and Introspection.ClientSecret as fields of the
	// form in the introspection request. Use it for an old IdentityServer that does not decode
	// special characters in a Basic secret. IdentityServer's own clients use this method too.
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

// String returns the name that OAuth metadata use for this kind of client authentication:
// "client_secret_basic" or "client_secret_post" (RFC 7591, section 2).
func (c clientSecret) String() string {
	if c == ClientSecretPost {
		return "client_secret_post"
	}
	return "client_secret_basic"
}
