package mtls_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/mtls"
)

// No header field in this test confirms the certificate: each field is empty, malformed or too
// long, has several elements, or is about another certificate.
func TestMalformedFields(t *testing.T) {
	der := []byte("\xfb\xff\xfecertificate") // base64 has "+", "/" and padding
	plain := haproxy(der)
	require.Contains(t, plain, "+")
	require.Contains(t, plain, "/")
	require.True(t, strings.HasSuffix(plain, "="))
	// The last digit of this base64 text contains two unused bits. They are 0 in "U", and one of
	// them is 1 in "V".
	unusedBit := strings.TrimSuffix(plain, "U=") + "V="
	require.Len(t, unusedBit, len(plain))
	escaped := nginx(der)
	hash := "Hash=" + envoyHash(der)
	other := envoyHash([]byte("other"))
	tooLong := strings.Repeat("A", 16<<10+1)
	for form, values := range map[mtls.Form][]string{
		mtls.RFC9440: {
			plain, ":" + plain, plain + ":", "::", ":", "", " :" + plain + ":", ":" + plain + ": ", ":" + plain + ":;a=1",
			":" + plain + ":,:" + plain + ":", `"` + plain + `"`, ":" + strings.TrimRight(plain, "=") + ":",
			": " + plain + ":", ":" + plain + "\n:", ":" + strings.NewReplacer("+", "-", "/", "_").Replace(plain) + ":",
			":" + tooLong + ":",
		},
		mtls.HAProxy: {
			plain + "=", strings.TrimRight(plain, "="), plain + "\n", "\r\n" + plain, plain + "," + plain, " " + plain,
			strings.Replace(plain, "=", "%3D", 1), unusedBit, tooLong,
		},
		mtls.Traefik: {
			"", ",", "," + plain, " " + plain, haproxy([]byte("other")) + "," + plain, strings.TrimRight(plain, "="),
			plain + "%0A", plain + "%", plain + ";" + plain, tooLong + "," + plain,
		},
		mtls.Nginx: {
			plain, "%" + escaped, escaped + "%", escaped + "%2", escaped + "%zz", escaped + "%0A", escaped + escaped,
			strings.Replace(escaped, "%20", " ", 1), strings.Replace(escaped, "%20", "+", 1),
			strings.Replace(escaped, "CERTIFICATE", "PRIVATE%20KEY", 2), strings.Replace(escaped, "%0A", "%0D%0A", 3),
			strings.Replace(escaped, "%2B", "%20", 1), "a" + escaped, escaped + "a", "%0A" + escaped,
			strings.ReplaceAll(escaped, "%0A", ""), strings.TrimSuffix(escaped, "-%0A"), tooLong,
			"-----BEGIN%20CERTIFICATE-----%0A-----END%20CERTIFICATE-----%0A", `"` + escaped + `"`, escaped + "\x00",
		},
		mtls.Envoy: {
			"", ";", ",", "=", "Hash", "Hash=", `Hash=""`, hash + ";", ";" + hash, hash + ",", "," + hash, hash + " ",
			" " + hash, hash + ";" + hash, hash + "," + hash, hash + `,By="`, hash + ",By=a", "By=a," + hash, hash + ";Hash=" + other, "Hash=" + other + ";" + hash,
			hash + "0", hash[:len(hash)-1], hash[:len(hash)-2], "Hash=" + strings.Repeat("0", 64), "Hash=" + strings.Repeat("z", 64),
			hash + `;Subject="`, hash + `;Subject="a"b`, hash + `;Subject="a\"`, hash + `;Subject=a"b`, hash + ";=a",
			`Cert="` + envoyCert(der) + `"`, hash + `;Cert="` + envoyCert([]byte("other")) + `"`, hash + ";Cert=",
			hash + `;Cert="` + envoyCert(der) + `";cert="` + envoyCert(der) + `"`, hash + ";Cert=" + plain,
			"Hash =" + envoyHash(der), `Subject=";` + hash, `Subject="` + hash + `"`, "URI=" + tooLong + ";" + hash,
		},
	} {
		p := newProof(t, mtls.Config{Form: form, TrustedPeers: loopback})
		for _, value := range values {
			require.Error(t, confirm(t, p, fromProxy(writers[form].field, value), thumbprintOf(der)), "%s: %s", form, value)
		}
	}
}

// Some versions of proxies write the certificate in a slightly different way. Their header fields
// are accepted too.
func TestVariants(t *testing.T) {
	der := []byte("\xfb\xff\xfecertificate")
	plain, hash := haproxy(der), envoyHash(der)
	escape := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace
	for value, form := range map[string]mtls.Form{
		plain:                                   mtls.Traefik,
		escape(plain):                           mtls.Traefik, // older versions of Traefik write this
		escape(plain) + "," + "abc%3D":          mtls.Traefik,
		strings.TrimSuffix(nginx(der), "%0A"):   mtls.Nginx,
		strings.ToLower("%2d") + nginx(der)[1:]: mtls.Nginx,
		strings.NewReplacer("%2B", "+", "%2F", "/", "%3D", "=").Replace(nginx(der)): mtls.Nginx, // AWS encodes PEM in this way
		"Hash=" + hash: mtls.Envoy,
		"By=;Hash=" + strings.ToUpper(hash) + `;Subject=""`:                              mtls.Envoy,
		`hash="` + hash + `";Subject="CN=a\\";URI=`:                                      mtls.Envoy,
		"HASH=" + hash + ";CERT=" + envoyCert(der) + `;Chain="` + envoyCert(der) + "x\"": mtls.Envoy,
	} {
		p := newProof(t, mtls.Config{Form: form, TrustedPeers: loopback})
		require.NoError(t, confirm(t, p, fromProxy(writers[form].field, value), thumbprintOf(der)), "%s: %s", form, value)
	}
}

// Envoy copies names from the client's certificate into its header field, and the client chooses
// these names. No such name may make the Proof accept the certificate of another client.
func TestNamesThatLookLikeXFCC(t *testing.T) {
	mine, victim := envoyHash([]byte("mine")), "Hash="+envoyHash([]byte("victim"))
	victimCert := `Cert="` + envoyCert([]byte("victim")) + `"`
	p := newProof(t, mtls.Config{Form: mtls.Envoy, TrustedPeers: loopback})
	for _, name := range []string{
		"a;" + victim, "a," + victim, "a;" + victim + `;Subject="`, "a;" + victimCert, "a;" + victim + ";" + victimCert,
		`"a";` + victim, `a\;` + victim, `a";` + victim + `;X="`, "," + victim, ";" + victim,
	} {
		for _, value := range []string{
			"By=x;Hash=" + mine + ";URI=" + name + ";DNS=b",
			"By=x;Hash=" + mine + ";DNS=" + name,
			"By=x;Hash=" + mine + `;Subject="CN=` + name + `";URI=b`,
			victim + `;URI="` + ",By=x;Hash=" + mine + `;Subject="` + name + `"`,
		} {
			err := confirm(t, p, fromProxy("X-Forwarded-Client-Cert", value), thumbprintOf([]byte("victim")))
			require.Error(t, err, value)
		}
	}
}
