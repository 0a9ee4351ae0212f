package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// Key is a public key from a key set.
type Key struct {
	id, x5t string
	// algorithm is the only algorithm for which the key may be used, from the member alg of the
	// key. It is nil if the key has no alg. Then every algorithm for this type of key is allowed.
	algorithm *algorithm
	kty, crv  string
	size      int // size is the length of an RSA modulus, in bytes
	public    any
	// fingerprint is a hash of all that identifies the key: the public key, kid, x5t and algorithm
	fingerprint [sha256.Size]byte
}

const (
	minModulus = 2048 / 8
	// an RSA key with a larger modulus is not used, because the check of each forged token would
	// take too long
	maxModulus = 8192 / 8
)

// Key.fits reports whether the key can verify signatures of the algorithm a: whether its type, its
// curve and its member alg agree with a.
func (k *Key) fits(a *algorithm) bool {
	return k.kty == a.kty && k.crv == a.crv && (k.algorithm == nil || k.algorithm == a)
}

func (k *Key) verify(a *algorithm, in signedText, signature []byte) bool {
	if !k.fits(a) {
		return false
	}
	size := a.signature
	if size == 0 {
		size = k.size
	}
	return len(signature) == size && a.verify(in, signature, k.public)
}

// jwkNames contains the names of the members of a key (JWK) that parseKey reads. The list also has
// the private members, because parseKey refuses a key that has a private member.
var jwkNames = []string{
	"kty", "use", "key_ops", "alg", "kid", "x5t", "n", "e", "crv", "x", "y", "d", "p", "q", "dp", "dq", "qi", "oth", "k",
}

var registeredJWK = claims.NewNames(jwkNames...)

// parseKey parses one key of a key set. It ignores the certificates of the key, because identity
// servers publish expired and self-signed certificates. A key is trusted because it is in the
// issuer's key set.
func parseKey(text string) (*Key, error) {
	m := make(map[string]string)
	var operations []string
	err := claims.Object(text, registeredJWK, func(name string, d *claims.Decoder) error {
		var ok bool
		switch {
		case d.Null():
			ok = true
		case name == "key_ops":
			if operations, ok = d.Strings(); ok && !slices.Contains(operations, "verify") {
				return errors.New("not for verifying")
			}
		case slices.Contains(jwkNames, name):
			m[name], ok = d.String()
		default:
			_, ok = d.Raw()
		}
		if !ok {
			return fmt.Errorf("member %q is malformed", name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := m[private]; ok {
			return nil, errors.New("private or symmetric key")
		}
	}
	if use, ok := m["use"]; ok && use != "sig" {
		return nil, errors.New("not for signatures")
	}
	if len(m["kid"]) > maxKeyID || len(m["x5t"]) > maxKeyID {
		return nil, errors.New("key id too long")
	}
	k := &Key{id: m["kid"], x5t: m["x5t"], kty: m["kty"], crv: m["crv"]}
	named := ""
	if alg := m["alg"]; alg != "" {
		if k.algorithm = algorithms[alg]; k.algorithm == nil {
			return nil, errors.New("algorithm is not on the allow-list")
		}
		// The key may name its algorithm EdDSA or Ed25519. Here both become one name, so that the
		// hash of the key does not depend on the name.
		named = k.algorithm.name
	}
	if err := k.material(m); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(allAlgorithms, k.fits) {
		return nil, errors.New("type and algorithm do not agree")
	}
	k.fingerprint = sha256.Sum256([]byte(strings.Join(
		[]string{k.id, k.x5t, named, k.kty, k.crv, m["n"], m["e"], m["x"], m["y"]}, "\x00")))
	return k, nil
}

// CheckKey returns the reason why [ParseKeySet] would skip a key. It returns nil if the key can be
// used.
func CheckKey(text string) error {
	_, err := parseKey(text)
	return err
}

var allAlgorithms = func() (all []*algorithm) {
	for _, a := range algorithms {
		all = append(all, a)
	}
	return all
}()

// coordinates maps the name of each elliptic curve to the length in bytes that the coordinates x
// and y of a key have.
var coordinates = map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}

// isSigned reports whether the modulus of a key begins with a zero byte only because the first bit
// of the next byte is set. The caller has checked that the first byte is zero. Some libraries write
// a modulus in this form (RFC 7518, section 6.3.1.1). The zero byte does not change the value of
// the modulus.
func isSigned(modulus []byte) bool { return len(modulus) > 1 && modulus[1] >= 0x80 }

// Key.material builds the public key from the modulus and the exponent, or from the coordinates, in
// a key of the key set (JWK).
func (k *Key) material(m map[string]string) error {
	var want []string
	switch k.kty {
	case "RSA":
		want, k.crv = []string{"n", "e"}, ""
	case "EC":
		want = []string{"crv", "x", "y"}
	case "OKP":
		want = []string{"crv", "x"}
	default:
		return errors.New("unknown key type")
	}
	plain := map[string]string{"kty": k.kty}
	for _, name := range want {
		plain[name] = m[name]
		value, err := decodeString(m[name])
		switch {
		case m[name] == "" || name != "crv" && err != nil:
			return fmt.Errorf("member %q is missing or malformed", name)
		// The modulus and the exponent of an RSA key must not begin with a zero byte (Base64urlUInt
		// in RFC 7518, section 2). There is one exception, because some libraries write it: a
		// modulus may begin with a zero byte if the first bit of the next byte is set.
		case k.kty == "RSA" && value[0] == 0 && !(name == "n" && isSigned(value)):
			return fmt.Errorf("member %q begins with a zero octet", name)
		// The coordinates x and y must have the length in bytes that the curve gives to
		// coordinates, with leading zero bytes (RFC 7518, sections 6.2.1.2 and 6.2.1.3).
		case k.kty == "EC" && name != "crv" && len(value) != coordinates[k.crv]:
			return fmt.Errorf("member %q has not the length of a coordinate of the curve", name)
		case name == "e" && len(value) > 4:
			// an RSA exponent of more than four bytes is refused, because jwx would ignore its
			// first bytes
			return errors.New("RSA exponent is too large")
		}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	parsed, err := jwk.ParseKey(text)
	if err != nil {
		return errors.New("key is malformed")
	}
	if err := parsed.Raw(&k.public); err != nil {
		return errors.New("key is malformed")
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		k.size = public.Size()
		if n := public.N.BitLen(); n < 8*minModulus || n > 8*maxModulus {
			return fmt.Errorf("RSA key of %d bits", n)
		}
		if public.E < 3 || public.E%2 == 0 || public.E > 1<<31-1 || public.N.Bit(0) == 0 {
			return errors.New("RSA key is not one")
		}
	case *ecdsa.PublicKey:
		if _, err := public.ECDH(); err != nil {
			return errors.New("point is not on the curve")
		}
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return errors.New("key has the wrong length")
		}
	default:
		return errors.New("unknown curve")
	}
	return nil
}
