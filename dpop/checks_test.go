package dpop_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
)

// A Proof accepts DPoP proofs with every supported signature algorithm. Ed25519 is a second name
// for EdDSA (RFC 9864): if Config.Algorithms lists one of these two names, proofs with either name
// are accepted.
func TestAlgorithms(t *testing.T) {
	p := newProof(t, nil)
	for _, name := range strings.Fields(p.Params()["algs"]) {
		k := newKey(t, name)
		require.NoError(t, p.Confirm(requestWith(k.proof(nil, nil)), accessToken, k.thumbprint()), name)
	}
	require.Len(t, strings.Fields(p.Params()["algs"]), 10)
	k := newKey(t, "ES512")
	wantRefusal(t, p.Confirm(requestWith(k.proof(nil, nil)), accessToken, k.thumbprint()), xenaauth.ReasonProof, "not a supported public key")

	p = newProof(t, func(c *dpop.Config) { c.Algorithms = []string{"PS256", "EdDSA"} })
	require.Equal(t, "PS256 EdDSA", p.Params()["algs"])
	for name, accepted := range map[string]bool{"PS256": true, "EdDSA": true, "Ed25519": true, "RS256": false, "ES256": false} {
		k := newKey(t, name)
		err := p.Confirm(requestWith(k.proof(nil, nil)), accessToken, k.thumbprint())
		if accepted {
			require.NoError(t, err, name)
			continue
		}
		wantRefusal(t, err, xenaauth.ReasonProof, `alg is "`+name+`", Config.Algorithms is [PS256 EdDSA]`)
	}
}

