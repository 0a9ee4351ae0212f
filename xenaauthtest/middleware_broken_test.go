package xenaauthtest_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// brokenEnv is the name of an environment variable. If it is set, TestBroken runs TestMiddleware
// with guards that have a mistake.
const brokenEnv = "XENAAUTHTEST_BROKEN"

// guardFunc makes a guard for TestBroken. The guard may have a mistake on purpose. It passes
// allowed requests to nextHandler. For the guard of a route, nextHandler is the handler of the
// route. For the guard of a group of routes, nextHandler is the guard of a route.
type guardFunc func(m *xenaauth.Middleware, rs []xenaauth.Requirement, nextHandler http.Handler) http.Handler

// newGuard returns a guard that calls Middleware.Check. The guard is correct except for the two
// functions in the arguments. If the request may pass, the guard calls onAllowed. If the request is
// refused, the guard writes the response and then calls onRefused. If onAllowed is nil, the guard
// passes the request to nextHandler, and does not call Challenge before.
func newGuard(
	onAllowed func(w http.ResponseWriter, original, allowed *http.Request, nextHandler http.Handler),
	onRefused func(w http.ResponseWriter, r *http.Request, nextHandler http.Handler),
) guardFunc {
	return func(m *xenaauth.Middleware, rs []xenaauth.Requirement, nextHandler http.Handler) http.Handler {
		if rs == nil {
			m.Optional(nextHandler)
		} else {
			m.Require(rs...)
		}
		rs = append([]xenaauth.Requirement(nil), rs...)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hasDecision := false
			defer func() {
				if !hasDecision {
					w.WriteHeader(m.Challenge(w.Header(), nil, errors.New("panicked")))
				}
			}()
			check := m.CheckOptional
			if len(rs) > 0 {
				check = m.Check
			}
			allowed, err := check(r, rs...)
			if err != nil {
				hasDecision = true
				m.Deny(w, r, err)
				onRefused(w, r, nextHandler)
				return
			}
			if onAllowed == nil {
				hasDecision = true
				nextHandler.ServeHTTP(w, allowed)
				return
			}
			m.Challenge(w.Header(), allowed, nil)
			hasDecision = true
			onAllowed(w, r, allowed, nextHandler)
		})
	}
}

// newChangingGuard returns a guard with one mistake: it copies the request, calls change with the
// copy, and checks the copy instead of the request.
func newChangingGuard(change func(*http.Request)) guardFunc {
	return func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		guarded := m.Require(rs...)(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			changed := *r
			change(&changed)
			guarded.ServeHTTP(w, &changed)
		})
	}
}

func passOn(w http.ResponseWriter, _, allowed *http.Request, next http.Handler) {
	next.ServeHTTP(w, allowed)
}

func stop(http.ResponseWriter, *http.Request, http.Handler) {}

