package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// headers lists JOSE headers, each with the result or the error that ParseHeader must return.
var headers = []struct {
	name, text string
	want       jose.Header
	err        error
}{
	{"alg alone", `{"alg":"RS256"}`, jose.Header{Algorithm: "RS256"}, nil},
	{"all", `{"typ":"at+jwt","kid":"k","x5t":"t","alg":"ES256"}`, jose.Header{Algorithm: "ES256", KeyID: "k", Thumbprint: "t", Type: "at+jwt", HasType: true}, nil},
	{"space and escapes", ` { "\u0061lg" : "RS\u0032\u00356" } `, jose.Header{Algorithm: "RS256"}, nil},
	{"white space of every kind", "\r\n\t {\n\t\"alg\":\r\"RS256\"\n}\t\r\n", jose.Header{Algorithm: "RS256"}, nil},
	{"alg that isn't known is read", `{"alg":"none"}`, jose.Header{Algorithm: "none"}, nil},
	{"kid that looks like a path", `{"alg":"RS256","kid":"../../dev/null' OR 1=1"}`, jose.Header{Algorithm: "RS256", KeyID: "../../dev/null' OR 1=1"}, nil},
	{"longest kid", `{"alg":"RS256","kid":"` + strings.Repeat("k", 512) + `"}`, jose.Header{Algorithm: "RS256", KeyID: strings.Repeat("k", 512)}, nil},
	{"typ in capitals", `{"alg":"RS256","typ":"AT+JWT"}`, jose.Header{Algorithm: "RS256", Type: "at+jwt", HasType: true}, nil},
	{"typ with its prefix", `{"alg":"RS256","typ":"Application/at+JWT"}`, jose.Header{Algorithm: "RS256", Type: "at+jwt", HasType: true}, nil},
	{"typ with two prefixes", `{"alg":"RS256","typ":"application/application/jwt"}`, jose.Header{Algorithm: "RS256", Type: "application/jwt", HasType: true}, nil},
	{"keys from outside are passed over", `{"alg":"RS256","jku":"https://evil.example","jwk":{"kty":"RSA","d":[1]},"x5u":1,"x5c":["a"]}`, jose.Header{Algorithm: "RS256"}, nil},
	{"unknown members", `{"alg":"RS256","a":{"crit":["b64"],"alg":"none"},"x5t#S256":"s"}`, jose.Header{Algorithm: "RS256"}, nil},
	{"cty that is no token", `{"alg":"RS256","cty":"json"}`, jose.Header{Algorithm: "RS256"}, nil},

	{"no alg", `{}`, jose.Header{}, jose.ErrAlgorithm},
	{"only others", `{"typ":"JWT","kid":"k"}`, jose.Header{}, jose.ErrAlgorithm},
	{"crit", `{"alg":"RS256","crit":["exp"],"exp":1}`, jose.Header{}, jose.ErrHeader},
	{"crit empty", `{"alg":"RS256","crit":[]}`, jose.Header{}, jose.ErrHeader},
	{"crit null", `{"alg":"RS256","crit":null}`, jose.Header{}, jose.ErrHeader},
	{"crit first", `{"crit":["b64"],"b64":false,"alg":"RS256"}`, jose.Header{}, jose.ErrHeader},
	{"b64 false", `{"alg":"RS256","b64":false}`, jose.Header{}, jose.ErrHeader},
	{"b64 true", `{"alg":"RS256","b64":true}`, jose.Header{}, jose.ErrHeader},
	{"zip", `{"alg":"RS256","zip":"DEF"}`, jose.Header{}, jose.ErrHeader},
	{"enc", `{"alg":"dir","enc":"A128GCM"}`, jose.Header{}, jose.ErrHeader},
	{"crit and no alg", `{"crit":["x"]}`, jose.Header{}, jose.ErrHeader},
	{"nested token", `{"alg":"RS256","cty":"JWT"}`, jose.Header{}, jose.ErrHeader},
	{"nested token with its prefix", `{"alg":"RS256","cty":"application/at+jwt"}`, jose.Header{}, jose.ErrHeader},

	{"alg empty", `{"alg":""}`, jose.Header{}, jose.ErrMalformed},
	{"kid too long", `{"alg":"RS256","kid":"` + strings.Repeat("k", 513) + `"}`, jose.Header{}, jose.ErrMalformed},
	{"kid empty", `{"alg":"RS256","kid":""}`, jose.Header{}, jose.ErrMalformed},
	{"kid a number", `{"alg":"RS256","kid":1}`, jose.Header{}, jose.ErrMalformed},
	{"kid null", `{"alg":"RS256","kid":null}`, jose.Header{}, jose.ErrMalformed},
	{"kid an array", `{"alg":"RS256","kid":["k"]}`, jose.Header{}, jose.ErrMalformed},
	{"x5t a number", `{"alg":"RS256","x5t":1}`, jose.Header{}, jose.ErrMalformed},
	{"typ an array", `{"alg":"RS256","typ":["JWT"]}`, jose.Header{}, jose.ErrMalformed},
	{"typ empty", `{"alg":"RS256","typ":""}`, jose.Header{}, jose.ErrMalformed},
	{"cty a number", `{"alg":"RS256","cty":1}`, jose.Header{}, jose.ErrMalformed},
	{"alg twice", `{"alg":"RS256","alg":"none"}`, jose.Header{}, jose.ErrMalformed},
	{"alg twice, escaped", `{"alg":"RS256","al\u0067":"none"}`, jose.Header{}, jose.ErrMalformed},
	{"alg in capitals", `{"alg":"RS256","ALG":"none"}`, jose.Header{}, jose.ErrMalformed},
	{"kid with a Kelvin sign", `{"alg":"RS256","\u212aid":"k"}`, jose.Header{}, jose.ErrMalformed},
	{"crit in capitals", `{"alg":"RS256","Crit":["x"]}`, jose.Header{}, jose.ErrMalformed},
	{"unknown member twice", `{"alg":"RS256","a":1,"a":2}`, jose.Header{}, jose.ErrMalformed},
	{"jwk with a repeated name", `{"alg":"RS256","jwk":{"a":1,"a":2}}`, jose.Header{}, jose.ErrMalformed},
	{"unknown member that is no JSON", `{"alg":"RS256","a":x}`, jose.Header{}, jose.ErrMalformed},
	{"crit that is no JSON", `{"alg":"RS256","crit":x}`, jose.Header{}, jose.ErrMalformed},
	{"crit and a syntax error behind", `{"alg":"RS256","crit":[1]`, jose.Header{}, jose.ErrMalformed},
	{"array", `["alg"]`, jose.Header{}, jose.ErrMalformed},
	{"nothing", ``, jose.Header{}, jose.ErrMalformed},
	{"no JSON", `alg`, jose.Header{}, jose.ErrMalformed},
	{"no UTF-8", "{\"alg\":\"RS256\",\"kid\":\"\xff\"}", jose.Header{}, jose.ErrMalformed},
	{"other white space", "\f{\"alg\":\"RS256\"}", jose.Header{}, jose.ErrMalformed},
	{"byte order mark", "\ufeff{\"alg\":\"RS256\"}", jose.Header{}, jose.ErrMalformed},
	{"two objects", `{"alg":"RS256"}{}`, jose.Header{}, jose.ErrMalformed},
}

