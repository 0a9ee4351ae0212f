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
	name       []byte      // name makes names of introspection responses in Redis
	used       []byte      // used makes the names of used values in Redis
	value      []byte      // the field value is for keys that encrypt a response
	revocation cipher.AEAD // the field revocation is the cipher that encrypts revocations
	nonce      []byte      // nonce makes the nonces for the encryption of revocations
}

func newKeys(secret []byte) (*keys, error) {
	root, err := hkdf.Extract(sha256.New, secret, []byte("xenaauth rediscache 1"))
	if err != nil {
		return nil, err
	}
	k := new(keys)
	var revocation []byte
	for purpose, key := range map[string]*[]byte{
		"name": &k.name, "value": &k.value, "revocation": &revocation, "nonce": &k.nonce,
		"used": &k.used,
	} {
		if *key, err = hkdf.Expand(sha256.New, root, purpose, 32); err != nil {
			return nil, err
		}
	}
	k.revocation, err = newAEAD(revocation)
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

// nameOf returns the name in Redis for the introspection response of a token. The parameter key is
// the hash of the token. The name has 128 bits of an HMAC, so two tokens never have the same name.
func (k *keys) nameOf(prefix string, key [32]byte) string {
	return prefix + base64.RawURLEncoding.EncodeToString(mac(k.name, string(key[:]))[:16])
}

// keys.entry returns the cipher for the introspection response of one token. The parameter key is
// the hash of the token. The key of the cipher is derived from the secret and from this hash. So an
// attacker who has the secret but not the token or its hash can't decrypt the response.
func (k *keys) entry(key [32]byte) (cipher.AEAD, error) {
	own, err := hkdf.Expand(sha256.New, k.value, string(key[:]), 32)
	if err != nil {
		return nil, err
	}
	return newAEAD(own)
}

// A sealed text consists of a mark, a nonce and the ciphertext. The plaintext is the length of the
// text, the text, and zeros up to a multiple of block bytes, so that the length of the ciphertext
// reveals little. The cipher also authenticates the name in Redis. So no instance can open a value
// that an attacker has copied to another name.
const (
	// sealedMark is the first byte of each sealed text. A later version of this form would have
	// another first byte.
	sealedMark = 1
	// leaseMark begins a value in Redis that stands in place of a response. It means that an
	// instance is introspecting the token now.
	leaseMark = "?"
	// gaveUpMark in place of a response means that no response will come, so no instance should
	// wait for it.
	gaveUpMark = "-"
	block      = 256
	overhead   = 1 + 12 + 16
	maxSealed  = 64 << 10
)

var errUnsealed = errors.New("rediscache: not sealed by a secret of this fleet")

func pad(text []byte) []byte {
	n := (4 + len(text) + block - 1) / block * block
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
	if len(sealed) < overhead+block || len(sealed) > maxSealed || sealed[0] != sealedMark {
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
	a, err := k.entry(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce) // Read of crypto/rand never returns an error
	return seal(a, nonce, name, value), nil
}

func (k *keys) openValue(name string, key [32]byte, sealed []byte) ([]byte, error) {
	a, err := k.entry(key)
	if err != nil {
		return nil, err
	}
	return open(a, name, sealed)
}

// sealRevocation encrypts the JSON of a revocation. Equal revocations have equal results, so that
// Redis stores each revocation only once. The nonce is derived from the text, so two different
// texts have different nonces.
func (k *keys) sealRevocation(name, text string) string {
	return string(seal(k.revocation, mac(k.nonce, name, "\x00", text)[:12], name, []byte(text)))
}

func (k *keys) openRevocation(name, sealed string) (string, error) {
	text, err := open(k.revocation, name, []byte(sealed))
	return string(text), err
}
