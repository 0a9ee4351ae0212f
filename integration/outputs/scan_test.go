package outputs

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// shortest is the length of the shortest part of a token that counts as a leak.
const shortest = 16

// forbidden are the texts that no output may contain.
type forbidden struct {
	// tokens are forbidden as a whole, and so is each part of their header, payload and signature
	tokens []string
	texts  map[string]string
}

// newForbidden returns the secrets and the internal addresses of a service.
func (s *service) newForbidden(secret string) *forbidden {
	basic := func(id, secret string) string {
		return base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	}
	id := s.issuer.API()
	return &forbidden{texts: map[string]string{
		"secret of the API":    secret,
		"its credentials":      basic(url.QueryEscape(id), url.QueryEscape(secret)),
		"its credentials, raw": basic(id, secret),
		"audit key":            auditKey, "secret of nonces": nonceSecret, "text of a policy": policySecret,
		"internal host": internalHost, "internal address": internalIP, "internal path": "/connect/introspect",
	}}
}

// The method find returns what an output contains that it may not contain, or "".
func (f *forbidden) find(output string) string {
	for name, text := range f.texts {
		for _, form := range forms(text) {
			if strings.Contains(output, form) {
				return name + " " + strconv.Quote(form)
			}
		}
	}
	for _, token := range f.tokens {
		for part := range strings.SplitSeq(token, ".") {
			for i := 0; i+shortest <= len(part); i++ {
				if window := part[i : i+shortest]; strings.Contains(output, window) {
					return "part of a token " + strconv.Quote(window)
				}
			}
		}
	}
	return ""
}

// The function forms returns the ways in which an output may write a text.
func forms(text string) []string {
	asJSON, _ := json.Marshal(text)
	quoted := strconv.Quote(text)
	return []string{
		text, strings.Trim(string(asJSON), `"`), quoted[1 : len(quoted)-1], url.QueryEscape(text), url.PathEscape(text),
		base64.StdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
}

// TestScanFindsLeaks plants each kind of leak into each output of a service. The scan must find it.
func TestScanFindsLeaks(t *testing.T) {
	s := newService(t, nil)
	token := s.issuer.JWT(tokenOf())
	s.send(request("/invoices", "Bearer "+token))
	s.send(request("/invoices", "Bearer garbage"))
	f := s.newForbidden(s.issuer.APISecret())
	f.tokens = []string{token}
	parts := strings.Split(token, ".")
	for name, output := range s.outputs() {
		if got := f.find(output); got != "" {
			t.Errorf("%s: %s", name, got)
		}
		middle := len(output) / 2
		for _, leak := range []string{
			token, parts[0][:shortest], parts[1][7 : 7+shortest], parts[2][len(parts[2])-shortest:],
			forms(s.issuer.APISecret())[1], internalURL, f.texts["its credentials"],
		} {
			if f.find(output[:middle]+leak+output[middle:]) == "" {
				t.Errorf("%s: the scan does not find %q", name, leak)
			}
		}
	}
}
