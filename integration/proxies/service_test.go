package proxies

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// service is the HTTP server behind the proxies. Its response describes the request that arrived.
// In every test, the service also checks that each request obeys certain rules, for example that
// its user has the scope of the route.
type service struct {
	addr string
	n    atomic.Int64
	// if allowsTrailers is true, a request that arrives at the service may have trailers (fields
	// after the body); otherwise a trailer is a violation
	allowsTrailers bool
	// if allowsUnusualNames is true, a request that arrives at the service may have field names
	// with characters other than letters, digits and "-"; otherwise such a name is a violation
	allowsUnusualNames bool
	routes             *routes.Table
	identity           *identity.Identity
	mu                 sync.Mutex
	wrong              []string
}

// An arrivedRequest describes a request that arrived at the service behind the proxy.
type arrivedRequest struct {
	Method, Host, URI            string
	Header                       http.Header
	Trailer                      http.Header
	Length                       int64
	SHA256                       string
	User, Client, Scopes, Issuer string
}

func newService(t *testing.T, p *proxy, table *routes.Table, id *identity.Identity) *service {
	t.Helper()
	s := &service{routes: table, identity: id, allowsTrailers: p.passesTrailers, allowsUnusualNames: p.removesOnlyUsual}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.addr = strings.TrimPrefix(server.URL, "http://")
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.n.Add(1)
	hash := sha256.New()
	n, err := io.Copy(hash, r.Body)
	if err != nil {
		s.violation(r, "the body can't be read: %v", err)
	}
	s.checkRequest(r)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(arrivedRequest{
		Method: r.Method, Host: r.Host, URI: r.RequestURI, Header: r.Header, Trailer: r.Trailer,
		Length: n, SHA256: hex.EncodeToString(hash.Sum(nil)),
		User: r.Header.Get("X-Auth-User"), Client: r.Header.Get("X-Auth-Client"), Scopes: r.Header.Get("X-Auth-Scopes"),
		Issuer: r.Header.Get("X-Auth-Issuer"),
	})
}

// service.checkRequest checks whether a request that arrived at the service obeys all rules of the
// test. It records each rule that the request breaks.
func (s *service) checkRequest(r *http.Request) {
	rule, err := s.routes.Find(r)
	required, requires := rule.Access.Requirement()
	switch {
	case err != nil:
		s.violation(r, "no rule lets this pass: %v", err)
	case requires:
		have := strings.Split(r.Header.Get("X-Auth-Scopes"), " ")
		if !slices.ContainsFunc(required.Alternatives(), func(need []string) bool {
			return !slices.ContainsFunc(need, func(scope string) bool { return !slices.Contains(have, scope) })
		}) {
			s.violation(r, "%s needs other scopes than %q", rule.Pattern, have)
		}
		if r.Header.Get("X-Auth-User") == "" {
			s.violation(r, "nobody")
		}
	case !rule.Access.IsPublic() && !rule.Access.IsOptional():
		s.violation(r, "denied by %s", rule.Pattern)
	}
	if len(r.Header["Authorization"]) > 0 || len(r.Header["Dpop"]) > 0 {
		s.violation(r, "the token or the proof has arrived")
	}
	if up := r.Header["Upgrade"]; len(up) > 0 && !slices.Equal(up, []string{"websocket"}) {
		s.violation(r, "an upgrade to %q has arrived", up)
	}
	for name, values := range r.Header {
		if !s.allowsUnusualNames && strings.ContainsFunc(name, func(c rune) bool { return foldName(string(c)) == "-" && c != '-' }) {
			s.violation(r, "%s has arrived, which services fold", name)
		}
		switch folded := foldName(name); {
		case folded == "x-real-ip" && slices.Equal(values, []string{"127.0.0.1"}):
			// the proxy itself sets X-Real-IP to the address of the client, which is 127.0.0.1 in
			// the tests
		case slices.Contains([]string{"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}, folded):
			if !strings.EqualFold(name, folded) {
				s.violation(r, "%s has arrived beside the proxy's own", name)
			}
		case slices.Contains(misleadingFields, folded):
			s.violation(r, "%s: %q has arrived", name, values)
		case folded == "connection":
			if strings.Contains(foldName(strings.Join(values, ",")), "x-") {
				s.violation(r, "Connection: %q has arrived, which would have the next hop drop what the proxy sets", values)
			}
		}
	}
	rest := r.Header.Clone()
	for _, name := range s.identity.Names() {
		if len(rest[name]) > 1 {
			s.violation(r, "%s is there %d times", name, len(rest[name]))
		}
		delete(rest, name)
	}
	before := fmt.Sprint(rest)
	if s.identity.Strip(rest); fmt.Sprint(rest) != before {
		s.violation(r, "an identity field of the client's: %s", before)
	}
	for name, values := range r.Trailer {
		if len(values) > 0 && !s.allowsTrailers {
			s.violation(r, "a trailer: %s: %q", name, values)
		}
	}
}

// misleadingFields lists header fields from which a service could read a false address, host,
// scheme, path or certificate.
var misleadingFields = []string{
	"forwarded", "x-forwarded", "x-forwarded-prefix", "x-forwarded-method", "x-forwarded-uri", "x-forwarded-scheme",
	"x-forwarded-ssl", "x-original-method", "x-original-host", "x-original-uri", "x-original-url", "x-rewrite-url",
	"x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-proxyuser-ip", "true-client-ip", "x-host",
	"x-http-host-override", "proxy", "client-cert", "client-cert-chain", "x-ssl-client-cert", "x-ssl-client-der",
	"x-forwarded-client-cert", "x-forwarded-tls-client-cert", "x-forwarded-tls-client-cert-info",
}

// foldName returns the simplest form of the name of a header field. If a server could take two
// names for the same name, foldName returns the same form for both.
func foldName(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

func (s *service) violation(r *http.Request, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 10 {
		s.wrong = append(s.wrong, fmt.Sprintf("%s %q %s", r.Method, r.RequestURI, fmt.Sprintf(format, args...)))
	}
}

// service.failOnViolations fails the test if checkRequest has recorded a violation since the last
// call of failOnViolations. A violation is a request that broke a rule of the test.
func (s *service) failOnViolations(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, wrong := range s.wrong {
		t.Errorf("the service got %s", wrong)
	}
	s.wrong = nil
}
