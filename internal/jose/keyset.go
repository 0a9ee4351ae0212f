package jose

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// KeySet contains the usable keys of a JWK set.
type KeySet struct {
	keys         group
	byID         map[string]*group
	byX5t        map[string]*group
	fingerprints map[[32]byte]struct{}
	// Sum is the SHA-256 hash of the JSON text of the key set.
	Sum [sha256.Size]byte
	// Skipped contains the reasons why unusable keys of the set were skipped: one text for each
	// such key, but at most 8 texts.
	Skipped []string

	mu     sync.Mutex
	absent map[keyName]struct{}
}

const (
	maxKeys      = 1000
	maxAbsent    = 1024
	maxSkipNotes = 8
)

var setNames = claims.NewNames("keys")

// ParseKeySet parses a JWK set (RFC 7517, section 5). It skips unusable keys. A set that has no
// usable key, or more than 1000 keys, is an error. A text that is not strict JSON is an error too,
// but a key with a repeated member name is only skipped.
func ParseKeySet(text string) (*KeySet, error) {
	s := &KeySet{byID: make(map[string]*group), byX5t: make(map[string]*group), fingerprints: make(map[[32]byte]struct{})}
	s.Sum = sha256.Sum256([]byte(text))
	n, found := 0, false
	err := claims.Object(text, setNames, func(name string, d *claims.Decoder) error {
		if name != "keys" {
			_, ok := d.Raw()
			return syntax(ok)
		}
		found = true
		return d.Elements(func(d *claims.Decoder) error {
			raw, ok := d.Lax()
			if n++; n > maxKeys {
				return fmt.Errorf("more than %d keys", maxKeys)
			}
			if ok {
				s.add(n, raw)
			}
			return syntax(ok)
		})
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, errors.New("no key set: member \"keys\" is missing")
	case s.Len() == 0:
		return nil, errors.New("no usable key in the set")
	}
	return s, nil
}

func syntax(ok bool) error {
	if ok {
		return nil
	}
	return claims.ErrSyntax
}

func (s *KeySet) add(n int, raw string) {
	k, err := parseKey(raw)
	if err != nil {
		if len(s.Skipped) < maxSkipNotes {
			s.Skipped = append(s.Skipped, fmt.Sprintf("key %d: %v", n, err))
		}
		return
	}
	if _, twice := s.fingerprints[k.fingerprint]; twice {
		return
	}
	s.fingerprints[k.fingerprint] = struct{}{}
	s.keys.add(k)
	addTo(s.byID, k.id, k)
	addTo(s.byX5t, k.x5t, k)
}

func addTo(groups map[string]*group, name string, k *Key) {
	if name == "" {
		return
	}
	if groups[name] == nil {
		groups[name] = new(group)
	}
	groups[name].add(k)
}

// Len returns the number of usable keys in the key set.
func (s *KeySet) Len() int { return len(s.keys.all()) }

// Hash returns a short hash of the usable keys, in hexadecimal digits. It depends on the public
// key, the kid, the x5t and the algorithm of each key. It does not depend on the order of the keys.
func (s *KeySet) Hash() string {
	var hash [6]byte
	for fingerprint := range s.fingerprints {
		for i := range hash {
			hash[i] ^= fingerprint[i]
		}
	}
	return hex.EncodeToString(hash[:])
}

// Contains reports whether the set contains a key that equals k: with the same public key, kid, x5t
// and algorithm.
func (s *KeySet) Contains(k *Key) bool {
	_, ok := s.fingerprints[k.fingerprint]
	return ok
}

// Find returns the keys of the set that may have signed a token with the header h. If h has a kid,
// Find returns the keys with this kid. If no key has this kid, Find returns the keys with the
// certificate thumbprint in h, because some identity servers rename their keys. If h has neither a
// kid nor a thumbprint, Find returns all keys. In each case, it leaves out the keys that do not fit
// the algorithm of h. If no key is left, the first result is nil and the second result is true. The
// second result is false if h names a key that this set does not contain; a newer key set may
// contain it.
func (s *KeySet) Find(h *Header) (keys []*Key, known bool) {
	a := algorithms[h.Algorithm]
	if a == nil {
		return nil, true
	}
	g := s.keysNamedBy(h)
	if g == nil {
		return nil, false
	}
	candidates := g.all()
	if len(candidates) == 1 && candidates[0].fits(a) {
		return candidates, true
	}
	for _, k := range candidates {
		if k.fits(a) {
			keys = append(keys, k)
		}
	}
	return keys, true
}

// KeySet.keysNamedBy returns the keys with the kid of the header h. If no key has this kid, it
// returns the keys with the certificate thumbprint in h, or nil if there are none. If h has neither
// a kid nor a thumbprint, it returns all keys. It does not look at the algorithm.
func (s *KeySet) keysNamedBy(h *Header) *group {
	if h.KeyID == "" && h.Thumbprint == "" {
		return &s.keys
	}
	if g := s.byID[h.KeyID]; g != nil {
		return g
	}
	return s.byX5t[h.Thumbprint]
}

// MarkAbsent records that the issuer's newest key set does not contain the key that the header h
// names. If 1024 names are recorded already, it forgets them first.
func (s *KeySet) MarkAbsent(h *Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.absent == nil || len(s.absent) >= maxAbsent {
		s.absent = make(map[keyName]struct{})
	}
	s.absent[keyName{strings.Clone(h.KeyID), strings.Clone(h.Thumbprint)}] = struct{}{}
}

// Absent reports whether MarkAbsent has recorded the key that the header h names. It returns false
// if a later call of MarkAbsent has removed the record.
func (s *KeySet) Absent(h *Header) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.absent[keyName{h.KeyID, h.Thumbprint}]
	return ok
}

// keyName contains the kid and the certificate thumbprint in the header of a token. These two
// values name the key that has signed the token.
type keyName struct{ id, thumbprint string }
