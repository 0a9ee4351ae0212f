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

var headerNames = []string{"alg", "kid", "typ", "cty", "crit", "b64", "zip", "enc", "x5t", "jku", "jwk", "x5u", "x5c"}

// ParseHeader reads the first segment of a token. The error is ErrMalformed, ErrAlgorithm (no or no string alg) or
// ErrHeader (an extension, a compression or an encryption that this package doesn't speak).
func ParseHeader(segment string) (*Header, error) {
	if len(segment) > maxHeader {
		return nil, ErrMalformed
	}
	raw, err := decodeString(segment)
	if err != nil {
		return nil, ErrMalformed
	}
	h := new(Header)
	var unsupported error
	err = claims.Object(string(raw), headerNames, func(name string, d *claims.Decoder) (err error) {
		text := func() string {
			s, ok := d.String()
			if !ok || s == "" || len(s) > maxKeyID {
				err = ErrMalformed
			}
			return s
		}
		switch name {
		case "alg":
			var ok bool
			if h.Algorithm, ok = d.String(); !ok {
				_, ok = d.Raw() // of another type: none that is allowed
			} else if h.Algorithm == "" {
				ok = false
			}
			if !ok {
				err = ErrMalformed
			}
		case "kid":
			h.KeyID = text()
		case "x5t":
			h.Thumbprint = text()
		case "typ":
			h.Type, h.HasType = mediaType(text()), true
		case "cty":
			if strings.Contains(mediaType(text()), "jwt") {
				unsupported = ErrHeader // a nested token
			}
		case "crit", "b64", "zip", "enc":
			unsupported = ErrHeader
			fallthrough
		default:
			if _, ok := d.Raw(); !ok {
				err = ErrMalformed
			}
		}
		return err
	})
	switch {
	case err != nil:
		return nil, ErrMalformed
	case unsupported != nil:
		return nil, unsupported
	case h.Algorithm == "":
		return nil, ErrAlgorithm
	}
	return h, nil
}

func mediaType(s string) string { return strings.TrimPrefix(strings.ToLower(s), "application/") }

// Headers remembers parsed headers by their segment. Only headers of verified tokens are kept, and only so many, so a
// stranger can't fill it. The zero value is ready.
type Headers struct {
	known atomic.Pointer[map[string]*Header]
}

const maxKnownHeaders = 256

// Parse is ParseHeader, or what Keep kept.
func (c *Headers) Parse(segment string) (*Header, error) {
	if known := c.known.Load(); known != nil {
		if h, ok := (*known)[segment]; ok {
			return h, nil
		}
	}
	return ParseHeader(segment)
}

// Keep remembers the header of a token whose signature verified.
func (c *Headers) Keep(segment string, h *Header) {
	for {
		old := c.known.Load()
		var next map[string]*Header
		if old == nil {
			next = make(map[string]*Header, 1)
		} else {
			if (*old)[segment] == h || len(*old) >= maxKnownHeaders {
				return
			}
			next = make(map[string]*Header, len(*old)+1)
			for s, have := range *old {
				next[s] = have
			}
		}
		next[strings.Clone(segment)] = h
		if c.known.CompareAndSwap(old, &next) {
			return
		}
	}
}
