package possession_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// valueWrapper is a wrapper around a Validator. Before it calls the Validator, it adds a value to
// the context. So the Validator gets a derived context.
type valueWrapper struct{ xenaauth.TokenValidator }

type valueKey struct{}

func (v valueWrapper) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	return v.TokenValidator.Validate(context.WithValue(ctx, valueKey{}, 1), token)
}

func (v valueWrapper) Unwrap() xenaauth.TokenValidator { return v.TokenValidator }

// A wrapper around the Validator adds a value to the context and then calls Validate. Validate
// calls the function Config.Subject with this context. The function calls Validate again, with a
// token that is bound to a key. The inner call refuses the token, because no proof of possession
// was checked for this call. It even refuses the token of the request itself.
func TestSubjectResolverInsideWrapperNeedsProof(t *testing.T) {
	var s *testService
	var stolen, own string
	var errs []error
	s = start(t, func(c *xenaauth.Config) {
		c.Subject = func(ctx context.Context, u *xenaauth.User) (string, error) {
			for _, token := range []string{stolen, own} {
				_, err := s.validator.Validate(ctx, token)
				errs = append(errs, err)
			}
			return "ann", nil
		}
	})
	stolen = s.token(map[string]any{"key": "k"})
	own = s.issuer.JWT(xenaauthtest.Token{Machine: true, Claims: map[string]any{"cnf": map[string]any{"key": "k"}}})
	h := middleware(valueWrapper{s.validator}, newKeyProof()).Require(xenaauth.AnyUser())(harness.Teapot)
	require.Equal(t, 418, send(h, newRequest("Key "+own, "Proof", "k")).Code)
	require.Len(t, errs, 2)
	require.Error(t, errs[0])
	require.Error(t, errs[1])
}

// secondTokenWrapper is a wrapper around a Validator. It validates the token of the request and
// also a second token.
type secondTokenWrapper struct {
	xenaauth.TokenValidator
	token string
	err   *error
}

func (v secondTokenWrapper) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	_, *v.err = v.TokenValidator.Validate(ctx, v.token)
	return v.TokenValidator.Validate(ctx, token)
}

// A proof of possession in a request confirms only the token of this request. If a wrapper around
// the Validator also validates a second bound token, the second token is refused.
func TestWrapperGetsNoOtherBoundToken(t *testing.T) {
	s := start(t, nil)
	var err error
	v := secondTokenWrapper{s.validator, s.token(map[string]any{"key": "stolen"}), &err}
	h := middleware(v, newKeyProof()).Require(xenaauth.AnyUser())(harness.Teapot)
	require.Equal(t, 418, send(h, newRequest("Key "+s.token(map[string]any{"key": "k"}), "Proof", "k")).Code)
	require.Error(t, err)
}

// callingCache is a shared cache of introspection responses that stores nothing. It calls a
// function whenever the library uses it.
type callingCache struct{ call func(context.Context) }

func (c callingCache) Get(ctx context.Context, _ [32]byte) ([]byte, error) {
	c.call(ctx)
	return nil, nil
}

func (c callingCache) Set(ctx context.Context, _ [32]byte, _ []byte, _ time.Duration) error {
	c.call(ctx)
	return nil
}

// A shared cache is code of the service, so its methods may call anything. Here they call Validate
// with a token that is bound to a key. Validate refuses this token, because no proof of possession
// was checked for it.
func TestSharedCacheNeedsProof(t *testing.T) {
	var s *testService
	var stolen string
	var mu sync.Mutex
	var errs []error
	s = start(t, func(c *xenaauth.Config) {
		c.Introspection.Cache = callingCache{func(ctx context.Context) {
			_, err := s.validator.Validate(ctx, stolen)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}}
	}, newKeyProof())
	stolen = s.token(map[string]any{"key": "k"})
	require.Equal(t, 418, send(s.guardedHandler(), newRequest("Bearer "+s.issuer.Opaque(xenaauthtest.Token{}))).Code)
	mu.Lock()
	defer mu.Unlock()
	require.NotEmpty(t, errs)
	for _, err := range errs {
		require.Error(t, err)
	}
}

// A handler may use the context of its accepted request for a second request with another method or
// target. The second request needs its own proof of possession, even if it has the same
// credentials.
func TestBorrowedContextWithSameTokenNeedsProof(t *testing.T) {
	s := start(t, nil, newKeyProof())
	token := s.token(map[string]any{"key": "k"})
	inner := s.guardedHandler()
	var codes []int
	outer := s.m.Require(xenaauth.AnyUser())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.Method = http.MethodDelete },
			func(r *http.Request) { r.Host = "other.example" },
			func(r *http.Request) { r.RequestURI = "/everything" },
			func(r *http.Request) { r.RequestURI, r.URL.Path = "", "/everything" },
		} {
			sub := newRequest("Key " + token).WithContext(r.Context())
			change(sub)
			codes = append(codes, send(inner, sub).Code)
		}
	}))
	send(outer, newRequest("Key "+token, "Proof", "k"))
	require.Equal(t, []int{401, 401, 401, 401}, codes)
}

// If a request passes several guards of one middleware, the middleware confirms the proof of
// possession only once. This is also true if code between two of these guards changes the context
// or the URL of the request.
func TestConfirmOnceWhateverIsBetween(t *testing.T) {
	for name, between := range map[string]func(*testService, *http.Request) *http.Request{
		"CheckPublic": func(s *testService, r *http.Request) *http.Request { return s.m.CheckPublic(r) },
		"ContextWithUser": func(_ *testService, r *http.Request) *http.Request {
			u, _ := xenaauth.UserFromContext(r.Context())
			return r.WithContext(xenaauth.ContextWithUser(r.Context(), u))
		},
		"another middleware": func(s *testService, r *http.Request) *http.Request {
			allowed, err := middleware(s.validator, newKeyProof()).Check(r)
			require.NoError(t, err)
			return allowed
		},
		"StripPrefix": func(_ *testService, r *http.Request) *http.Request {
			r = r.Clone(r.Context())
			r.URL.Path = "/inner"
			return r
		},
	} {
		proof := newKeyProof()
		s := start(t, nil, proof)
		r, err := s.m.Check(newRequest("Key "+s.token(map[string]any{"key": "k"}), "Proof", "k"))
		require.NoError(t, err, name)
		_, err = s.m.Check(between(s, r))
		require.NoError(t, err, name)
		require.Len(t, proof.calls, 1, name)
	}
}

// A challenge must not contain a parameter twice (RFC 9110, section 11.2). Two proofs of possession
// with the same authentication scheme share one challenge. So NewMiddleware panics if the two
// proofs set one parameter to different values.
func TestOneParameterWithTwoValues(t *testing.T) {
	a, b := newKeyProof(), newCertProof()
	b.scheme = "Key"
	a.params, b.params = map[string]string{"algs": "ES256"}, map[string]string{"algs": "RS256"}
	require.Panics(t, func() { middleware(harness.FixedValidator{}, a, b) })
	b.params = a.params
	require.NotPanics(t, func() { middleware(harness.FixedValidator{}, a, b) })
}
