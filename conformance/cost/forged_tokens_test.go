//go:build !race

package cost_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The function filled returns a JSON text of nearly max bytes: begin, then as many results of the
// function part as fit, then end.
func filled(max int, begin string, part func(i int) string, end string) string {
	var b strings.Builder
	b.WriteString(begin)
	for i := 0; b.Len()+len(part(i))+len(end) <= max; i++ {
		b.WriteString(part(i))
	}
	return b.String() + end
}

// The function named always returns a function for the parameter part of the function filled. That
// function returns the same text at each call.
func always(part string) func(int) string { return func(int) string { return part } }

// membersNamed returns a function for the parameter part of the function filled. That function
// returns a JSON member. It makes the name of the member from format and the number i.
func membersNamed(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(`,"`+format+`":0`, i) }
}

// The function costly returns JSON objects of at most max bytes that are expensive to parse. The
// map key of each object says why the object is expensive to parse.
func costly(max int) map[string]string {
	const begin = `{"iss":"https://other.example"`
	thirteen := `,{"":0,"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0}`
	digits := strings.Repeat("1", (max-90)/3)
	texts := map[string]string{
		"one string": filled(max, begin+`,"a":"`, always("a"), `"}`),
		"times":      begin + `,"exp":1.` + digits + `e1,"nbf":1.` + digits + `e1,"iat":1.` + digits + `e1}`,
		"scopes":     filled(max, begin+`,"scope":"`, always(" a"), `"}`),
		"escapes":    filled(max, begin+`,"iss":"`, always(`\u0041`), `"}`),
	}
	for name, format := range map[string]string{
		"names": "a%x", "names in capitals": "A%X", "names like client_id": "Client_%02x", "names with escapes": `\u0041%x`,
		"names beyond ASCII": "ſu%x", "names that only just differ": "claims/aaaaaaaaaaaaaaaaaa%08d",
	} {
		texts[name] = filled(max, begin, membersNamed(format), "}")
	}
	for name, element := range map[string]string{
		"objects of thirteen": thirteen, "objects of one": `,{"":0}`, "empty objects": `,{}`, "numbers": `,0`,
		"arrays": "," + strings.Repeat("[", 29) + "0" + strings.Repeat("]", 29), "strings with escapes": `,"\n"`,
	} {
		texts[name] = filled(max, begin+`,"a":[0`, always(element), "]}")
	}
	for _, name := range []string{"aud", "scope", "scp", "amr"} {
		texts[name] = filled(max, begin+`,"`+name+`":[""`, always(`,""`), "]}")
		texts[name+" with escapes"] = filled(max, begin+`,"`+name+`":[""`, always(`,"\n"`), "]}")
	}
	return texts
}

// The function forged returns tokens of nearly 16 KiB that are refused before their signature is
// verified.
func forged(keyID string) map[string]string {
	tokens := make(map[string]string)
	header := harness.Base64(`{"alg":"RS256","kid":"` + keyID + `","typ":"at+jwt"}`)
	signature := strings.Repeat("A", 342)
	for name, text := range costly((xenaauth.DefaultMaxTokenLength - len(header) - len(signature) - 2) / 4 * 3) {
		tokens[name] = header + "." + harness.Base64(text) + "." + signature
	}
	payloads := costly(5800)
	for name, text := range costly(6000) {
		tokens[name+" in both"] = harness.Base64(`{"alg":"RS256",`+text[1:]) + "." + harness.Base64(payloads[name]) + "." + signature
	}
	tokens["dots"] = strings.Repeat(".", xenaauth.DefaultMaxTokenLength)
	tokens["no dot"] = "eyJ" + strings.Repeat("A", xenaauth.DefaultMaxTokenLength-3)
	return tokens
}

// The function allocated calls f n times, measures the memory that each call allocates, and returns
// the smallest of these measurements. The garbage collector is off, because a collection would
// empty the memory pools of the library.
func allocated(n int, f func()) (bytes, objects uint64) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	bytes, objects = 1<<62, 1<<62
	for range n {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		bytes, objects = min(bytes, after.TotalAlloc-before.TotalAlloc), min(objects, after.Mallocs-before.Mallocs)
	}
	return bytes, objects
}

func forgery(t testing.TB, token string, handler http.Handler) func() {
	r, err := http.NewRequest("GET", "/", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	w := nowhere{make(http.Header)}
	return func() {
		clear(w.header)
		handler.ServeHTTP(w, r)
	}
}

func guardedByScope(t testing.TB) (*xenaauthtest.Issuer, http.Handler) {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	return issuer, xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes("testapi"))(http.HandlerFunc(harness.Hello))
}

// The library refuses a forged token with at most as many allocations as an ordinary token needs.
// The memory of these allocations is at most three times the length of the token, whatever the
// token contains.
func TestForgedTokensAreCheap(t *testing.T) {
	issuer, handler := guardedByScope(t)
	for name, token := range forged(issuer.KeyID()) {
		require.LessOrEqual(t, len(token), xenaauth.DefaultMaxTokenLength, name)
		require.Greater(t, len(token), xenaauth.DefaultMaxTokenLength*2/3, name)
		bytes, objects := allocated(5, forgery(t, token, handler))
		require.LessOrEqual(t, objects, uint64(24), name)
		require.LessOrEqual(t, bytes, uint64(3*xenaauth.DefaultMaxTokenLength), name)
	}
}

// BenchmarkForgedToken reports the time to refuse a forged token, as a multiple of the time to
// check one signature. Each time is the shortest of several runs, so that other programs on the
// machine do not change the result.
func BenchmarkForgedToken(b *testing.B) {
	issuer, handler := guardedByScope(b)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(b, err)
	signed := make([]byte, xenaauth.DefaultMaxTokenLength)
	sum := sha256.Sum256(signed)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	require.NoError(b, err)
	quickest := func(f func()) time.Duration {
		best := time.Hour
		for range 300 {
			start := time.Now()
			f()
			best = min(best, time.Since(start))
		}
		return best
	}
	for name, token := range forged(issuer.KeyID()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			ours := forgery(b, token, handler)
			for b.Loop() {
				ours()
			}
			check := quickest(func() {
				sum := sha256.Sum256(signed)
				_ = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature)
			})
			b.ReportMetric(float64(quickest(ours))/float64(check), "checks/op")
		})
	}
}