// In each case of this test, a DPoP proof has one mistake and is otherwise good (RFC 9449, section
// 4.3). The proof is refused, also by a Proof that leaves the replay check to a gateway.
func TestEachMistake(t *testing.T) {
	p := newProof(t, nil)
	behind := newProof(t, func(c *dpop.Config) { c.ReplayCheckedElsewhere = true })
	k, other, rs, ed := newKey(t, "ES256"), newKey(t, "ES256"), newKey(t, "RS256"), newKey(t, "EdDSA")
	good := k.proof(nil, nil)
	parts := strings.Split(good, ".")
	jwk := func(changes object) object {
		members := object{}
		for name, value := range k.jwk {
			members[name] = value
		}
		return object{"jwk": changed(members, changes)}
	}
	const proof, confirmation = xenaauth.ReasonProof, xenaauth.ReasonConfirmation
	for name, tt := range map[string]struct {
		proofs []string
		reason xenaauth.Reason
		cause  string
	}{
		"no field":                   {nil, proof, "the DPoP field is missing"},
		"two fields":                 {[]string{good, k.proof(nil, nil)}, proof, "the DPoP field is repeated"},
		"an empty field":             {[]string{""}, proof, "not a JWT"},
		"two proofs in a field":      {[]string{good + ", " + k.proof(nil, nil)}, proof, "not a JWT"},
		"a long field":               {[]string{good + strings.Repeat("A", 8<<10)}, proof, "more than 8192 bytes"},
		"two segments":               {[]string{parts[0] + "." + parts[1]}, proof, "not a JWT"},
		"four segments":              {[]string{good + ".x"}, proof, "not a JWT"},
		"padding":                    {[]string{parts[0] + "=." + parts[1] + "." + parts[2]}, proof, "not a JWS"},
		"no signature":               {[]string{parts[0] + "." + parts[1] + "."}, proof, "signature"},
		"another signature":          {[]string{parts[0] + "." + parts[1] + "." + strings.Split(k.proof(nil, nil), ".")[2]}, proof, "signature does not verify"},
		"signed by another key":      {[]string{other.sign(toJSON(k.header(nil)), toJSON(goodClaims(nil)))}, proof, "signature does not verify"},
		"no typ":                     {[]string{k.proof(object{"typ": nil}, nil)}, proof, `typ is "", not "dpop+jwt"`},
		"another typ":                {[]string{k.proof(object{"typ": "at+jwt"}, nil)}, proof, `typ is "at+jwt"`},
		"typ in another case":        {[]string{k.proof(object{"typ": "DPoP+JWT"}, nil)}, proof, "typ is"},
		"no alg":                     {[]string{k.proof(object{"alg": nil}, nil)}, proof, "algorithm is not allowed"},
		"alg none":                   {[]string{k.proof(object{"alg": "none"}, nil)}, proof, "algorithm is not allowed"},
		"alg HS256":                  {[]string{k.proof(object{"alg": "HS256"}, nil)}, proof, "algorithm is not allowed"},
		"alg of another curve":       {[]string{k.proof(object{"alg": "ES384"}, nil)}, proof, "jwk and alg do not fit"},
		"alg of another type":        {[]string{k.proof(object{"alg": "RS256"}, nil)}, proof, "jwk and alg do not fit"},
		"crit":                       {[]string{k.proof(object{"crit": []string{"exp"}}, nil)}, proof, "extension"},
		"b64":                        {[]string{k.proof(object{"b64": false}, nil)}, proof, "extension"},
		"no jwk":                     {[]string{k.proof(object{"jwk": nil}, nil)}, proof, "jwk is missing"},
		"jwk is a text":              {[]string{k.proof(object{"jwk": "x"}, nil)}, proof, "compact form"},
		"a private key":              {[]string{k.proof(jwk(object{"d": "AQAB"}), nil)}, proof, "private"},
		"a symmetric key":            {[]string{k.proof(jwk(object{"k": "AQAB"}), nil)}, proof, "private"},
		"a key for encryption":       {[]string{k.proof(jwk(object{"use": "enc"}), nil)}, proof, "not for signatures"},
		"a key that may not verify":  {[]string{k.proof(jwk(object{"key_ops": []string{"encrypt"}}), nil)}, proof, "not for signatures"},
		"a key with another alg":     {[]string{k.proof(jwk(object{"alg": "ES384"}), nil)}, proof, "do not fit"},
		"x in another form":          {[]string{k.proof(jwk(object{"x": k.jwk["x"] + "="}), nil)}, proof, "supported public key"},
		"x is a number":              {[]string{k.proof(jwk(object{"x": 5}), nil)}, proof, "malformed member"},
		"a name in another case":     {[]string{k.proof(jwk(object{"X": k.jwk["x"]}), nil)}, proof, "compact form"},
		"no x":                       {[]string{k.proof(jwk(object{"x": nil}), nil)}, proof, "supported public key"},
		"an unknown type":            {[]string{k.proof(jwk(object{"kty": "AKP"}), nil)}, proof, "do not fit"},
		"the key of another client":  {[]string{other.proof(nil, nil)}, confirmation, "not the key of cnf.jkt"},
		"another type of key":        {[]string{ed.proof(nil, nil)}, confirmation, "not the key of cnf.jkt"},
		"an RSA key with a small e":  {[]string{rs.proof(object{"jwk": changed(object{"kty": "RSA", "n": rs.jwk["n"]}, object{"e": "Aw"})}, nil)}, proof, "supported public key"},
		"repeated claims":            {[]string{k.sign(toJSON(k.header(nil)), strings.Replace(toJSON(goodClaims(nil)), "{", `{"htm":"GET",`, 1))}, proof, "strict JSON"},
		"repeated header":            {[]string{k.sign(strings.Replace(toJSON(k.header(nil)), "{", `{"typ":"dpop+jwt",`, 1), toJSON(goodClaims(nil)))}, proof, "compact form"},
		"a claim in another case":    {[]string{k.proof(nil, object{"HTM": "GET"})}, proof, "strict JSON"},
		"claims in a list":           {[]string{k.sign(toJSON(k.header(nil)), "["+toJSON(goodClaims(nil))+"]")}, proof, "strict JSON"},
		"no jti":                     {[]string{k.proof(nil, object{"jti": nil})}, proof, "jti"},
		"an empty jti":               {[]string{k.proof(nil, object{"jti": ""})}, proof, "jti"},
		"a long jti":                 {[]string{k.proof(nil, object{"jti": strings.Repeat("j", 257)})}, proof, "jti"},
		"jti is a number":            {[]string{k.proof(nil, object{"jti": 7})}, proof, "wrong type"},
		"no htm":                     {[]string{k.proof(nil, object{"htm": nil})}, proof, "missing"},
		"another method":             {[]string{k.proof(nil, object{"htm": "POST"})}, proof, `htm is "POST", not "GET"`},
		"htm in another case":        {[]string{k.proof(nil, object{"htm": "get"})}, proof, "htm is"},
		"no htu":                     {[]string{k.proof(nil, object{"htu": nil})}, proof, "missing"},
		"another path":               {[]string{k.proof(nil, object{"htu": "https://api.example/orders/8"})}, proof, `htu has the path "/orders/8", the request has "/orders/7"`},
		"another case of the path":   {[]string{k.proof(nil, object{"htu": "https://api.example/Orders/7"})}, proof, "htu has the path"},
		"another host":               {[]string{k.proof(nil, object{"htu": "https://api.example.evil/orders/7"})}, proof, `htu has the origin "https://api.example.evil", Config.PublicOrigins is [https://api.example]`},
		"another scheme":             {[]string{k.proof(nil, object{"htu": "http://api.example/orders/7"})}, proof, "htu has the origin"},
		"another port":               {[]string{k.proof(nil, object{"htu": "https://api.example:8443/orders/7"})}, proof, "htu has the origin"},
		"user information":           {[]string{k.proof(nil, object{"htu": "https://api.example@evil.example/orders/7"})}, proof, "malformed"},
		"only a path":                {[]string{k.proof(nil, object{"htu": "/orders/7"})}, proof, "absolute URL"},
		"no iat":                     {[]string{k.proof(nil, object{"iat": nil})}, proof, "missing"},
		"iat is a text":              {[]string{k.proof(nil, object{"iat": "1"})}, proof, "wrong type"},
		"iat is negative":            {[]string{k.proof(nil, object{"iat": -1})}, proof, "wrong type"},
		"iat is null":                {[]string{k.proof(nil, object{"iat": jsonNull})}, proof, "wrong type"},
		"no ath":                     {[]string{k.proof(nil, object{"ath": nil})}, proof, "missing"},
		"ath of another token":       {[]string{k.proof(nil, object{"ath": b64(make([]byte, 32))})}, proof, "ath is not"},
		"ath with padding":           {[]string{k.proof(nil, object{"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo="})}, proof, "ath is not"},
		"an expired proof":           {[]string{k.proof(nil, object{"exp": time.Now().Add(-time.Minute).Unix()})}, proof, "exp is"},
		"a proof of tomorrow":        {[]string{k.proof(nil, object{"nbf": time.Now().Add(time.Hour).Unix()})}, proof, "nbf is"},
		"members without an end":     {[]string{k.sign(toJSON(k.header(nil)), "{"+strings.Repeat(`"a":1,`, 10)+"}")}, proof, "strict JSON"},
		"a header that is no object": {[]string{k.sign(`"x"`, toJSON(goodClaims(nil)))}, proof, "compact form"},
	} {
		t.Run(name, func(t *testing.T) {
			jkt := k.thumbprint()
			if name == "an RSA key with a small e" {
				jkt = rs.thumbprint()
			}
			err := p.Confirm(requestWith(tt.proofs...), accessToken, jkt)
			wantRefusal(t, err, tt.reason, tt.cause)
			wantRefusal(t, behind.Confirm(requestWith(tt.proofs...), accessToken, jkt), tt.reason, tt.cause)
			for _, part := range append(tt.proofs, accessToken) {
				if part != "" {
					require.NotContains(t, err.Error(), part)
				}
			}
		})
	}
	require.NoError(t, p.Confirm(requestWith(good), accessToken, k.thumbprint()), "no mistake has used up a good proof")
}

