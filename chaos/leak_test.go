package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"go.uber.org/goleak"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// useValidator uses a validator in many ways, so that it starts goroutines and fills its caches.
func useValidator(t *testing.T, issuer *xenaauthtest.Issuer, v *xenaauth.Validator) {
	t.Helper()
	a := &api{t: t, validator: v, handler: xenaauth.NewMiddleware(v, nil).Require(xenaauth.AnyUser())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	ask := func(token, want string) {
		t.Helper()
		if got := a.serve(t.Context(), token); got.String() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	ask(issuer.JWT(xenaauthtest.Token{}), "200")
	opaque := issuer.Opaque(xenaauthtest.Token{})
	ask(opaque, "200")
	ask("0123456789", "401 inactive")
	issuer.Rotate()
	ask(issuer.JWT(xenaauthtest.Token{}), "200")
	if err := v.Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(opaque)}); err != nil {
		t.Error(err)
	}
	ask(opaque, "401 revoked")
	issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Delay: 300 * time.Millisecond})
	// The clients cancel their requests immediately, while the validator is still fetching
	// documents and making introspection calls.
	for n := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		a.serve(ctx, issuer.Opaque(xenaauthtest.Token{}))
		a.serve(ctx, issuer.JWT(xenaauthtest.Token{Header: map[string]any{"kid": fmt.Sprint(n)}}))
		cancel()
	}
	issuer.Down()
	ask(issuer.Opaque(xenaauthtest.Token{}), "503, Retry-After: 1")
	issuer.Heal()
	v.StatusHandler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}

// A validator needs no method Close: when its last fetch has ended, it has no running goroutine.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for range 4 {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
		cfg := issuer.HybridConfig()
		cfg.Logger = slog.New(slog.DiscardHandler)
		v, err := xenaauth.NewValidator(cfg)
		if err != nil {
			t.Fatal(err)
		}
		useValidator(t, issuer, v)
	}
	// A fetch of the key set that is already planned begins within a second. How long the fetch
	// takes depends on the issuer. So the test repeats its search for running goroutines until that
	// fetch has ended.
	var err error
	for start := time.Now(); time.Since(start) < 5*time.Second; {
		if err = goleak.Find(before); err == nil {
			return
		}
	}
	t.Error(err)
}

// A validator with real connections to the issuer leaves only idle connections. When these
// connections are closed, no goroutine of the validator is left.
func TestNoConnectionIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	transport := new(http.Transport)
	cfg := issuer.HybridConfig()
	cfg.HTTPClient = &http.Client{Transport: transport}
	cfg.Logger = slog.New(slog.DiscardHandler)
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	useValidator(t, issuer, v)
	for start := time.Now(); time.Since(start) < 5*time.Second; {
		transport.CloseIdleConnections()
		if err = goleak.Find(before, goleak.IgnoreAnyFunction("net/http.(*Server).Serve")); err == nil {
			break
		}
	}
	issuer.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// If an application drops its last reference to a validator, the garbage collector frees the
// validator. This includes its caches, the users in them, and the values that its configuration
// refers to.
func TestDroppedValidatorIsCollected(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	var gone atomic.Int32
	validator, user := func() (weak.Pointer[xenaauth.Validator], weak.Pointer[xenaauth.User]) {
		cfg := issuer.HybridConfig()
		cfg.Logger = slog.New(slog.DiscardHandler)
		// The function Subject of the configuration refers to heldMemory. So the garbage collector
		// frees heldMemory only if nothing refers to the configuration any more.
		heldMemory := new([1 << 20]byte)
		runtime.AddCleanup(heldMemory, func(n int32) { gone.Add(n) }, 1)
		cfg.Subject = func(context.Context, *xenaauth.User) (string, error) { return fmt.Sprint(heldMemory[0]), nil }
		v, err := xenaauth.NewValidator(cfg)
		if err != nil {
			t.Fatal(err)
		}
		useValidator(t, issuer, v)
		u, err := v.Validate(t.Context(), issuer.JWT(xenaauthtest.Token{}))
		for start := time.Now(); err != nil && time.Since(start) < recoveryLimit; {
			u, err = v.Validate(t.Context(), issuer.JWT(xenaauthtest.Token{}))
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := v.Status().Tokens.Entries; n == 0 {
			t.Error("nothing is cached")
		}
		return weak.Make(v), weak.Make(u)
	}()
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if validator.Value() == nil && user.Value() == nil && gone.Load() == 1 {
			t.Logf("collected after %v", time.Since(start))
			return
		}
	}
	t.Errorf("not collected: validator %t, user in its cache %t, configuration %t",
		validator.Value() != nil, user.Value() != nil, gone.Load() == 0)
}
