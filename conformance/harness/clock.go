package harness

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// WithIssuer runs the test f in fake time, with an issuer and an API that accepts the tokens of
// this issuer. The test may make the issuer fail.
func WithIssuer(t *testing.T, f func(t *testing.T, issuer *xenaauthtest.Issuer, a *API)) {
	t.Helper()
	FakeTime(t, func(t *testing.T) {
		issuer := NewIssuer()
		f(t, issuer, Mount(t, issuer.HybridConfig()))
		// fetches of keys that are still running must end before the synctest bubble ends
		time.Sleep(time.Minute)
	})
}

// FakeTime runs the test f in a synctest bubble, and then waits for fetches of keys or metadata
// that are still running. Without this wait, a test that failed would leave goroutines in the
// bubble, and synctest would end the process.
func FakeTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		f(t)
	})
}
