package rediscache_test

import (
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	old, next := f.secrets[0], newSecret()
	step := func(secrets ...[]byte) *xenaauth.Validator { f.secrets = secrets; return f.instance() }
	token := f.issuer.Opaque(xenaauthtest.Token{})
	client := f.server.client()
	f.wants(step(old), token, "")
	waitForResponses(t, client, 1)
	f.wants(step(old, next), token, "")
	f.wants(step(next, old), token, "")
	f.asked(1)
	f.wants(step(next), token, "")
	// An instance of the service that has only the new secret can't decrypt the response in Redis,
	// which was encrypted with the old secret. So the instance asks the issuer.
	f.asked(2)
	waitForResponses(t, client, 2)
	f.wants(step(next), token, "")
	f.wants(step(old, next), token, "")
	f.asked(2)
}

// While the operator replaces the secret, an instance of the service may find a response that was
// stored with the old secret. Then it does not call the issuer, and stores no new response. So it
// must not take the lease: an instance that has only the new secret would wait for nothing.
func TestRotationLeavesNoLease(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	old, next := f.secrets[0], newSecret()
	step := func(secrets ...[]byte) *xenaauth.Validator {
		f.secrets = secrets
		return f.over(f.cacheWithWait(time.Hour))
	}
	token := f.issuer.Opaque(xenaauthtest.Token{})
	f.wants(step(old), token, "")
	waitForResponses(t, f.server.client(), 1)
	f.wants(step(next, old), token, "")
	f.asked(1)
	newest := step(next)
	requireReturn(t, func() {
		if got := refusalReason(newest, token); got != "" {
			t.Errorf("refused: %s", got)
		}
	})
	f.asked(2)
}

// Also while the instances of the service have two secrets, only one of them introspects a token.
func TestOneCallForAllDuringARotation(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	f.secrets = append(f.secrets, newSecret())
	f.issuer.Slow(200 * time.Millisecond)
	token := f.issuer.Opaque(xenaauthtest.Token{})
	var wg sync.WaitGroup
	for range 12 {
		v := f.over(f.cacheWithWait(time.Hour))
		wg.Go(func() {
			if got := refusalReason(v, token); got != "" {
				t.Error(got)
			}
		})
	}
	requireReturn(t, wg.Wait)
	f.asked(1)
}