func TestParseHeader(t *testing.T) {
	for _, tt := range headers {
		t.Run(tt.name, func(t *testing.T) {
			h, err := jose.ParseHeader(b64([]byte(tt.text)))
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
				require.Nil(t, h)
				return
			}
			require.NoError(t, err)
			require.Equal(t, &tt.want, h)
		})
	}
}

// An alg in the header that is not a string counts as a missing alg.
func TestAlgorithmThatIsNotAString(t *testing.T) {
	for _, value := range []string{`1`, `null`, `["RS256"]`, `true`, `{"a":1}`} {
		_, err := jose.ParseHeader(b64([]byte(`{"alg":` + value + `}`)))
		require.ErrorIs(t, err, jose.ErrAlgorithm, value)
	}
}

func TestHeaderIsBounded(t *testing.T) {
	sized := func(n int) string { // 6 KiB of JSON are 8 KiB in base64url
		const frame = `{"alg":"RS256","x5c":["` + `"]}`
		return b64([]byte(`{"alg":"RS256","x5c":["` + strings.Repeat("A", n-len(frame)) + `"]}`))
	}
	require.Len(t, sized(6<<10), 8<<10)
	_, err := jose.ParseHeader(sized(6 << 10))
	require.NoError(t, err)
	_, err = jose.ParseHeader(sized(6<<10 + 1))
	require.ErrorIs(t, err, jose.ErrMalformed)
}

