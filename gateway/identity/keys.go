package identity

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// keySetMaxAge is how long verifiers may cache the key set.
const keySetMaxAge = 5 * time.Minute

// SetKeys replaces the keys of assertions: the first key signs, all are published. If it returns an
// error, it changes nothing. Without [Config.Assertion] it returns an error.
//
// Verifiers that cache the key set must know a key before it signs. So a rotation takes three
// calls:
//  1. The new key behind the old one.
//  2. Five minutes later, when the cached key sets have expired: the new key before the old one.
//  3. When the last assertion of the old key has expired: the new key alone.
//
// A verifier that fetches the key set when it meets an unknown key, like this library, needs no
// waiting. All instances of a gateway need the same keys: finish each step on all instances before
// the next step. To withdraw a stolen key, leave it out at once.
func (i *Identity) SetKeys(signers []crypto.Signer) error {
	if i.assertion == nil {
		return errors.New("identity: SetKeys without Config.Assertion")
	}
	set, err := newKeys(signers)
	if err != nil {
		return fmt.Errorf("identity: keys: %w", err)
	}
	i.assertion.keys.Store(set)
	return nil
}

// JWKSHandler serves the public keys as a JWK set (RFC 7517), which may be cached for five minutes.
// It is for the services behind the gateway. Nothing in it is secret. Without [Config.Assertion] it
// answers 404.
func (i *Identity) JWKSHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case i.assertion == nil:
			http.NotFound(w, r)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		document := i.assertion.keys.Load().document
		h := w.Header()
		h.Set("Content-Type", "application/jwk-set+json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(keySetMaxAge/time.Second)))
		h.Set("Content-Length", strconv.Itoa(len(document)))
		_, _ = w.Write(document) // net/http sends no body to HEAD
	})
}

// keys are the keys of assertions. They don't change: SetKeys replaces them.
type keys struct {
	signer   *jose.Signer
	document []byte // the JWK set
}

// newKeys returns the keys of a configuration.
func newKeys(private []crypto.Signer) (*keys, error) {
	if len(private) == 0 {
		return nil, errors.New("no keys")
	}
	var first *jose.Signer
	published := make([]jose.JWK, 0, len(private))
	known := make(map[string]bool)
	for n, key := range private {
		signer, err := jose.NewSigner(key, "at+jwt")
		if err != nil {
			return nil, fmt.Errorf("key %d %w", n+1, err)
		}
		public := signer.Public()
		if known[public.ID] {
			return nil, fmt.Errorf("key %d is a repetition", n+1)
		}
		known[public.ID] = true
		published = append(published, public)
		if first == nil {
			first = signer
		}
	}
	document, err := json.Marshal(map[string]any{"keys": published})
	if err != nil {
		return nil, err
	}
	return &keys{signer: first, document: document}, nil
}
