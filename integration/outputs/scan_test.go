package outputs

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// leakLength is the length of a leak: an output must not contain so many consecutive characters of
// a token.
const leakLength = 16

// forbiddenTexts contains the texts that no output of the API may contain.
type forbiddenTexts struct {
	// tokens contains the tokens of the hostile request. No output may contain leakLength
	// consecutive characters of the header, the payload or the signature of a token.
	tokens []string
	texts  map[string]string
}

// service.newForbidden returns the texts that no output of the API may contain: its secrets and its
// internal addresses.
func (s *service) newForbidden(secret string) *forbiddenTexts {
	basic := func(id, secret string) string {
		return base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	}
	id := s.issuer.API()
	return &forbiddenTexts{texts: map[string]string{
		"secret of the API":    secret,
		"its credentials":      basic(url.QueryEscape(id), url.QueryEscape(secret)),
		"its credentials, raw": basic(id, secret),
		"audit key":            auditKey, "secret of nonces": nonceSecret, "text of a policy": policySecret,
		"internal host": internalHost, "internal address": internalIP, "internal path": "/connect/introspect",
	}}
}

// forbiddenTexts.find searches an output of the API for forbidden texts. It returns a description
// of the first one that it finds, or "".
func (f *forbiddenTexts) find(output string) string {
	for name, text := range f.texts {
		for _, form := range encodedForms(text) {
			if strings.Contains(output, form) {
				return name + " " + strconv.Quote(form)
			}
		}
	}
	for _, token := range f.tokens {
		for part := range strings.SplitSeq(token, ".") {
			for i := 0; i+leakLength <= len(part); i++ {
				if window := part[i : i+leakLength]; strings.Contains(output, window) {
					return "part of a token " + strconv.Quote(window)
				}
			}
		}
	}
	return ""
}

// encodedForms returns text in several forms in which an output may encode it: unchanged, in quotes
// of JSON and Go, in a URL, and in base64.
func encodedForms(text string) []string {
	asJSON, _ := json.Marshal(text)
	quoted := strconv.Quote(text)
	return []string{
		text, strings.Trim(string(asJSON), `"`), quoted[1 : len(quoted)-1], url.QueryEscape(text), url.PathEscape(text),
		base64.StdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
}

// TestScanFindsLeaks inserts parts of tokens and other secret texts into each output of an API.
// forbiddenTexts.find must find each of them.
func TestScanFindsLeaks(t *testing.T) {
	s := newService(t, nil)
	token := s.issuer.JWT(tokenOf())
	s.send(newRequest("/invoices", "Bearer "+token))
	s.send(newRequest("/invoices", "Bearer garbage"))
	f := s.newForbidden(s.issuer.APISecret())
	f.tokens = []string{token}
	parts := strings.Split(token, ".")
	for name, output := range s.outputs() {
		if got := f.find(output); got != "" {
			t.Errorf("%s: %s", name, got)
		}
		middle := len(output) / 2
		for _, leak := range []string{
			token, parts[0][:leakLength], parts[1][7 : 7+leakLength], parts[2][len(parts[2])-leakLength:],
			encodedForms(s.issuer.APISecret())[1], internalURL, f.texts["its credentials"],
		} {
			if f.find(output[:middle]+leak+output[middle:]) == "" {
				t.Errorf("%s: the scan does not find %q", name, leak)
			}
		}
	}
}
