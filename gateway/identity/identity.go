// Package identity tells the service behind a gateway who the user is: in header fields, or in a
// short-lived token that the gateway signs.
//
//	id, err := identity.New(identity.Config{})
//	…
//	user, _ := xenaauth.UserFromContext(r.Context())
//	if err := id.Set(out.Header, user); err != nil {
//		auth.Deny(w, r, err)
//		return
//	}
//
// # What services get
//
//   - X-Auth-User is the subject. It is empty for a client that acts for itself.
//   - X-Auth-Client is the application.
//   - X-Auth-Scopes is what the application may do.
//   - X-Auth-Issuer is the issuer of the access token. Two issuers may have the same subject or the
//     same client. So a service behind a gateway with several issuers must compare X-Auth-Issuer
//     too.
//
// [Config.ClaimHeaders] adds fields for other claims, for example "X-Auth-Session": "sid". The
// method [Identity.Set] writes every field into every request. If the token has no value for a
// field, the field gets the empty value. So no proxy between the gateway and the service forwards a
// field of the client in its place.
//
// The fields are not signed. A client that can reach the service without the gateway can pretend to
// be any user. [Config.Assertion] sends a signed token instead.
//
// # How to read a value
//
// A value is printable ASCII. Each byte of its UTF-8 form that is not printable ASCII, and each
// space, comma, '"' and '%', is written as % and two upper-case hexadecimal digits. To read a list,
// first split the list at its spaces. Then decode each element once, as a path of a URL is decoded
// (url.PathUnescape, decodeURIComponent). So no value can end its field, and a service cannot take
// a value with a space or a comma for two values.
//
// # With httputil.ReverseProxy
//
//   - Call Set in Rewrite, on the header of ProxyRequest.Out. ReverseProxy removes the fields that
//     the client named in Connection before it calls Rewrite, but after it calls Director.
//   - Set Out.Trailer to nil, because a client can send identity fields in the trailer too.
//   - Before ReverseProxy gets the request, remove the client's Upgrade, unless it is exactly one
//     field with the value websocket. After an upgrade to h2c, the client would send requests with
//     identity fields of its own.
package identity

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// Config says in which header fields the service gets the user and the client. The zero value fits
// most services.
//
// The name of a field consists of letters, digits and "-", at most 64 of them. [New] refuses two
// names if a service could confuse them, for example because it ignores case or does not
// distinguish "-" from other separators. [New] also refuses names that have a meaning in HTTP or
// for proxies.
type Config struct {
	// UserHeader is the name of the field with [xenaauth.User.Subject]. The default is X-Auth-User.
	UserHeader string
	// ClientHeader is the name of the field with [xenaauth.User.ClientID]. The default is
	// X-Auth-Client.
	ClientHeader string
	// ScopesHeader is the name of the field with [xenaauth.User.Scopes], joined by spaces. The
	// default is X-Auth-Scopes. The value of the field does not contain scopes that are not scope
	// tokens (RFC 6749, section 3.3), because no route can require them.
	ScopesHeader string
	// IssuerHeader is the name of the field with [xenaauth.User.Issuer]. The default is
	// X-Auth-Issuer.
	IssuerHeader string
	// ClaimHeaders maps the names of further fields to claims of the access token. Strings, numbers
	// and booleans are written as text, and null as the empty value. The elements of a list are
	// joined by spaces, without empty elements. If the claim is an object, or a list that contains
	// an object or a list, the user is refused, because the text of it could be confused with
	// another value.
	ClaimHeaders map[string]string
	// MaxBytes is the largest length of all identity fields together, with their names and
	// separators. If the fields of a user are longer, the user is refused. The maximum is 64 KiB.
	// The default is 3 KiB: nginx reads the header of a response into one buffer, which has 4 KiB
	// on many machines unless proxy_buffer_size is set.
	MaxBytes int
	// Assertion configures a signed token for the service. If Assertion is set, all other header
	// fields are sent with empty values, so that the service does not use unsigned values. If
	// [AssertionConfig.WithHeaders] is also set, they are sent with their values. If Assertion is
	// nil, no token is sent.
	Assertion *AssertionConfig
}

const (
	defaultMaxBytes = 3 << 10
	maxMaxBytes     = 64 << 10 // maxMaxBytes is the largest value of Config.MaxBytes
	maxName         = 64
)

// Identity sets and removes the header fields that say who the user is. It is safe for concurrent
// use.
type Identity struct {
	fields []identityField
	// foldedNames contains the names of the identity fields in the form that appendFolded writes.
	// Some programs ignore case in names of fields, or do not distinguish "-" from other
	// separators. If such a program could confuse two names, both names have the same folded form.
	foldedNames map[string]bool
	maxBytes    int
	assertion   *assertion // assertion is nil if Config.Assertion is nil
}

// identityField is a header field that says something about the user. The function valueOf returns
// the value of the field for a user. If valueOf is nil, the field is always empty.
type identityField struct {
	name    string
	valueOf func(*xenaauth.User) (string, error)
}

