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

// fillJSON returns a JSON text of nearly maxLength bytes. The text begins with prefix and ends with
// suffix. Between them are as many parts as fit. The function makePart returns the part with the
// number i.
func fillJSON(maxLength int, prefix string, makePart func(i int) string, suffix string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for i := 0; b.Len()+len(makePart(i))+len(suffix) <= maxLength; i++ {
		b.WriteString(makePart(i))
	}
	return b.String() + suffix
}

// samePart returns a function that fillJSON can use as its parameter makePart. All parts of the
// JSON text are then the same text.
func samePart(part string) func(int) string { return func(int) string { return part } }

// numberedMember returns a function that fillJSON can use as its parameter makePart. Each part of
// the JSON text is then a member of an object. The parameter nameFormat is a format of package fmt.
// It makes the name of the member from the number of the part.
func numberedMember(nameFormat string) func(int) string {
	return func(i int) string { return fmt.Sprintf(`,"`+nameFormat+`":0`, i) }
}

// costlyJSON returns JSON objects of at most maxLength bytes that are expensive to parse. The map
// key of each object says why the object is expensive to parse.
func costlyJSON(maxLength int) map[string]string {
	const begin = `{"iss":"https://other.example"`
	thirteen := `,{"":0,"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0}`
	digits := strings.Repeat("1", (maxLength-90)/3)
	texts := map[string]string{
		"one string": fillJSON(maxLength, begin+`,"a":"`, samePart("a"), `"}`),
		"times":      begin + `,"exp":1.` + digits + `e1,"nbf":1.` + digits + `e1,"iat":1.` + digits + `e1}`,
		"scopes":     fillJSON(maxLength, begin+`,"scope":"`, samePart(" a"), `"}`),
		"escapes":    fillJSON(maxLength, begin+`,"iss":"`, samePart(`\u0041`), `"}`),
	}
	for name, format := range map[string]string{
		"names": "a%x", "names in capitals": "A%X", "names like client_id": "Client_%02x", "names with escapes": `\u0041%x`,
		"names beyond ASCII": "ſu%x", "names that only just differ": "claims/aaaaaaaaaaaaaaaaaa%08d",
	} {
		texts[name] = fillJSON(maxLength, begin, numberedMember(format), "}")
	}
	for name, element := range map[string]string{
		"objects of thirteen": thirteen, "objects of one": `,{"":0}`, "empty objects": `,{}`, "numbers": `,0`,
		"arrays": "," + strings.Repeat("[", 29) + "0" + strings.Repeat("]", 29), "strings with escapes": `,"\n"`,
	} {
		texts[name] = fillJSON(maxLength, begin+`,"a":[0`, samePart(element), "]}")
	}
	for _, name := range []string{"aud", "scope", "scp", "amr"} {
		texts[name] = fillJSON(maxLength, begin+`,"`+name+`":[""`, samePart(`,""`), "]}")
		texts[name+" with escapes"] = fillJSON(maxLength, begin+`,"`+name+`":[""`, samePart(`,"\n"`), "]}")
	}
	return texts
}

// forgedTokens returns tokens of nearly 16 KiB that are refused before their signature is verified.
func forgedTokens(keyID string) map[string]string {
	tokens := make(map[string]string)
	header := harness.Base64(`{"alg":"RS256","kid":"` + keyID + `","typ":"at+jwt"}`)
	signature := strings.Repeat("A", 342)
	for name, text := range costlyJSON((xenaauth.DefaultMaxTokenLength - len(header) - len(signature) - 2) / 4 * 3) {
		tokens[name] = header + "." + harness.Base64(text) + "." + signature
	}
	payloads := costlyJSON(5800)
	for name, text := range costlyJSON(6000) {
		tokens[name+" in both"] = harness.Base64(`{"alg":"RS256",`+text[1:]) + "." + harness.Base64(payloads[name]) + "." + signature
	}
	tokens["dots"] = strings.Repeat(".", xenaauth.DefaultMaxTokenLength)
	tokens["no dot"] = "eyJ" + strings.Repeat("A", xenaauth.DefaultMaxTokenLength-3)
	return tokens
}

// measureAllocations calls f n times, measures the memory that each call allocates, and returns the
// smallest of these measurements. The garbage collector is off, because a collection would empty
// the memory pools of the library.
func measureAllocations(n int, f func()) (bytes, objects uint64) {
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

// A forged token costs little, whatever it contains. The library refuses it with at most 24
// allocations. These allocations take at most three times as many bytes as the longest allowed
// token has.
func TestForgedTokensAreCheap(t *testing.T) {
	issuer, handler := guardedByScope(t)
	for name, token := range forgedTokens(issuer.KeyID()) {
		require.LessOrEqual(t, len(token), xenaauth.DefaultMaxTokenLength, name)
		require.Greater(t, len(token), xenaauth.DefaultMaxTokenLength*2/3, name)
		bytes, objects := measureAllocations(5, forgery(t, token, handler))
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
	for name, token := range forgedTokens(issuer.KeyID()) {
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
