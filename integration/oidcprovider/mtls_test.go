package oidcprovider_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// certificateToken gets a token from the issuer over a connection with a client certificate. The
// token is bound to this certificate.
func certificateToken(t *testing.T, issuer, resource string, certificate *tls.Certificate) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"read"}, "resource": {resource},
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("tls", url.QueryEscape(secret))
	resp, err := newHTTPClient(certificate).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		Token string `json:"access_token"`
		Error string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Token == "" {
		t.Fatalf("the issuer responds with %d %s: %v", resp.StatusCode, body.Error, err)
	}
	return body.Token
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	issuer, a := startPair(t, false)
	mine, thief := signCertificate(nil, "client"), signCertificate(nil, "thief")
	sum := sha256.Sum256(mine.Certificate[0])
	thumbprint := base64.RawURLEncoding.EncodeToString(sum[:])
	for name, resource := range map[string]string{"JWT": jwtResource, "opaque": opaqueResource} {
		t.Run(name, func(t *testing.T) {
			token := certificateToken(t, issuer, resource, &mine)
			if got := a.read(t, newHTTPClient(&mine), token); got.Status != 200 || got.Certificate != thumbprint || got.Client != "tls" {
				t.Errorf("with the certificate: %+v, want %s", got, thumbprint)
			}
			for who, c := range map[string]*http.Client{"no certificate": newHTTPClient(nil), "a thief": newHTTPClient(&thief)} {
				got := a.read(t, c, token)
				if got.Status != 401 || got.Reason != "confirmation" || !strings.Contains(got.Challenge, `error="invalid_token"`) {
					t.Errorf("%s: %+v", who, got)
				}
			}
		})
	}
}
