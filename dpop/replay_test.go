package dpop_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/replay"
)

// A DPoP proof is accepted once. The second use is refused even at the last moment at which a first
// use would still be accepted. Two clients with different keys may use the same jti.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProof(t, nil)
		k, k2 := newKey(t, "EdDSA"), newKey(t, "EdDSA")
		for _, age := range []time.Duration{-30 * time.Second, 0, 89 * time.Second} {
			jti := "same " + age.String()
			change := object{"jti": jti, "iat": time.Now().Add(-age).Unix()}
			proof := k.proof(nil, change)
			require.NoError(t, p.Confirm(requestWith(proof), accessToken, k.thumbprint()))
			wantRefusal(t, p.Confirm(requestWith(proof), accessToken, k.thumbprint()), xenaauth.ReasonProofReplayed, "jti")
			require.NoError(t, p.Confirm(requestWith(k2.proof(nil, change)), accessToken, k2.thumbprint()))
			// This loop sends the proof again each second, until the proof is too old.
			for {
				time.Sleep(time.Second)
				err := p.Confirm(requestWith(proof), accessToken, k.thumbprint())
				if asRefusal(t, err).Reason == xenaauth.ReasonProof {
					require.ErrorContains(t, err, "iat")
					break
				}
				wantRefusal(t, err, xenaauth.ReasonProofReplayed, "jti")
			}
		}
	})
}

// A DPoP proof that is refused does not count as used: the client can send it again with the right
// request.
func TestRefusedProofIsNotUsedUp(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "ES256")
	proof := k.proof(nil, nil)
	r := requestWith(proof)
	r.Method = http.MethodPost
	require.Error(t, p.Confirm(r, accessToken, k.thumbprint()))
	require.Error(t, p.Confirm(requestWith(proof), "another token", k.thumbprint()))
	forged := proof[:strings.LastIndexByte(proof, '.')+1] + strings.Repeat("A", 86)
	require.Error(t, p.Confirm(requestWith(forged), accessToken, k.thumbprint()))
	require.NoError(t, p.Confirm(requestWith(proof), accessToken, k.thumbprint()))
}

// recordingStore is a replay store that records the arguments of the last call of Use.
type recordingStore struct {
	owner, id string
	until     time.Time
	ctx       context.Context
}

func (s *recordingStore) Use(ctx context.Context, owner, id string, until time.Time) (bool, error) {
	s.ctx, s.owner, s.id, s.until = ctx, owner, id, until
	return true, nil
}

// Confirm passes three values to the replay store: the owner, which is "dpop " and the thumbprint
// of the key, the jti, and the time until which an instance with another clock may accept the
// proof. It also passes the context of the request.
func TestWhatTheStoreGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(recordingStore)
		p := newProof(t, func(c *dpop.Config) { c.Replay, c.Window, c.ClockSkew = s, 40*time.Second, 7*time.Second })
		k := newKey(t, "EdDSA")
		r := requestWith(k.proof(nil, object{"jti": "j", "iat": time.Now().Unix() - 3}))
		require.NoError(t, p.Confirm(r, accessToken, k.thumbprint()))
		require.Equal(t, "dpop "+k.thumbprint(), s.owner)
		require.Equal(t, "j", s.id)
		require.True(t, s.until.Equal(time.Now().Add(-3*time.Second+40*time.Second+21*time.Second)), s.until)
		require.Equal(t, r.Context(), s.ctx)
	})
}

// If the replay store fails, the request is not allowed. The error of Confirm is not an *Error, so
// the response is 503.
func TestStoreFails(t *testing.T) {
	k := newKey(t, "ES256")
	for _, cause := range []error{replay.ErrFull, context.DeadlineExceeded, errors.New("no answer from 10.0.0.7")} {
		p := newProof(t, func(c *dpop.Config) { c.Replay = failingStore{cause} })
		err := p.Confirm(requestWith(k.proof(nil, nil)), accessToken, k.thumbprint())
		require.ErrorIs(t, err, cause)
		require.NotContains(t, err.Error(), "10.0.0.7")
		_, isRefusal := errors.AsType[*xenaauth.Error](err)
		require.False(t, isRefusal)
	}
	// A local replay store returns an error while it is full. It does not forget the proofs that
	// were used, so it still refuses a proof that is sent again.
	p := newProof(t, func(c *dpop.Config) { c.Replay = replay.NewLocal(replay.Options{MaxEntries: 4}) })
	proofs := []string{k.proof(nil, nil)}
	require.NoError(t, p.Confirm(requestWith(proofs[0]), accessToken, k.thumbprint()))
	full := 0
	for range 10 {
		if err := p.Confirm(requestWith(k.proof(nil, nil)), accessToken, k.thumbprint()); err != nil {
			require.ErrorIs(t, err, replay.ErrFull)
			full++
		}
	}
	require.GreaterOrEqual(t, full, 6)
	wantRefusal(t, p.Confirm(requestWith(proofs[0]), accessToken, k.thumbprint()), xenaauth.ReasonProofReplayed, "")
}

// The gateway in front of a service has recorded the proof as used. With ReplayCheckedElsewhere,
// the service accepts this proof, but still refuses it for another token. TestEachMistake and
// TestWindow show that such a service also makes all other checks of a proof.
func TestReplayCheckedElsewhere(t *testing.T) {
	store := replay.NewLocal(replay.Options{})
	gateway := newProof(t, func(c *dpop.Config) { c.Replay = store })
	k := newKey(t, "ES256")
	proof := k.proof(nil, nil)
	require.NoError(t, gateway.Confirm(requestWith(proof), accessToken, k.thumbprint()))
	strict := newProof(t, func(c *dpop.Config) { c.Replay = store })
	wantRefusal(t, strict.Confirm(requestWith(proof), accessToken, k.thumbprint()), xenaauth.ReasonProofReplayed, "")
	behind := newProof(t, func(c *dpop.Config) { c.ReplayCheckedElsewhere = true })
	for range 2 {
		require.NoError(t, behind.Confirm(requestWith(proof), accessToken, k.thumbprint()))
	}
	wantRefusal(t, behind.Confirm(requestWith(proof), "another token", k.thumbprint()), xenaauth.ReasonProof, "ath")
	// A service that has a replay store of its own, and not the store of the gateway, accepts each
	// proof once.
	second := newProof(t, nil)
	require.NoError(t, second.Confirm(requestWith(proof), accessToken, k.thumbprint()))
	require.Error(t, second.Confirm(requestWith(proof), accessToken, k.thumbprint()))
}

// If many requests with one proof arrive at the same time, exactly one is accepted.
func TestSimultaneousUses(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "ES256")
	for i := range 20 {
		proof := k.proof(nil, object{"jti": fmt.Sprint("race ", i)})
		var accepted atomic.Int32
		var wait sync.WaitGroup
		begin := make(chan struct{})
		for range 32 {
			wait.Go(func() {
				<-begin
				if p.Confirm(requestWith(proof), accessToken, k.thumbprint()) == nil {
					accepted.Add(1)
				}
			})
		}
		close(begin)
		wait.Wait()
		require.Equal(t, int32(1), accepted.Load())
	}
}