// brokenGuards are guards with a typical mistake of an adapter. For each guard, failingTest is the
// name of the test of TestMiddleware that must find the mistake.
var brokenGuards = map[string]struct {
	guard       guardFunc
	failingTest string
}{
	"no guard": {func(_ *xenaauth.Middleware, _ []xenaauth.Requirement, next http.Handler) http.Handler {
		return next
	}, "refusals/no_token"},
	"goes on after a refusal": {newGuard(passOn, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
	}), "refusals/expired"},
	"loses the user": {newGuard(func(w http.ResponseWriter, original, _ *http.Request, next http.Handler) {
		next.ServeHTTP(w, original)
	}, stop), "requirements/AnyUser,_any_token"},
	"loses the cancellation": {newGuard(func(w http.ResponseWriter, _, allowed *http.Request, next http.Handler) {
		next.ServeHTTP(w, allowed.WithContext(context.WithoutCancel(allowed.Context())))
	}, stop), "conduct/cancellation"},
	"loses the context": {newGuard(func(w http.ResponseWriter, _, allowed *http.Request, next http.Handler) {
		user, _ := xenaauth.UserFromContext(allowed.Context())
		next.ServeHTTP(w, allowed.WithContext(xenaauth.ContextWithUser(context.Background(), user)))
	}, stop), "refusals/nothing_of_that_lasts"},
	"hides the writer": {newGuard(func(w http.ResponseWriter, _, allowed *http.Request, next http.Handler) {
		next.ServeHTTP(struct{ http.ResponseWriter }{w}, allowed)
	}, stop), "conduct/streaming"},
	"answers twice": {newGuard(passOn, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		_, _ = w.Write([]byte(`{"message":"Unauthorized"}`))
	}), "options/ErrorBody,_no_scope"},
	"validates again": {newGuard(func(w http.ResponseWriter, _, allowed *http.Request, next http.Handler) {
		user, _ := xenaauth.UserFromContext(allowed.Context())
		next.ServeHTTP(w, allowed.WithContext(xenaauth.ContextWithUser(allowed.Context(), user)))
	}, stop), "users/nested,_validated_once"},
	"forgets Vary":                 {newGuard(nil, stop), "users/planted_user,_Optional"},
	"forgets the fields of proofs": {newGuard(nil, stop), "DPoP/nonces"},
	"recovers": {newGuard(func(w http.ResponseWriter, _, allowed *http.Request, next http.Handler) {
		defer func() { _ = recover() }()
		next.ServeHTTP(w, allowed)
	}, stop), "conduct/panicking_handler"},
	"trusts who is planted": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		guarded := m.Require(rs...)(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := xenaauth.UserFromContext(r.Context()); ok {
				next.ServeHTTP(w, r)
				return
			}
			guarded.ServeHTTP(w, r)
		})
	}, "users/planted_user,_no_token"},
	"answers outages as refusals": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		guarded := m.Require(rs...)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			allowed, err := m.Check(r, rs...)
			if err == nil {
				next.ServeHTTP(w, allowed)
				return
			}
			if err.(*xenaauth.Error).Reason == xenaauth.ReasonUnavailable {
				err = &xenaauth.Error{Reason: xenaauth.ReasonInactive}
			}
			m.Deny(w, r, err)
			_ = guarded
		})
	}, "refusals/an_error_of_the_validator's_own"},
	"leaves a panic to others": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			allowed, err := m.Check(r, rs...)
			if err != nil {
				m.Deny(w, r, err)
				return
			}
			next.ServeHTTP(w, allowed)
		})
	}, "panicking_check/policy_of_a_route"},
	"decides before the proofs": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			allowed, err := m.Check(r, rs...)
			if err != nil {
				m.Deny(w, r, err)
				return
			}
			// Challenge may panic, and middleware around the guard may recover from the panic. Then
			// the status of the response is 200, because this guard has no deferred function that
			// sets another status.
			m.Challenge(w.Header(), allowed, nil)
			next.ServeHTTP(w, allowed)
		})
	}, "panicking_proof/bound,_with_the_key"},
	"loses the certificate": {newChangingGuard(func(r *http.Request) { r.TLS = nil }), "mTLS/accepted,_the_certificate"},
	"changes the target": {newChangingGuard(func(r *http.Request) {
		r.RequestURI = "/"
	}), "DPoP/accepted,_a_proof,_nested_guards"},
	"checks POST as GET": {newChangingGuard(func(r *http.Request) {
		r.Method = http.MethodGet
	}), "DPoP/accepted,_a_proof,_another_method"},
	"ignores a second proof": {newChangingGuard(func(r *http.Request) {
		r.Header = r.Header.Clone()
		r.Header.Set("DPoP", r.Header.Get("DPoP"))
	}), "DPoP/accepted,_two_proofs"},
	"checks twice": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		guarded := m.Require(rs...)(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// This call of Check uses up the proof, and the guard ignores the result. So the second
			// check of the same request finds that the proof was used before.
			_, _ = m.Check(r, rs...)
			guarded.ServeHTTP(w, r)
		})
	}, "DPoP/accepted,_a_proof"},
	"sends one challenge": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		m.Require(rs...)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			allowed, err := m.Check(r, rs...)
			if err != nil {
				status := m.Challenge(w.Header(), r, err)
				w.Header().Set("WWW-Authenticate", w.Header().Get("WWW-Authenticate"))
				w.WriteHeader(status)
				return
			}
			next.ServeHTTP(w, allowed)
		})
	}, "DPoP/accepted,_no_token"},
	"loses the path values": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		guarded := m.Require(rs...)(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			bare, _ := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
			bare.Header = r.Header
			guarded.ServeHTTP(w, bare)
		})
	}, "path_values/policy_that_refuses_one_value"},
	"is wired late": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.Require(rs...)(next).ServeHTTP(w, r) })
	}, "wiring/a_zero_Requirement"},
	"keeps the caller's slice": {func(m *xenaauth.Middleware, rs []xenaauth.Requirement, next http.Handler) http.Handler {
		m.Require(rs...)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.Require(rs...)(next).ServeHTTP(w, r) })
	}, "wiring/requirements_are_copied"},
}

// mountBroken returns a function that registers routes with a broken guard. If guardsOptional is
// false, routes whose token is optional get a correct guard instead.
func mountBroken(guard guardFunc, guardsOptional bool) func(*xenaauth.Middleware, []xenaauthtest.Guarded) http.Handler {
	return func(m *xenaauth.Middleware, routes []xenaauthtest.Guarded) http.Handler {
		mux := http.NewServeMux()
		for _, route := range routes {
			var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, ok := xenaauth.UserFromContext(r.Context())
				route.Serve(w, r, user, ok)
			})
			switch {
			case route.Optional && guardsOptional:
				h = guard(m, nil, h)
			case route.Optional:
				h = m.Optional(h)
			default:
				rs := route.Require
				if rs == nil {
					// A nil slice of requirements would mean that the token is optional.
					rs = []xenaauth.Requirement{}
				}
				h = guard(m, rs, h)
			}
			if route.Group != nil {
				h = guard(m, route.Group, h)
			}
			mux.Handle(route.Method+" "+route.Path, h)
		}
		return mux
	}
}

// TestBroken runs this test program in another process, in which the guards have mistakes. There,
// TestMiddleware must fail for each of the brokenGuards, in the test that brokenGuards names.
func TestBroken(t *testing.T) {
	if os.Getenv(brokenEnv) != "" {
		t.Run("good", func(t *testing.T) { xenaauthtest.TestMiddleware(t, mountBroken(newGuard(passOn, stop), true)) })
		for name, broken := range brokenGuards {
			t.Run(name, func(t *testing.T) {
				xenaauthtest.TestMiddleware(t, mountBroken(broken.guard, strings.HasPrefix(name, "forgets")))
			})
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBroken$", "-test.v")
	cmd.Env = append(os.Environ(), brokenEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the suite passes with broken guards")
	}
	if !strings.Contains(string(out), "--- PASS: TestBroken/good ") {
		t.Errorf("the suite fails with a good guard:\n%s", out)
	}
	for name, broken := range brokenGuards {
		told := "--- FAIL: TestBroken/" + strings.ReplaceAll(name, " ", "_") + "/" + broken.failingTest + " "
		if !strings.Contains(string(out), told) {
			t.Errorf("a guard that %s: the output lacks %q", name, told)
		}
	}
	if t.Failed() && testing.Verbose() {
		t.Logf("%s", out)
	}
}
