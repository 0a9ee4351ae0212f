// Package identity is how a gateway tells the service behind it who the user is: in header fields, or in a short-lived
// token of the gateway's own.
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
// X-Auth-User is the subject, X-Auth-Client the application and X-Auth-Scopes what it may do: who, by what and for what
// is all that most services decide by. Others are a matter of [Config.ClaimHeaders], "X-Auth-Session": "sid" say. Every
// field is set on every request, empty where there is nothing to tell, so that no proxy on the way leaves a client's own
// in its place. An empty X-Auth-User with a client is a client that acts for itself.
//
// Bare fields are worth as much as the way from the gateway to the service: who can reach the service past the gateway
// can be anybody. [Config.Assertion] sends a signed token in their place.
//
// # How to read a value
//
// Values are printable ASCII. In them, the bytes of UTF-8 that are not, and space, comma, '"' and '%', are written as %
// and two upper-case digits: split a list at its spaces first, then decode its elements as a path of a URL is decoded
// (url.PathUnescape, decodeURIComponent), exactly once. A value so never ends its field, and neither a list nor a joined
// field can be mistaken.
//
// # With httputil.ReverseProxy
//
// Call Set in Rewrite, on the header of ProxyRequest.Out: there, fields that the client named in Connection are removed
// before Rewrite runs, and not after, as with Director. Trailers come after the header: set Out.Trailer to nil. Remove
// the client's Upgrade before ReverseProxy sees the request, unless it is exactly one field that says websocket: after an
// upgrade to h2c, the client speaks to the service with identity fields of its own.
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

// Config says what is told, and in which header fields. The zero value is right for most.
//
// Names of fields are made of letters, digits and "-", at most 64 of them. No two may be the same to a reader that
// doesn't tell case, or "-" from other separators, and those that HTTP or proxies have a use for are refused.
type Config struct {
	// UserHeader is for [xenaauth.User.Subject]. "" is X-Auth-User.
	UserHeader string
	// ClientHeader is for [xenaauth.User.ClientID]. "" is X-Auth-Client.
	ClientHeader string
	// ScopesHeader is for [xenaauth.User.Scopes], joined by spaces. "" is X-Auth-Scopes. A scope that is no scope token
	// (RFC 6749, section 3.3), which no route can require, is left out.
	ScopesHeader string
	// ClaimHeaders are further fields, each with the claim of the access token that it tells. Strings, numbers and
	// booleans are written as they are; lists of them are joined by spaces, empty elements left out. A user who has an
	// object there is refused: it has no form that could not be taken for another value.
	ClaimHeaders map[string]string
	// MaxBytes bounds all fields together, names and separators included. A user who needs more is refused. 0 is 3 KiB:
	// nginx reads the header of an answer into one buffer, of 4 KiB unless proxy_buffer_size says otherwise.
	MaxBytes int
	// Assertion sends a signed token. The fields above are then sent empty, unless it says otherwise. nil sends none.
	Assertion *AssertionConfig
}

const (
	defaultMaxBytes = 3 << 10
	maxMaxBytes     = 64 << 10 // more than any proxy takes
	maxName         = 64
)

// Identity sets and removes the fields. It is safe for concurrent use.
type Identity struct {
	fields    []field
	ours      map[string]bool // by folded name
	maxBytes  int
	assertion *assertion // nil: none
}

// field is one that is set. A nil value is always empty.
type field struct {
	name  string
	value func(*xenaauth.User) (string, error)
}

// New returns an Identity. The error tells every mistake in cfg, joined by [errors.Join].
func New(cfg Config) (*Identity, error) {
	i := &Identity{ours: make(map[string]bool), maxBytes: cfg.MaxBytes}
	var errs []error
	add := func(where, name, or string, value func(*xenaauth.User) (string, error)) {
		if name == "" {
			name = or
		}
		if err := i.add(name, value); err != nil {
			errs = append(errs, fmt.Errorf("identity: Config.%s %w", where, err))
		}
	}
	bare := func(value func(*xenaauth.User) (string, error)) func(*xenaauth.User) (string, error) {
		if cfg.Assertion != nil && !cfg.Assertion.WithHeaders {
			return nil
		}
		return value
	}
	add("UserHeader", cfg.UserHeader, "X-Auth-User", bare(subject))
	add("ClientHeader", cfg.ClientHeader, "X-Auth-Client", bare(client))
	add("ScopesHeader", cfg.ScopesHeader, "X-Auth-Scopes", bare(scopes))
	for _, name := range slices.Sorted(maps.Keys(cfg.ClaimHeaders)) {
		claim := cfg.ClaimHeaders[name]
		if claim == "" {
			errs = append(errs, fmt.Errorf("identity: Config.ClaimHeaders names no claim for %q", name))
		}
		add("ClaimHeaders", name, "", bare(func(u *xenaauth.User) (string, error) { return claimValue(u, claim) }))
	}
	if cfg.Assertion != nil {
		a, err := newAssertion(*cfg.Assertion)
		if err != nil {
			errs = append(errs, err)
		} else {
			i.assertion = a
			add("Assertion.Header", cfg.Assertion.Header, "X-Auth-Assertion", a.token)
		}
	}
	if i.maxBytes == 0 {
		i.maxBytes = defaultMaxBytes
	}
	if i.maxBytes < i.size(nil) || i.maxBytes > maxMaxBytes {
		errs = append(errs, fmt.Errorf("identity: Config.MaxBytes is not within %d, which the empty fields need, and %d",
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
	folded := string(fold(nil, name))
	if i.ours[folded] {
		return fmt.Errorf("is %q, which is taken by another", name)
	}
	i.ours[folded] = true
	i.fields = append(i.fields, field{textproto.CanonicalMIMEHeaderKey(name), value})
	return nil
}

// Names are the names of all fields that Set sets, in the form that [http.Header] has them: what a proxy has to copy.
func (i *Identity) Names() []string {
	names := make([]string, len(i.fields))
	for k, f := range i.fields {
		names[k] = f.name
	}
	return names
}

// Set removes whatever Strip does and sets every field to what u is. A nil u is nobody, for whom all are empty. They are
// all empty as well if there is an error. It wraps an [*xenaauth.Error] for [xenaauth.Middleware.Deny]:
// ReasonForbidden, since a new token of that kind would not help, if what the token says doesn't fit into the fields, and
// ReasonExpired or ReasonUnavailable if no assertion can be made of it any more, or none at all. Such a request must not
// go on.
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
		if f.value == nil {
			continue
		}
		var err error
		if values[k], err = f.value(u); err != nil {
			return fmt.Errorf("identity: %s: %w", f.name, err)
		}
	}
	if size := i.size(values); size > i.maxBytes {
		return fmt.Errorf("identity: %d bytes of header fields, of %d that are allowed: %w", size, i.maxBytes, forbidden)
	}
	return nil
}

// size is how long the fields are on the wire. nil values are empty ones.
func (i *Identity) size(values []string) (n int) {
	for _, f := range i.fields {
		n += len(f.name) + len(": \r\n")
	}
	for _, v := range values {
		n += len(v)
	}
	return n
}

// forbidden is what a user is refused by whom no field can tell of.
var forbidden = &xenaauth.Error{Reason: xenaauth.ReasonForbidden}

func subject(u *xenaauth.User) (string, error) { return encode(u.Subject()), nil }

func client(u *xenaauth.User) (string, error) { return encode(u.ClientID()), nil }

func scopes(u *xenaauth.User) (string, error) {
	list := scopeTokens(u)
	for k, s := range list {
		list[k] = encode(s)
	}
	return strings.Join(list, " "), nil
}