// A DPoP proof is accepted although its header or its claims contain members that RFC 9449 does not
// define, or write a value in an unusual form, for example iat with a fraction.
func TestUnusualGoodProofs(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "ES256")
	members := object{"kid": "a", "use": "sig", "alg": "ES256", "key_ops": []string{"verify"}, "ext": true}
	for name, value := range k.jwk {
		members[name] = value
	}
	for name, proof := range map[string]string{
		"a kid and a certificate":    k.proof(object{"kid": "x", "x5c": []string{"AAAA"}}, nil),
		"a jwk of WebCrypto":         k.proof(object{"jwk": members}, nil),
		"other claims":               k.proof(nil, object{"sub": "ann", "exp": time.Now().Add(time.Minute).Unix(), "events": object{}}),
		"a time with a fraction":     k.proof(nil, object{"iat": float64(time.Now().Unix()) + 0.25}),
		"a nonce that nobody needs":  k.proof(nil, object{"nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"}),
		"a jti beyond ASCII":         k.proof(nil, object{"jti": "é😀" + strings.Repeat("j", 200)}),
		"white space":                k.sign(" "+toJSON(k.header(nil))+"\n", "\t"+toJSON(goodClaims(nil))+" "),
		"the longest jti":            k.proof(nil, object{"jti": strings.Repeat("k", 256)}),
		"a query and a fragment":     k.proof(nil, object{"htu": publicURL + "?x=1#y"}),
		"another query":              k.proof(nil, object{"htu": publicURL + "?y=2"}),
		"the scheme in another case": k.proof(nil, object{"htu": "HTTPS://API.Example:443/orders/7"}),
	} {
		require.NoError(t, p.Confirm(requestWith(proof), accessToken, k.thumbprint()), name)
	}
}

