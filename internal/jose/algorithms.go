package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"maps"
	"slices"
)

// algorithm is a supported signature algorithm.
type algorithm struct {
	name string
	// kty and crv are the type and the curve that a key for this algorithm must have
	kty, crv string
	// signature is the length of a signature in bytes; 0 means that it is as long as the RSA
	// modulus
	signature int
	hash      crypto.Hash
	pss       bool
}

// algorithms contains the supported signature algorithms, by their names. The algorithms "none" and
// HS256, HS384 and HS512 are left out, because they are not safe for access tokens.
var algorithms = func() map[string]*algorithm {
	table := make(map[string]*algorithm)
	for _, a := range []algorithm{
		{name: "RS256", kty: "RSA", hash: crypto.SHA256},
		{name: "RS384", kty: "RSA", hash: crypto.SHA384},
		{name: "RS512", kty: "RSA", hash: crypto.SHA512},
		{name: "PS256", kty: "RSA", hash: crypto.SHA256, pss: true},
		{name: "PS384", kty: "RSA", hash: crypto.SHA384, pss: true},
		{name: "PS512", kty: "RSA", hash: crypto.SHA512, pss: true},
		{name: "ES256", kty: "EC", crv: "P-256", signature: 64, hash: crypto.SHA256},
		{name: "ES384", kty: "EC", crv: "P-384", signature: 96, hash: crypto.SHA384},
		{name: "ES512", kty: "EC", crv: "P-521", signature: 132, hash: crypto.SHA512},
		{name: "EdDSA", kty: "OKP", crv: "Ed25519", signature: ed25519.SignatureSize},
	} {
		table[a.name] = &a
	}
	// RFC 9864, section 2.2, gives EdDSA with the curve Ed25519 the second name Ed25519.
	table["Ed25519"] = table["EdDSA"]
	return table
}()

// SupportsAlgorithm reports whether the signature algorithm with this name is supported.
func SupportsAlgorithm(name string) bool { return algorithms[name] != nil }

// Algorithms returns the sorted names of all supported signature algorithms.
func Algorithms() []string { return slices.Sorted(maps.Keys(algorithms)) }

// ContainsAlgorithm reports whether a list of names contains the algorithm with the given name. It
// returns false if this algorithm is not supported. EdDSA and Ed25519 are two names of one
// algorithm, so each of them also matches the other.
func ContainsAlgorithm(names []string, name string) bool {
	a := algorithms[name]
	return a != nil && slices.ContainsFunc(names, func(n string) bool { return algorithms[n] == a })
}

// signedText contains the part of a token that the issuer has signed, and the SHA-256 hash of this
// part. The field sum is the hash. The key of the token in the cache of verified tokens depends on
// the same hash. The field input is the signed part. It is empty if the algorithm needs only the
// hash.
type signedText struct {
	input []byte
	sum   *[sha256.Size]byte
}

// algorithm.digest returns the hash of the signed text of a token, made with the hash function of
// the algorithm. A hash that is longer than SHA-256 is stored in buf.
func (a *algorithm) digest(in signedText, buf *[sha512.Size]byte) []byte {
	switch a.hash {
	case crypto.SHA384:
		sum := sha512.Sum384(in.input)
		return append(buf[:0], sum[:]...)
	case crypto.SHA512:
		sum := sha512.Sum512(in.input)
		return append(buf[:0], sum[:]...)
	default:
		return in.sum[:]
	}
}

// algorithm.verify reports whether the signature was made with the private key that belongs to the
// given public key. The caller has checked that the signature has the right length, and that the
// key can be used with the algorithm.
func (a *algorithm) verify(in signedText, signature []byte, key any) bool {
	var buf [sha512.Size]byte
	switch key := key.(type) {
	case *rsa.PublicKey:
		// in an RSA-PSS signature, the salt is as long as the hash (RFC 7518, section 3.5)
		if a.pss {
			options := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(key, a.hash, a.digest(in, &buf), signature, &options) == nil
		}
		return rsa.VerifyPKCS1v15(key, a.hash, a.digest(in, &buf), signature) == nil
	case *ecdsa.PublicKey:
		var der [maxDER]byte
		half := len(signature) / 2
		return ecdsa.VerifyASN1(key, a.digest(in, &buf), appendDER(der[:0], signature[:half], signature[half:]))
	case ed25519.PublicKey:
		return ed25519.Verify(key, in.input, signature)
	}
	return false
}

// maxDER is the length of the longest result of appendDER: the encoding of two P-521 numbers, each
// with a zero byte in front.
const maxDER = 3 + 2*(2+1+66)

// appendDER converts an ECDSA signature from the form of a JWS, in which its numbers r and s have
// their full length (RFC 7518, section 3.4). The result is the form that crypto/ecdsa needs: an
// ASN.1 sequence of two integers.
func appendDER(b, r, s []byte) []byte {
	r, s = trimZeros(r), trimZeros(s)
	n := 4 + len(r) + len(s) + int(r[0]>>7) + int(s[0]>>7)
	b = append(b, 0x30)
	if n >= 0x80 {
		b = append(b, 0x81)
	}
	b = append(b, byte(n))
	for _, number := range [...][]byte{r, s} {
		sign := number[0] >> 7 // without this zero byte, the ASN.1 integer would be negative
		b = append(b, 0x02, byte(len(number))+sign)
		if sign == 1 {
			b = append(b, 0)
		}
		b = append(b, number...)
	}
	return b
}

// trimZeros removes the leading zero bytes of a number (r or s) in an ECDSA signature. If the
// number is zero, one byte stays.
func trimZeros(number []byte) []byte {
	for len(number) > 1 && number[0] == 0 {
		number = number[1:]
	}
	return number
}
