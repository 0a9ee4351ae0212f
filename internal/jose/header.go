// Package jose parses compact JWS tokens and verifies them with the keys of a JWK set. It is the
// only package that imports jwx. The package uses jwx only to build a public key from the modulus,
// the exponent and the coordinates in a JWK. It decides itself what a token, a header and a key set
// may contain.
package jose

import (
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// These errors say why the header or the signature of a token can't be used.
var (
	ErrMalformed = errors.New("not a JWS in compact form")
	ErrHeader    = errors.New("header requires an extension that is not supported")
	ErrAlgorithm = errors.New("algorithm is not allowed")
	ErrSignature = errors.New("signature does not verify")
	ErrTries     = errors.New("too many keys fit the token")
)

// Header contains the members of a JOSE header that this package uses. It ignores the members jku,
// jwk, x5u and x5c, because a key that the token itself brings or names proves nothing (RFC 8725,
// section 3.10).
type Header struct {
	Algorithm  string
	KeyID      string // KeyID is the member kid; "" if there is none
	Thumbprint string // Thumbprint is the member x5t, or "" if there is none
	Type       string // Type is the member typ in lower case, without the prefix application/
	HasType    bool
}

const (
	// maxHeader is the largest length of a header in base64url; a header may contain a certificate
	// chain
	maxHeader = 8 << 10
	maxKeyID  = 512
)

// encoding is base64url without padding. Its decoder refuses a text whose last, unused bits are not
// zero. The decoder ignores line breaks, so a caller must first refuse a text that contains line
// breaks.
var encoding = base64.RawURLEncoding.Strict()

func decodeString(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrMalformed
	}
	return encoding.DecodeString(s)
}

var headerNames = claims.NewNames("alg", "kid", "typ", "cty", "crit", "b64", "zip", "enc", "x5t", "jku", "jwk", "x5u", "x5c")

// ParseHeader parses the first segment of a token, which contains the JOSE header. The error is
// ErrMalformed if the segment is not a header, ErrAlgorithm if alg is missing or not a string (an
// empty alg is ErrMalformed), and ErrHeader if the header requires an extension, compression or
// encryption.
func ParseHeader(segment string) (*Header, error) {
	var r headerReader
	if !r.openHeader(segment) {
		return nil, ErrMalformed
	}
	defer r.memberReader.Close()
	h := new(Header)
	for name, more := r.memberReader.Next(); more; name, more = r.memberReader.Next() {
		ok := true
		switch name {
		case "alg":
			if h.Algorithm, ok = r.memberReader.String(); !ok {
				_, ok = r.memberReader.Raw() // an alg that is not a string counts as a missing alg
			} else {
				ok = h.Algorithm != ""
			}
		case "kid":
			h.KeyID, ok = readWord(&r.memberReader)
		case "x5t":
			h.Thumbprint, ok = readWord(&r.memberReader)
		case "typ":
			h.Type, ok = readWord(&r.memberReader)
			h.Type, h.HasType = mediaType(h.Type), true
		case "cty":
			var content string
			content, ok = readWord(&r.memberReader)
			if strings.Contains(mediaType(content), "jwt") {
				// the member cty means that the token contains another token, which is not
				// supported
				r.hasUnsupported = true
			}
		default:
			ok = r.skipValue(name)
		}
		if !ok {
			return nil, ErrMalformed
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	if h.Algorithm == "" {
		return nil, ErrAlgorithm
	}
	return h, nil
}

// headerReader reads the members of a JOSE header. It also records whether the header requires
// something that this package does not support: an extension, compression or encryption.
type headerReader struct {
	memberReader   claims.Members
	hasUnsupported bool // the header requires an extension, compression or encryption
}

// headerReader.openHeader decodes the first segment of a token. After that, the caller can read the
// members of the header with memberReader. openHeader returns false if the segment is too long or
// is not base64url. If it returns true, the caller must later call memberReader.Close.
func (r *headerReader) openHeader(segment string) bool {
	if len(segment) > maxHeader {
		return false
	}
	raw, ok := decodeText(segment)
	if ok {
		r.memberReader.Registered = headerNames
		r.memberReader.Open(raw)
	}
	return ok
}

// headerReader.skipValue skips the value of a member that the caller does not use. It reports
// whether the value is strict JSON.
func (r *headerReader) skipValue(name string) bool {
	switch name {
	case "crit", "b64", "zip", "enc":
		r.hasUnsupported = true
	}
	_, ok := r.memberReader.Raw()
	return ok
}

// headerReader.err returns ErrMalformed if the header is not strict JSON. It returns ErrHeader if
// the header requires an extension, compression or encryption. The caller must have read all
// members.
func (r *headerReader) err() error {
	switch {
	case r.memberReader.Err() != nil:
		return ErrMalformed
	case r.hasUnsupported:
		return ErrHeader
	}
	return nil
}

// readWord reads the value of a member of a JOSE header. ok is false if the value is not a string,
// is empty or is too long.
func readWord(m *claims.Members) (s string, ok bool) {
	s, ok = m.String()
	return s, ok && s != "" && len(s) <= maxKeyID
}

func mediaType(s string) string { return strings.TrimPrefix(strings.ToLower(s), "application/") }

// Headers is a table of parsed JOSE headers, with a limited size. The key is the encoded first
// segment of a token. The table contains only headers of verified tokens, so strangers can't fill
// the table. The zero value is ready to use.
type Headers struct {
	known atomic.Pointer[map[string]*Header]
}

const maxKnownHeaders = 256

// Get returns the parsed header of an encoded segment, or nil if the table does not contain the
// segment. full reports whether the table is full. A full table stores no further headers. So if
// full is true, the result may be nil even though a token with this header was verified.
func (c *Headers) Get(segment string) (h *Header, full bool) {
	known := c.known.Load()
	if known == nil {
		return nil, false
	}
	return (*known)[segment], len(*known) >= maxKnownHeaders
}

// Keep stores the parsed header of a verified token, so that later tokens with the same header need
// no parsing. The parameter segment is the first segment of the token, which encodes the header.
// Keep does nothing if the table of headers is full or already contains this segment.
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