func header(i int) string { return b64(fmt.Appendf(nil, `{"alg":"RS256","kid":"%d"}`, i)) }

func TestOnlyKeepStoresHeaders(t *testing.T) {
	var c jose.Headers
	first, second := new(jose.Header), new(jose.Header)
	for _, want := range []*jose.Header{nil, first} {
		for range 2 {
			h, full := c.Get(header(1))
			require.Same(t, want, h)
			require.False(t, full)
			h, _ = c.Get(header(2))
			require.Nil(t, h)
		}
		c.Keep(header(1), first)
	}
	c.Keep(header(2), second)
	c.Keep(header(1), first)
	for i, want := range []*jose.Header{first, second} {
		h, _ := c.Get(header(i + 1))
		require.Same(t, want, h)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	var c jose.Headers
	for i := range 1000 {
		_, full := c.Get(header(i))
		require.Equal(t, i >= 256, full)
		c.Keep(header(i), &jose.Header{KeyID: fmt.Sprint(i)})
	}
	for i := range 1000 {
		h, full := c.Get(header(i))
		require.True(t, full)
		if i >= 256 {
			require.Nil(t, h)
			continue
		}
		require.Equal(t, fmt.Sprint(i), h.KeyID)
	}
}

func TestHeadersConcurrently(t *testing.T) {
	var c jose.Headers
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 400 {
				n := (i*7 + g*13) % 300
				if h, _ := c.Get(header(n)); h != nil && h.KeyID != fmt.Sprint(n) {
					t.Errorf("header %d: %v", n, h)
					return
				}
				c.Keep(header(n), &jose.Header{KeyID: fmt.Sprint(n)})
			}
		})
	}
	all.Wait()
	count := 0
	for i := range 300 {
		if h, _ := c.Get(header(i)); h != nil {
			count++
		}
	}
	require.Equal(t, 256, count, "all headers up to the bound are stored")
}

// FuzzHeader compares ParseHeader with encoding/json. If ParseHeader accepts a header, both must
// read the same members from it.
func FuzzHeader(f *testing.F) {
	for _, tt := range headers {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		// Random bytes are rarely valid base64url. So the test also encodes each input in
		// base64url.
		_, _ = jose.ParseHeader(string(raw))
		if cut, ok := jose.Split(string(raw)); ok {
			_, _ = cut.Payload()
			_, _ = cut.Hash().Verify("ES256", nil)
			_ = cut.LooksLikeJWT()
		}
		segment := b64(raw)
		h, err := jose.ParseHeader(segment)
		if err != nil {
			require.Nil(t, h)
			return
		}
		require.Equal(t, raw, must(base64.RawURLEncoding.DecodeString(segment)))
		var std map[string]any
		var folded struct{ Alg, Kid, X5t, Typ string }
		require.NoError(t, json.Unmarshal(raw, &folded))
		require.Equal(t, folded.Alg, h.Algorithm)
		require.Equal(t, folded.Kid, h.KeyID)
		require.Equal(t, folded.X5t, h.Thumbprint)
		require.Equal(t, folded.Typ != "", h.HasType)
		if json.Unmarshal(raw, &std) == nil {
			for _, name := range []string{"crit", "b64", "zip", "enc"} {
				require.NotContains(t, std, name)
			}
		}
	})
}
