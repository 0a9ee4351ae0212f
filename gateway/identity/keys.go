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

// keySetMaxAge is for how long the services that verify assertions may cache the key set.
const keySetMaxAge = 5 * time.Minute

// SetKeys replaces the keys of the assertions: the first key signs, and all public keys are
// published. If SetKeys returns an error, the keys stay as they were. Without [Config.Assertion],
// SetKeys returns an error.
//
// A verifier that caches the key set must know a key before the gateway signs with it. So a
// rotation takes three calls:
//  1. SetKeys with the old key, and the new key after it.
//  2. Five minutes later, when the cached key sets have expired: SetKeys with the new key, and the
//     old key after it.
//  3. When the last assertion with the old key has expired: SetKeys with the new key alone.
//
// If all verifiers fetch the key set when they meet an unknown key, as this library does, no
// waiting is necessary. All instances of a gateway need the same keys: finish each step on all
// instances before the next step. To withdraw a stolen key, call SetKeys without the stolen key
// immediately.
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

// JWKSHandler returns a handler that serves the public keys as a JWK set (RFC 7517), for the
// services behind the gateway. The set contains no secret, and may be cached for five minutes.
// Without [Config.Assertion] the handler answers 404.
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
		_, _ = w.Write(document) // if the method is HEAD, net/http does not send the body
	})
}

// signingKeys are the private keys that sign the assertions, with the key set that contains the
// public keys. SetKeys does not change a value of this type, but replaces it by a new value.
type signingKeys struct {
	signer   *jose.Signer
	document []byte // document is the JWK set
}

// newKeys checks private keys. It returns the keys together with the key set that contains their
// public keys.
func newKeys(private []crypto.Signer) (*signingKeys, error) {
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
	return &signingKeys{signer: first, document: document}, nil
}
