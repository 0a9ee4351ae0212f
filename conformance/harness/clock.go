package harness

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// WithIssuer runs a test in fake time. The test gets an issuer and an API that accepts the tokens
// of this issuer. The test may make the issuer fail.
func WithIssuer(t *testing.T, f func(t *testing.T, issuer *xenaauthtest.Issuer, a *API)) {
	t.Helper()
	FakeTime(t, func(t *testing.T) {
		issuer := NewIssuer()
		f(t, issuer, Mount(t, issuer.HybridConfig()))
		// fetches that are still running must end before the synctest bubble ends
		time.Sleep(time.Minute)
	})
}

// FakeTime runs a test in a synctest bubble and then waits for fetches that are still running.
// Without the wait, a failed test would leave goroutines in the bubble, and synctest would end the
// process.
func FakeTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		f(t)
	})
}
