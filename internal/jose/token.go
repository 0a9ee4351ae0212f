package jose

import (
	"crypto"
	"crypto/sha256"
	"strings"
	"sync"
)

// Token is a token (a compact JWS) that was split at its two dots, but not verified.
type Token struct {
	text                string
	firstDot, secondDot int // firstDot and secondDot are the indexes of the two dots
}

// Split splits a token into its segments. It returns false if the token does not have exactly three
// segments.
func Split(token string) (Token, bool) {
	first := strings.IndexByte(token, '.')
	if first < 0 {
		return Token{}, false
	}
	second := strings.IndexByte(token[first+1:], '.')
	if second < 0 {
		return Token{}, false
	}
	second += first + 1
	if strings.IndexByte(token[second+1:], '.') >= 0 {
		return Token{}, false
	}
	return Token{token, first, second}, true
}

// LooksLikeJWT reports whether the first segment looks like a JOSE header. If it does not, the
// token is an opaque token that happens to contain two dots.
func (t Token) LooksLikeJWT() bool { return LooksLikeObject(t.Header()) }

// IsJWT reports whether text has three segments and the first segment looks like a JOSE header.
func IsJWT(text string) bool {
	token, ok := Split(text)
	return ok && token.LooksLikeJWT()
}

// LooksLikeObject reports whether text begins like a JSON object in base64url. White space before
// the object is legal (RFC 8259, section 2).
func LooksLikeObject(text string) bool {
	// in most tokens, the first character is "e": in base64url, a text with "{" in front begins
	// with "e"
	if len(text) >= 2 && text[0] == 'e' {
		c := text[1]
		return c >= 'w' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	buffer, bits := 0, 0
	for i := range min(len(text), maxHeader) {
		value, ok := sextet(text[i])
		if !ok {
			return false
		}
		buffer, bits = buffer<<6|value, bits+6
		if bits < 8 {
			continue
		}
		bits -= 8
		switch buffer >> bits {
		case ' ', '\t', '\n', '\r':
			buffer &= 1<<bits - 1
		default:
			return buffer>>bits == '{'
		}
	}
	return false
}

// sextet returns the six bits that a character of base64url encodes.
func sextet(c byte) (value int, ok bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A'), true
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26, true
	case c >= '0' && c <= '9':
		return int(c-'0') + 52, true
	case c == '-':
		return 62, true
	case c == '_':
		return 63, true
	}
	return 0, false
}

// Header returns the first segment of the token, in base64url.
func (t Token) Header() string { return t.text[:t.firstDot] }

// Signed returns the part of the token that is signed: the first two segments with the dot between
// them.
func (t Token) Signed() string { return t.text[:t.secondDot] }

// scratch is memory in which a token is decoded. The memory is used again for other tokens, so that
// a token needs no new memory.
type scratch struct{ input, decoded []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxScratch is the largest size of a buffer that is used again for another token.
const maxScratch = 64 << 10

func (s *scratch) free() {
	if cap(s.input) <= maxScratch {
		scratches.Put(s)
	}
}

// decode decodes base64url. It refuses a text that no encoder would write, for example with unused
// bits that are not zero.
func (s *scratch) decode(segment string) ([]byte, bool) {
	if strings.IndexByte(segment, '\n') >= 0 || strings.IndexByte(segment, '\r') >= 0 {
		return nil, false
	}
	s.input = append(s.input[:0], segment...)
	if n := encoding.DecodedLen(len(segment)); cap(s.decoded) < n {
		s.decoded = make([]byte, n)
	}
	n, err := encoding.Decode(s.decoded[:cap(s.decoded)], s.input)
	if err != nil {
		return nil, false
	}
	return s.decoded[:n], true
}

// Payload decodes the second segment of the token.
func (t Token) Payload() (string, error) {
	payload, ok := decodeText(t.text[t.firstDot+1 : t.secondDot])
	if !ok {
		return "", ErrMalformed
	}
	return payload, nil
}

func decodeText(segment string) (string, bool) {
	s := scratches.Get().(*scratch)
	defer s.free()
	text, ok := s.decode(segment)
	return string(text), ok
}

// Signature returns the third segment of the token, in base64url.
func (t Token) Signature() string { return t.text[t.secondDot+1:] }

// Hashed is a token together with the SHA-256 hash of its signed part. The key of the token in the
// cache depends on this hash. If the signature algorithm uses SHA-256, Verify also needs the hash
// to verify the signature.
type Hashed struct {
	Token
	Sum [sha256.Size]byte // Sum is the SHA-256 hash of Token.Signed
}

// Hash computes the hash of the signed part of the token.
func (t Token) Hash() *Hashed {
	s := scratches.Get().(*scratch)
	defer s.free()
	s.input = append(s.input[:0], t.Signed()...)
	return &Hashed{t, sha256.Sum256(s.input)}
}

// Verify returns the first of the given keys that verifies the signature of the token. The
// parameter algorithm is the alg in the header of the token. Verify skips a key that does not fit
// this algorithm. The error is ErrMalformed if the signature is not base64url, and otherwise
// ErrSignature.
func (t *Hashed) Verify(algorithm string, keys []*Key) (*Key, error) {
	a := algorithms[algorithm]
	if a == nil {
		return nil, ErrSignature
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	signature, ok := s.decode(t.Signature())
	if !ok {
		return nil, ErrMalformed
	}
	in := signedText{sum: &t.Sum}
	// The field t.Sum is the SHA-256 hash of the signed text. An algorithm with SHA-256 needs only
	// this hash. Every algorithm without SHA-256 needs the signed text: it computes another hash,
	// or (EdDSA) verifies the text itself.
	if a.hash != crypto.SHA256 {
		s.input = append(s.input[:0], t.Signed()...)
		in.input = s.input
	}
	for _, k := range keys {
		if k.verify(a, in, signature) {
			return k, nil
		}
	}
	return nil, ErrSignature
}
