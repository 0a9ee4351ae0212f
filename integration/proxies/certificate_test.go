package proxies

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestClientCertificate sends tokens that are bound to a client certificate through each proxy. The
// proxy must send the certificate of the client's TLS connection to xenagate. If the client itself
// sends a header field with a certificate, xenagate must not use this field, or the proxy must
// refuse the request.
func TestClientCertificate(t *testing.T) {
	eachTLS(t, func(t *testing.T, e *tlsEnv) {
		e.checkCertificates(t, "/Api/a", nil)
		for name := range *e.lastHeader.Load() {
			if strings.Contains(strings.ToLower(name), "cert") || strings.Contains(strings.ToLower(name), "ssl") {
				t.Errorf("the service got %s", name)
			}
		}
	})
}

// tlsEnv.checkCertificates sends requests to a route that needs a user. Their tokens are bound to a
// client certificate. The client uses this certificate for its TLS connection, or another one, or
// none. The requests also contain the header fields in which a proxy sends a certificate to
// xenagate, because a thief could send these fields. A request with a bound token may pass only if
// the client uses the right certificate.
func (e *tlsEnv) checkCertificates(t *testing.T, path string, behind *service) {
	t.Helper()
	owner, thief := xenaauthtest.NewMTLSClient(nil), xenaauthtest.NewMTLSClient(nil)
	token := e.issuer.JWT(xenaauthtest.Token{Subject: "anna", BoundTo: owner})
	for range 2 {
		if res := e.get(t, owner, path, token); res.StatusCode != 200 {
			t.Fatalf("%d %v", res.StatusCode, res.Header)
		}
	}
	if res := e.get(t, nil, path, e.issuer.JWT(xenaauthtest.Token{})); res.StatusCode != 200 {
		t.Errorf("a token that is not bound: %d", res.StatusCode)
	}
	forged := certificateFields(owner.Certificate().Leaf.Raw)
	attacks := [][]string{nil, forged, append(forged, forged...)}
	for _, line := range forged {
		name, value, _ := strings.Cut(line, ": ")
		attacks = append(attacks, []string{line}, []string{line, line},
			[]string{strings.ToLower(name) + ": " + value}, []string{strings.ReplaceAll(name, "-", "_") + ": " + value},
			[]string{line, "Connection: " + name}, []string{name + ":  " + value}, []string{name + ": ", line})
	}
	for _, lines := range attacks {
		for who, client := range map[string]*xenaauthtest.Client{"no certificate": nil, "a thief": thief} {
			res := e.get(t, client, path, token, lines...)
			// a proxy may also refuse the request because of its forged header fields, with status
			// 400
			if res.StatusCode == 400 {
				continue
			}
			if challenge := res.Header.Get("Www-Authenticate"); res.StatusCode != 401 || !strings.Contains(challenge, "invalid_token") {
				t.Errorf("%s with %.60q: %d %s", who, lines, res.StatusCode, challenge)
			}
		}
		if res := e.get(t, owner, path, token, lines...); res.StatusCode != 200 && res.StatusCode != 400 {
			t.Errorf("the owner with %.60q: %d", lines, res.StatusCode)
		}
		if behind != nil {
			behind.failOnViolations(t)
		}
	}
}

// certificateFields returns the header fields in which the proxies send a client certificate to
// xenagate. Each proxy uses a different field.
func certificateFields(der []byte) []string {
	sum := sha256.Sum256(der)
	plain := base64.StdEncoding.EncodeToString(der)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return []string{
		"X-SSL-Client-Cert: " + strings.ReplaceAll(url.QueryEscape(text), "+", "%20"),
		"X-SSL-Client-DER: " + plain,
		"Client-Cert: :" + plain + ":",
		"X-Forwarded-Client-Cert: Hash=" + hex.EncodeToString(sum[:]),
		"X-Forwarded-Tls-Client-Cert: " + plain,
	}
}