// A DPoP proof with an RSA key is accepted only if the key has 2048 to 4096 bits.
func TestSizeOfRSAKeys(t *testing.T) {
	p := newProof(t, nil)
	for bits, accepted := range map[int]bool{2047: false, 2048: true, 3072: true, 4104: false} {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		require.NoError(t, err)
		k := &clientKey{private, rsaJWK(&private.PublicKey), "PS256"}
		err = p.Confirm(requestWith(k.proof(nil, nil)), accessToken, k.thumbprint())
		if accepted {
			require.NoError(t, err, bits)
			continue
		}
		wantRefusal(t, err, xenaauth.ReasonProof, "2048 to 4096 bits")
	}
}

// A DPoP proof is accepted in the time from iat - ClockSkew to iat + Window + ClockSkew, also by a
// Proof that leaves the replay check to a gateway.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		window := func(c *dpop.Config) { c.Window, c.ClockSkew = 20*time.Second, 5*time.Second }
		p := newProof(t, window)
		behind := newProof(t, func(c *dpop.Config) { window(c); c.ReplayCheckedElsewhere = true })
		k := newKey(t, "EdDSA")
		for _, tt := range []struct {
			// proofAge is the time from the iat of the proof to the request.
			proofAge time.Duration
			accepted bool
		}{
			{-5001 * time.Millisecond, false},
			{-5 * time.Second, true},
			{0, true},
			{25 * time.Second, true},
			{25*time.Second + time.Nanosecond, false},
			{time.Hour, false},
		} {
			start := time.Now().Truncate(time.Second).Add(time.Minute)
			proof := k.proof(nil, object{"iat": start.Unix()})
			time.Sleep(time.Until(start.Add(tt.proofAge)))
			for _, p := range []*dpop.Proof{p, behind} {
				err := p.Confirm(requestWith(proof), accessToken, k.thumbprint())
				if tt.accepted {
					require.NoError(t, err, tt.proofAge)
					continue
				}
				wantRefusal(t, err, xenaauth.ReasonProof, "iat is ")
				require.ErrorContains(t, err, "the time here is ")
			}
		}
		// If the iat of a proof is far in the past or in the future, no calculation overflows, and
		// the proof is refused.
		for _, iat := range []int64{1, 253402300799} {
			err := p.Confirm(requestWith(k.proof(nil, object{"iat": iat})), accessToken, k.thumbprint())
			wantRefusal(t, err, xenaauth.ReasonProof, "iat is ")
		}
	})
}

// The claim htm of a proof must be the method of the request, also if this method is unusual.
func TestMethods(t *testing.T) {
	p := newProof(t, nil)
	k := newKey(t, "ES256")
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodOptions, "PURGE"} {
		r := requestWith(k.proof(nil, object{"htm": method}))
		wantRefusal(t, p.Confirm(r, accessToken, k.thumbprint()), xenaauth.ReasonProof, "htm is")
		r.Method = method
		require.NoError(t, p.Confirm(r, accessToken, k.thumbprint()), method)
	}
}
