// Package jose takes compact JWS tokens apart and verifies them with the keys of a JWK set. It alone imports jwx: what
// jwx does for us is the mathematics and the forms of keys; what a token, a header and a set may say is decided here.
package jose

import (
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// The ways in which a token is no usable JWS.
var (
	ErrMalformed = errors.New("not a JWS in compact form")
	ErrHeader    = errors.New("header asks for what is not supported")
	ErrAlgorithm = errors.New("algorithm is not allowed")
	ErrSignature = errors.New("signature does not verify")
	ErrTries     = errors.New("too many keys fit the token to try them all")
)

// Header is what a verifier reads of a JOSE header. Members that bring or name keys from outside (jku, jwk, x5u, x5c)
// are passed over: RFC 8725, section 3.10.
type Header struct {
	Algorithm  string
	KeyID      string // "" is none
	Thumbprint string // x5t; "" is none
	Type       string // typ in lower case, without the application/ prefix
	HasType    bool
}

const (
	maxHeader = 8 << 10 // bytes of the encoded segment: a certificate chain may be in it
	maxKeyID  = 512
)

// encoding refuses padding and stray bits in the last character. It skips line breaks, so those are looked for apart.
var encoding = base64.RawURLEncoding.Strict()

func decodeString(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrMalformed
	}
	return encoding.DecodeString(s)
}

var headerNames = claims.NewNames("alg", "kid", "typ", "cty", "crit", "b64", "zip", "enc", "x5t", "jku", "jwk", "x5u", "x5c")

// ParseHeader reads the first segment of a token. The error is ErrMalformed, ErrAlgorithm (no or no string alg) or
// ErrHeader (an extension, a compression or an encryption that this package doesn't speak).
func ParseHeader(segment string) (*Header, error) {
	if len(segment) > maxHeader {
		return nil, ErrMalformed
	}
	raw, ok := decodeText(segment)
	if !ok {
		return nil, ErrMalformed
	}
	h := new(Header)
	supported := true
	m := claims.Members{Registered: headerNames}
	m.Open(raw)
	defer m.Close()
	for name, more := m.Next(); more; name, more = m.Next() {
		ok := true
		switch name {
		case "alg":
			if h.Algorithm, ok = m.String(); !ok {
				_, ok = m.Raw() // of another type: none that is allowed
			} else {
				ok = h.Algorithm != ""
			}
		case "kid":
			h.KeyID, ok = word(&m)
		case "x5t":
			h.Thumbprint, ok = word(&m)
		case "typ":
			h.Type, ok = word(&m)
			h.Type, h.HasType = mediaType(h.Type), true
		case "cty":
			var content string
			content, ok = word(&m)
			if strings.Contains(mediaType(content), "jwt") {
				supported = false // a nested token
			}
		case "crit", "b64", "zip", "enc":
			supported = false
			_, ok = m.Raw()
		default:
			_, ok = m.Raw()
		}
		if !ok {
			return nil, ErrMalformed
		}
	}
	switch {
	case m.Err() != nil:
		return nil, ErrMalformed
	case !supported:
		return nil, ErrHeader
	case h.Algorithm == "":
		return nil, ErrAlgorithm
	}
	return h, nil
}

// word reads a string that says something and isn't too long.
func word(m *claims.Members) (string, bool) {
	s, ok := m.String()
	return s, ok && s != "" && len(s) <= maxKeyID
}

func mediaType(s string) string { return strings.TrimPrefix(strings.ToLower(s), "application/") }

// Headers remembers parsed headers by their segment. Only headers of verified tokens are kept, and only so many, so a
// stranger can't fill it. The zero value is ready.
type Headers struct {
	known atomic.Pointer[map[string]*Header]
}

const maxKnownHeaders = 256

// Get returns what Keep kept, or nil. full is whether Keep keeps no more, so that nil says nothing.
func (c *Headers) Get(segment string) (h *Header, full bool) {
	known := c.known.Load()
	if known == nil {
		return nil, false
	}
	return (*known)[segment], len(*known) >= maxKnownHeaders
}

// Keep remembers the header of a token whose signature verified.
func (c *Headers) Keep(segment string, h *Header) {
	for {
		old := c.known.Load()
		if old != nil && ((*old)[segment] == h || len(*old) >= maxKnownHeaders) {
			return
		}
		next := map[string]*Header{strings.Clone(segment): h}
		if old != nil {
			for s, have := range *old {
				next[s] = have
			}
		}
		if c.known.CompareAndSwap(old, &next) {
			return
		}
	}
}
