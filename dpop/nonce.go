package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"
)

// nonceMaker makes nonces and checks them. It does not store nonces. Time is divided into periods
// of equal length. A nonce contains the number of the period in which it was made, and a keyed hash
// of this number and of the thumbprint of the client's key. So a client can't guess a nonce, and
// the nonce of one client is useless to a client with another key.
type nonceMaker struct {
	period time.Duration
	// keys are the keys for the hash in a nonce. New nonces are made with the first key, and nonces
	// that were made with any of the keys are accepted.
	keys [][]byte
}

const (
	nonceNumber = 8
	nonceHash   = 16
	nonceLength = (nonceNumber + nonceHash) * 4 / 3 // nonceLength is the length of a nonce in base64url
)

// newNonceMaker returns a nonceMaker. It derives each key from a secret alone, so instances with
// the same secrets accept the nonces of each other. A nonce is accepted in the period in which it
// was made and in the next period. The parameter lifetime is the length of two periods.
func newNonceMaker(secrets [][]byte, lifetime time.Duration) *nonceMaker {
	n := &nonceMaker{period: lifetime / 2}
	for _, secret := range secrets {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte("xenaauth dpop nonce 1"))
		n.keys = append(n.keys, h.Sum(nil))
	}
	return n
}

// nonceMaker.newNonce returns a nonce for the client whose key has the given thumbprint. The nonce
// contains the number of the period that contains the time now.
func (n *nonceMaker) newNonce(thumbprint string, now time.Time) string {
	return encodeNonce(n.keys[0], thumbprint, n.currentPeriod(now))
}

// nonceMaker.currentPeriod returns the number of the period that contains the time now. Each nonce
// contains the number of the period in which it was made: see nonceMaker.
func (n *nonceMaker) currentPeriod(now time.Time) uint64 {
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

// nonceMaker.check reports whether a nonce was made for the client whose key has the given
// thumbprint, in the current period or in the period before. It also accepts a nonce of the next
// period, because the clock of the instance that made the nonce may be ahead.
func (n *nonceMaker) check(nonce, thumbprint string, now time.Time) bool {
	number, ok := periodOfNonce(nonce)
	current := n.currentPeriod(now)
	if !ok || number+1 < current || number > current+1 {
		return false
	}
	return slices.ContainsFunc(n.keys, func(key []byte) bool {
		return hmac.Equal([]byte(encodeNonce(key, thumbprint, number)), []byte(nonce))
	})
}

// nonceMaker.isOld reports whether an accepted nonce was made in an earlier period. Such a nonce
// will be refused in the next period, so the client needs a new nonce.
func (n *nonceMaker) isOld(nonce string, now time.Time) bool {
	number, ok := periodOfNonce(nonce)
	return ok && number < n.currentPeriod(now)
}

// periodOfNonce returns the number of the period in which a nonce was made. The nonce contains this
// number. periodOfNonce does not check the keyed hash in the nonce.
func periodOfNonce(nonce string) (number uint64, ok bool) {
	if len(nonce) != nonceLength {
		return 0, false
	}
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != nonceNumber+nonceHash {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}
