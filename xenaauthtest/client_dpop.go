package xenaauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// NewDPoPClient returns a client that proves possession of key by DPoP (RFC 9449). If key is nil,
// the client makes a key for ES256. NewDPoPClient panics unless key is nil, an *[rsa.PrivateKey],
// an *[ecdsa.PrivateKey] of the curve P-256, P-384 or P-521, or an [ed25519.PrivateKey]. An RSA key
// signs with RS256, an Ed25519 key with EdDSA, and an EC key with the algorithm of its curve.
func NewDPoPClient(key crypto.Signer) *Client {
	algorithm := ""
	switch k := key.(type) {
	case nil:
		algorithm = "ES256"
		key = generate(algorithm)
	case *rsa.PrivateKey:
		algorithm = "RS256"
	case ed25519.PrivateKey:
		algorithm = "EdDSA"
	case *ecdsa.PrivateKey:
		algorithm = map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[k.Params().BitSize]
	}
	if algorithm == "" {
		panic(fmt.Sprintf("xenaauthtest: a DPoP client can't use a key of the type %T", key))
	}
	c := &Client{key: &signingKey{algorithm: algorithm, private: key}, nonces: make(map[string]string)}
	// The thumbprint is the digest of the members that every key of this type has (RFC 7638), in
	// the order of their names. json.Marshal writes the members of a map in this order.
	digest := sha256.Sum256(mustMarshal(c.key.jwk()))
	c.thumbprint = base64.RawURLEncoding.EncodeToString(digest[:])
	return c
}

// signingKey.jwk returns the public key of k as a JWK. The JWK has only those members from which
// the thumbprint of the key is calculated.
func (k *signingKey) jwk() map[string]any {
	public := k.describe()
	jwk := map[string]any{"kty": public.KeyType}
	for name, value := range map[string]string{
		"crv": public.Curve, "x": public.X, "y": public.Y, "n": public.Modulus, "e": public.Exponent,
	} {
		if value != "" {
			jwk[name] = value
		}
	}
	return jwk
}

// Proof returns a new DPoP proof for a request with this method and URL, and for the Token of the
// client. The proof contains the newest nonce of the URL's origin. If [Client].Edit is set, it
// changes the proof before the client signs it. Proof is for requests that the client does not send
// itself, such as gRPC calls: there the method is POST and the path is the full name of the gRPC
// method. Proof panics if target is not an absolute URL, or if the client is not a client of
// NewDPoPClient.
func (c *Client) Proof(method, target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme == "" || u.Host == "" {
		panic(fmt.Sprintf("xenaauthtest: %q is not an absolute URL", target))
	}
	if c.key == nil {
		panic("xenaauthtest: only a client of NewDPoPClient signs proofs")
	}
	return c.proof(method, u.Scheme+"://"+u.Host, u.EscapedPath(), c.Token)
}

func (c *Client) proof(method, origin, path, token string) string {
	header := map[string]any{"typ": "dpop+jwt", "alg": c.key.algorithm, "jwk": c.key.jwk()}
	claims := map[string]any{
		"jti": base64.RawURLEncoding.EncodeToString(randomBytes(16)),
		"htm": method,
		"htu": origin + path,
		"iat": time.Now().Unix(),
	}
	if token != "" {
		digest := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(digest[:])
	}
	c.mu.Lock()
	nonce := c.nonces[origin]
	c.mu.Unlock()
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if c.Edit != nil {
		c.Edit(header, claims)
	}
	absent := func(_ string, value any) bool { return value == nil }
	maps.DeleteFunc(header, absent)
	maps.DeleteFunc(claims, absent)
	key := *c.key
	if alg, ok := header["alg"].(string); ok && key.algorithm == "RS256" &&
		(strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) {
		key.algorithm = alg
	}
	return key.signToken(mustMarshal(header), mustMarshal(claims))
}

// Client.sendWithProof sends r with a DPoP proof. If the server asks for a nonce, sendWithProof
// sends r once more with the nonce.
func (c *Client) sendWithProof(r *http.Request) (*http.Response, error) {
	ownProof := r.Header["Dpop"] != nil
	origin := r.URL.Scheme + "://" + hostOf(r)
	try := func(body io.ReadCloser) (*http.Response, error) {
		out := r.Clone(r.Context())
		if out.Header == nil {
			out.Header = make(http.Header)
		}
		out.Body = body
		c.authorize(out, "DPoP ")
		if !ownProof {
			path := r.URL.EscapedPath()
			if path == "" {
				path = "/"
			}
			out.Header.Set("DPoP", c.proof(methodOf(r), origin, path, c.Token))
		}
		resp, err := c.send(out)
		if err != nil {
			return nil, err
		}
		if nonce := resp.Header.Get("DPoP-Nonce"); nonce != "" {
			c.mu.Lock()
			c.nonces[origin] = nonce
			c.mu.Unlock()
		}
		return resp, nil
	}
	resp, err := try(r.Body)
	if err != nil || ownProof || !wantsNonce(resp) {
		return resp, err
	}
	body := r.Body
	if body != nil && body != http.NoBody {
		if r.GetBody == nil {
			return resp, nil
		}
		if body, err = r.GetBody(); err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
	}
	// Read the body of the response to its end, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return try(body)
}

// wantsNonce reports whether the response asks for a DPoP proof that contains the nonce in this
// response (RFC 9449, section 9).
func wantsNonce(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("DPoP-Nonce") == "" {
		return false
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if strings.Contains(challenge, `error="use_dpop_nonce"`) {
			return true
		}
	}
	return false
}

// methodOf returns the HTTP method of the request r. If r.Method is "", net/http sends GET.
func methodOf(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}
