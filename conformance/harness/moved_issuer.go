package harness

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// MovedIssuer is an issuer that can move its JWKS to another address.
type MovedIssuer struct {
	*xenaauthtest.Issuer
	OldDelay        time.Duration // the delay of each response from the old address of the JWKS
	mu              sync.Mutex
	hasMoved        bool   // hasMoved says whether the JWKS has moved to the new address
	oldAddressFails bool   // oldAddressFails says whether the old address responds with 404
	oldKeySet       []byte // oldKeySet is the JWKS that the old address serves after the move
}

// Move moves the JWKS to a new address. If abandon is true, the old address responds with 404 after
// the move. If abandon is false, the old address still serves the JWKS as it is now.
func (m *MovedIssuer) Move(t testing.TB, abandon bool) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.oldKeySet = m.JWKS()
	m.hasMoved, m.oldAddressFails = true, abandon
	m.SetMetadata(JSON(t, map[string]any{"issuer": m.URL(), "jwks_uri": m.URL() + "/moved/jwks"}))
}

// HTTPClient returns the HTTP client with which validators must call this issuer.
func (m *MovedIssuer) HTTPClient() *http.Client {
	return Intercept(m.Issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if IsJWKSRequest(r) && !strings.HasSuffix(r.URL.Path, "/moved/jwks") {
			time.Sleep(m.OldDelay)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if !IsJWKSRequest(r) {
			return next.RoundTrip(r)
		}
		if strings.HasSuffix(r.URL.Path, "/moved/jwks") {
			there := r.Clone(r.Context())
			there.URL.Path = strings.Replace(r.URL.Path, "/moved/jwks", "/.well-known/openid-configuration/jwks", 1)
			return next.RoundTrip(there)
		}
		resp, err := next.RoundTrip(r)
		if err == nil && m.hasMoved {
			resp.Body = io.NopCloser(strings.NewReader(string(m.oldKeySet)))
			if m.oldAddressFails {
				resp.StatusCode = 404
			}
		}
		return resp, err
	})
}
