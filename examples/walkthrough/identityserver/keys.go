package identityserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/crypto"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// keyRing contains the signing keys of the server, the newest key first. All of these keys are
// published. The newest key signs new tokens.
type keyRing struct {
	mu   sync.Mutex
	keys []signingKey
}

// maxKeys is how many signing keys the server keeps and publishes. After the server has changed to
// a new key, the API must still accept tokens that an earlier key has signed.
const maxKeys = 20

// keyRing.addKey adds a new signing key. From then on, the new key signs the tokens.
func (k *keyRing) addKey() error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append([]signingKey{{rand.Text(), private}}, k.keys...)
	k.keys = k.keys[:min(len(k.keys), maxKeys)]
	return nil
}

func (k *keyRing) publishedKeys() []signingKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

// SigningKey and the two methods below it are methods of the interface [op.Storage].
func (k *keyRing) SigningKey(context.Context) (op.SigningKey, error) {
	return k.publishedKeys()[0], nil
}
func (k *keyRing) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}
func (k *keyRing) KeySet(context.Context) (set []op.Key, err error) {
	for _, key := range k.publishedKeys() {
		set = append(set, publicKey{key})
	}
	return set, nil
}

// A signingKey is a private key of the server. It implements [op.SigningKey].
type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) Key() any                                    { return k.private }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// A publicKey is a public key of the server. It implements [op.Key].
type publicKey struct{ signingKey }

func (k publicKey) Key() any                           { return &k.private.PublicKey }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }

// keyRing.signJWT returns a JWT with the given claims, signed with the newest key of the server.
func (k *keyRing) signJWT(claims any) (string, error) {
	signer, err := op.SignerFromKey(k.publishedKeys()[0])
	if err != nil {
		return "", err
	}
	return crypto.Sign(claims, signer)
}

// keyRing.readJWT verifies a JWT with the published keys of the server and returns its claims.
func (k *keyRing) readJWT(token string) (claims map[string]any, err error) {
	jws, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, errors.New("not a JWT")
	}
	for _, key := range k.publishedKeys() {
		if payload, err := jws.Verify(&key.private.PublicKey); err == nil {
			return claims, json.Unmarshal(payload, &claims)
		}
	}
	return nil, errors.New("not a JWT of this server")
}
