package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"
)

// nonces makes and checks nonces without a memory of the nonces that it made. Time is divided into
// periods of equal length. A nonce consists of the number of a period and a keyed hash of this
// number and of the thumbprint of a key. So a client can't guess a nonce, and a nonce is useless for
// another key.
type nonces struct {
	period time.Duration
	keys   [][]byte // the first key makes nonces
}

const (
	nonceNumber = 8
	nonceHash   = 16
	nonceLength = (nonceNumber + nonceHash) * 4 / 3 // in base64url
)

// deriveNonces returns the nonces of a fleet. A nonce is accepted in its period and in the next one.
func deriveNonces(secrets [][]byte, lifetime time.Duration) *nonces {
	n := &nonces{period: lifetime / 2}
	for _, secret := range secrets {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte("xenaauth dpop nonce 1"))
		n.keys = append(n.keys, h.Sum(nil))
	}
	return n
}

// make returns the nonce of the period that now belongs to, for the key with this thumbprint.
func (n *nonces) make(thumbprint string, now time.Time) string {
	return encodeNonce(n.keys[0], thumbprint, n.numberOf(now))
}

// numberOf returns the number of the period that now belongs to.
func (n *nonces) numberOf(now time.Time) uint64 {
	return uint64(now.UnixMilli()) / uint64(n.period.Milliseconds())
}

func encodeNonce(key []byte, thumbprint string, number uint64) string {
	var b [nonceNumber + sha256.Size]byte
	binary.BigEndian.PutUint64(b[:], number)
	h := hmac.New(sha256.New, key)
	h.Write(b[:nonceNumber])
	h.Write([]byte(thumbprint))
	h.Sum(b[:nonceNumber])
	return base64.RawURLEncoding.EncodeToString(b[:nonceNumber+nonceHash])
}

// check reports whether nonce was made for the key with this thumbprint, in this period or in the
// one before. It also accepts a nonce of the next period, because the clock of the instance that
// made the nonce may be ahead.
func (n *nonces) check(nonce, thumbprint string, now time.Time) bool {
	number, ok := nonceNumberOf(nonce)
	current := n.numberOf(now)
	if !ok || number+1 < current || number > current+1 {
		return false
	}
	return slices.ContainsFunc(n.keys, func(key []byte) bool {
		return hmac.Equal([]byte(encodeNonce(key, thumbprint, number)), []byte(nonce))
	})
}

// isOld reports whether a nonce that was accepted will not be accepted in the next period.
func (n *nonces) isOld(nonce string, now time.Time) bool {
	number, ok := nonceNumberOf(nonce)
	return ok && number < n.numberOf(now)
}

// nonceNumberOf returns the number of the period in a nonce. It does not check the keyed hash.
func nonceNumberOf(nonce string) (number uint64, ok bool) {
	if len(nonce) != nonceLength {
		return 0, false
	}
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != nonceNumber+nonceHash {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}
