package mtls_test

import (
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/mtls"
)

// FuzzField calls Confirm with arbitrary header fields, in the form of each proxy. A field must not
// confirm a certificate that it does not contain. A field that a proxy has written must confirm the
// certificate in it, whatever the bytes of the certificate are.
func FuzzField(f *testing.F) {
	victim := []byte("\xfb\xff\xfecertificate")
	forms := make(map[mtls.Form]*mtls.Proof)
	for form, w := range writers {
		forms[form] = newProof(f, mtls.Config{Form: form, TrustedPeers: loopback})
		f.Add(string(form), w.write(victim))
	}
	f.Add("envoy", `Hash="`+envoyHash(victim)+`";Subject="a\"b",By=x`)
	f.Add("nginx", "%2"+nginx(victim))
	f.Add("traefik", ",%")
	f.Fuzz(func(t *testing.T, form, text string) {
		p, w := forms[mtls.Form(form)], writers[mtls.Form(form)]
		if p == nil {
			return
		}
		contains := strings.Contains(strings.ToLower(text), envoyHash(victim)) ||
			strings.Contains(unescaped.Replace(text), haproxy(victim)[:8])
		if !contains && confirm(t, p, fromProxy(w.field, text), thumbprintOf(victim)) == nil {
			t.Errorf("%s confirms a certificate that is not in %q", form, text)
		}
		if text == "" || len(text) > 2<<10 {
			return
		}
		written := w.write([]byte(text))
		if err := confirm(t, p, fromProxy(w.field, written), thumbprintOf([]byte(text))); err != nil {
			t.Errorf("%q in the form %s: %v", text, form, err)
		}
	})
}

var unescaped = strings.NewReplacer("%2B", "+", "%2b", "+", "%2F", "/", "%2f", "/", "%0A", "", "%0a", "")
