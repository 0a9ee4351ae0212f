package outputs

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// If an output contains at least so many characters of a token in a row, the test treats them as a
// leak.
const shortest = 16

// The type forbidden contains the texts that no output of the API may contain.
type forbidden struct {
	// An output may contain neither a whole element of tokens nor a long part of its header,
	// payload or signature.
	tokens []string
	texts  map[string]string
}

// newForbidden returns the texts that no output of the service s may contain: its secrets and its
// internal addresses.
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

// forbidden.find searches an output of the API for forbidden texts. It returns a description of the
// first one that it finds, or "".
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

// The function forms returns text in all ways in which an output may encode it, for example as JSON
// or in base64.
func forms(text string) []string {
	asJSON, _ := json.Marshal(text)
	quoted := strconv.Quote(text)
	return []string{
		text, strings.Trim(string(asJSON), `"`), quoted[1 : len(quoted)-1], url.QueryEscape(text), url.PathEscape(text),
		base64.StdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
}

// TestScanFindsLeaks inserts parts of tokens and other secret texts into each output of an API. The
// method find must find each of them.
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
