package rediscache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// keys are cryptographic keys that are derived from one of the Config.Secrets. Each key has one
// purpose.
type keys struct {
	responseNameKey  []byte      // responseNameKey derives the names of responses in Redis
	useNameKey       []byte      // useNameKey derives the names of used values in Redis
	responseKey      []byte      // responseKey derives the keys that encrypt responses
	revocationCipher cipher.AEAD // revocationCipher encrypts revocations
	nonceKey         []byte      // nonceKey derives the nonces for the encryption of revocations
}

func newKeys(secret []byte) (*keys, error) {
	root, err := hkdf.Extract(sha256.New, secret, []byte("xenaauth rediscache 1"))
	if err != nil {
		return nil, err
	}
	k := new(keys)
	var revocation []byte
	for purpose, key := range map[string]*[]byte{
		"name": &k.responseNameKey, "value": &k.responseKey, "used": &k.useNameKey,
		"revocation": &revocation, "nonce": &k.nonceKey,
	} {
		if *key, err = hkdf.Expand(sha256.New, root, purpose, 32); err != nil {
			return nil, err
		}
	}
	k.revocationCipher, err = newAEAD(revocation)
	return k, err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// responseName returns the name in Redis for the introspection response of a token. tokenHash is a
// hash of the token and of everything else on which the response depends. The name has 128 bits of
// an HMAC, so two tokens never have the same name.
func (k *keys) responseName(prefix string, tokenHash [32]byte) string {
	sum := mac(k.responseNameKey, string(tokenHash[:]))
	return prefix + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// keys.responseCipher returns the cipher for the introspection response of one token. tokenHash is
// the hash of the token. The key of the cipher is derived from the secret and from this hash. An
// attacker who knows the secret, but neither the token nor its hash, can't decrypt the response.
func (k *keys) responseCipher(tokenHash [32]byte) (cipher.AEAD, error) {
	own, err := hkdf.Expand(sha256.New, k.responseKey, string(tokenHash[:]), 32)
	if err != nil {
		return nil, err
	}
	return newAEAD(own)
}

// A sealed text is the form of all encrypted values in Redis. It consists of a mark, a nonce and
// the ciphertext. Before the encryption, the length of the value is written in front of the value,
// and zeros are added behind it. With the zeros, the number of encrypted bytes is a multiple of
// blockSize, so the length of the ciphertext reveals little. The cipher also authenticates the name
// of the value in Redis. So no instance of the service can open a value that an attacker has copied
// to another name.
const (
	// sealedMark is the first byte of each sealed text. A later version of this format would have
	// another first byte.
	sealedMark = 1
	// A value in Redis that begins with leaseMark is a lease. Redis has it in place of the
	// introspection response of a token. It means that an instance of the service is introspecting
	// this token now.
	leaseMark = "?"
	// The value gaveUpMark in place of a response means that no response will come, so no instance
	// of the service should wait for it.
	gaveUpMark = "-"
	blockSize  = 256
	overhead   = 1 + 12 + 16
	maxSealed  = 64 << 10
)

var errUnsealed = errors.New("rediscache: not sealed by a secret of this fleet")

func pad(text []byte) []byte {
	n := (4 + len(text) + blockSize - 1) / blockSize * blockSize
	padded := make([]byte, n)
	binary.BigEndian.PutUint32(padded, uint32(len(text)))
	copy(padded[4:], text)
	return padded
}

func seal(a cipher.AEAD, nonce []byte, name string, text []byte) []byte {
	out := append([]byte{sealedMark}, nonce...)
	return a.Seal(out, nonce, pad(text), []byte(name))
}

func open(a cipher.AEAD, name string, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead+blockSize || len(sealed) > maxSealed || sealed[0] != sealedMark {
		return nil, errUnsealed
	}
	padded, err := a.Open(nil, sealed[1:13], sealed[13:], []byte(name))
	if err != nil || len(padded) < 4 {
		return nil, errUnsealed
	}
	n := binary.BigEndian.Uint32(padded)
	if uint64(n) > uint64(len(padded)-4) {
		return nil, errUnsealed
	}
	return padded[4 : 4+n], nil
}

func (k *keys) sealValue(name string, key [32]byte, value []byte) ([]byte, error) {
	a, err := k.responseCipher(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce) // rand.Read never returns an error: see crypto/rand
	return seal(a, nonce, name, value), nil
}

func (k *keys) openValue(name string, key [32]byte, sealed []byte) ([]byte, error) {
	a, err := k.responseCipher(key)
	if err != nil {
		return nil, err
	}
	return open(a, name, sealed)
}

// sealRevocation encrypts the JSON of a revocation. Equal revocations have equal results, so that
// Redis stores each revocation only once. The nonce is derived from the text, so two different
// texts have different nonces.
func (k *keys) sealRevocation(name, text string) string {
	nonce := mac(k.nonceKey, name, "\x00", text)[:12]
	return string(seal(k.revocationCipher, nonce, name, []byte(text)))
}

func (k *keys) openRevocation(name, sealed string) (string, error) {
	text, err := open(k.revocationCipher, name, []byte(sealed))
	return string(text), err
}
