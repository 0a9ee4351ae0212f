package jose

import (
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// algorithm is how a signature algorithm of the allow-list binds to keys.
type algorithm struct {
	name      string
	kty, crv  string // of the keys that it works with
	signature int    // its length in bytes; 0: that of the modulus
	verifier  jws.Verifier
}

// algorithms is the allow-list. None and the HMACs do not exist here.
var algorithms = func() map[string]*algorithm {
	table := make(map[string]*algorithm)
	for _, a := range []algorithm{
		{name: "RS256", kty: "RSA"}, {name: "RS384", kty: "RSA"}, {name: "RS512", kty: "RSA"},
		{name: "PS256", kty: "RSA"}, {name: "PS384", kty: "RSA"}, {name: "PS512", kty: "RSA"},
		{name: "ES256", kty: "EC", crv: "P-256", signature: 64},
		{name: "ES384", kty: "EC", crv: "P-384", signature: 96},
		{name: "ES512", kty: "EC", crv: "P-521", signature: 132},
		{name: "EdDSA", kty: "OKP", crv: "Ed25519", signature: 64},
	} {
		v, err := jws.NewVerifier(jwa.SignatureAlgorithm(a.name))
		if err != nil {
			panic(fmt.Sprintf("jose: no verifier for %s: %v", a.name, err))
		}
		a.verifier = v
		table[a.name] = &a
	}
	return table
}()

// Known reports whether an algorithm is on the allow-list.
func Known(name string) bool { return algorithms[name] != nil }