// New returns an Identity. Its error lists every mistake in cfg, joined by [errors.Join].
func New(cfg Config) (*Identity, error) {
	i := &Identity{foldedNames: make(map[string]bool), maxBytes: cfg.MaxBytes}
	var errs []error
	add := func(where, name, defaultName string, value func(*xenaauth.User) (string, error)) {
		if name == "" {
			name = defaultName
		}
		if err := i.add(name, value); err != nil {
			errs = append(errs, fmt.Errorf("identity: Config.%s %w", where, err))
		}
	}
	// The header fields for the user, the client, the scopes, the issuer and the claims are not
	// signed. If a signed assertion is sent in their place, unsignedValueOf returns nil. The
	// gateway then sends these header fields with empty values.
	unsignedValueOf := func(value func(*xenaauth.User) (string, error)) func(*xenaauth.User) (string, error) {
		if cfg.Assertion != nil && !cfg.Assertion.WithHeaders {
			return nil
		}
		return value
	}
	add("UserHeader", cfg.UserHeader, "X-Auth-User", unsignedValueOf(subject))
	add("ClientHeader", cfg.ClientHeader, "X-Auth-Client", unsignedValueOf(client))
	add("ScopesHeader", cfg.ScopesHeader, "X-Auth-Scopes", unsignedValueOf(scopes))
	add("IssuerHeader", cfg.IssuerHeader, "X-Auth-Issuer", unsignedValueOf(issuer))
	for _, name := range slices.Sorted(maps.Keys(cfg.ClaimHeaders)) {
		claim := cfg.ClaimHeaders[name]
		if claim == "" {
			errs = append(errs, fmt.Errorf("identity: Config.ClaimHeaders has no claim for %q", name))
		}
		value := func(u *xenaauth.User) (string, error) { return claimValue(u, claim) }
		add("ClaimHeaders", name, "", unsignedValueOf(value))
	}
	if cfg.Assertion != nil {
		a, err := newAssertion(*cfg.Assertion)
		if err != nil {
			errs = append(errs, err)
		} else {
			i.assertion = a
			add("Assertion.Header", cfg.Assertion.Header, "X-Auth-Assertion", a.makeToken)
		}
	}
	if i.maxBytes == 0 {
		i.maxBytes = defaultMaxBytes
	}
	if i.maxBytes < i.size(nil) || i.maxBytes > maxMaxBytes {
		errs = append(errs, fmt.Errorf(
			"identity: Config.MaxBytes is not within %d, the length of empty fields, and %d",
			i.size(nil), maxMaxBytes))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return i, nil
}

func (i *Identity) add(name string, value func(*xenaauth.User) (string, error)) error {
	if err := checkName(name); err != nil {
		return err
	}
	folded := string(appendFolded(nil, name))
	if i.foldedNames[folded] {
		return fmt.Errorf("is %q, which another field has already", name)
	}
	i.foldedNames[folded] = true
	i.fields = append(i.fields, identityField{textproto.CanonicalMIMEHeaderKey(name), value})
	return nil
}

// Names returns the names of all fields that Set sets, in the spelling of [http.Header]. A proxy
// between the gateway and the service must forward these fields, and remove them from requests of
// clients.
func (i *Identity) Names() []string {
	names := make([]string, len(i.fields))
	for k, f := range i.fields {
		names[k] = f.name
	}
	return names
}

// Set removes the fields that [Identity.Strip] removes, and then sets every identity field to the
// value for the user u. If u is nil, or if Set returns an error, all identity fields are empty.
//
// After an error, do not forward the request. The error wraps an [*xenaauth.Error] for
// [xenaauth.Middleware.Deny], with one of these reasons:
//   - ReasonForbidden: a claim of the token cannot be written into a field, or the fields are
//     longer than [Config.MaxBytes]. A new token with the same claims would not help.
//   - ReasonExpired: the access token has expired. The middleware accepted the access token because
//     of the clock skew, but an assertion would be expired.
//   - ReasonUnavailable: the signing key returned an error.
func (i *Identity) Set(h http.Header, u *xenaauth.User) error {
	i.Strip(h)
	values := make([]string, len(i.fields))
	err := i.values(values, u)
	if err != nil {
		clear(values)
	}
	for k, f := range i.fields {
		h[f.name] = values[k : k+1 : k+1]
	}
	return err
}

func (i *Identity) values(values []string, u *xenaauth.User) error {
	if u == nil {
		return nil
	}
	for k, f := range i.fields {
		if f.valueOf == nil {
			continue
		}
		var err error
		if values[k], err = f.valueOf(u); err != nil {
			return fmt.Errorf("identity: %s: %w", f.name, err)
		}
	}
	if size := i.size(values); size > i.maxBytes {
		return fmt.Errorf("identity: header fields too long: %d bytes, at most %d: %w",
			size, i.maxBytes, errForbidden)
	}
	return nil
}

// Identity.size returns how many bytes all identity fields take in a request. If values is nil, all
// values are empty.
func (i *Identity) size(values []string) (n int) {
	for _, f := range i.fields {
		n += len(f.name) + len(": \r\n")
	}
	for _, v := range values {
		n += len(v)
	}
	return n
}

// errForbidden is the error for a user whose claims are too long for the identity fields, or cannot
// be written into them.
var errForbidden = &xenaauth.Error{Reason: xenaauth.ReasonForbidden}

func subject(u *xenaauth.User) (string, error) { return encodeValue(u.Subject()), nil }

func client(u *xenaauth.User) (string, error) { return encodeValue(u.ClientID()), nil }

func issuer(u *xenaauth.User) (string, error) { return encodeValue(u.Issuer()), nil }

func scopes(u *xenaauth.User) (string, error) {
	list := scopeTokens(u)
	for k, s := range list {
		list[k] = encodeValue(s)
	}
	return strings.Join(list, " "), nil
}
