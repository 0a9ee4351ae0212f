// Package dpop checks DPoP proofs (RFC 9449). A DPoP-bound access token is useless to a thief: each
// request needs a proof, which the client signs with its private key.
//
//	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{"https://api.example"}})
//	if err != nil {
//		log.Fatal(err)
//	}
//	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: []xenaauth.Proof{proof}})
//
// [FromEnv] does the same with settings from the environment. [xenaauth.Options] says how to
// require a proof for all routes, and [xenaauth.BoundToken] for one route.
//
// # What is checked
//
// The middleware validates the access token first. Then the proof is checked in this order, and the
// first mistake refuses the request:
//
//  1. There is one field DPoP with one proof, within bounds. The header of the proof contains a
//     public key and no private one.
//  2. The key is the key to which the token is bound: its thumbprint (RFC 7638) is the member jkt of
//     cnf.
//  3. The type is dpop+jwt, and the algorithm is accepted. The proof is for this method (htm), this
//     URL (htu) and this token (ath). It is neither too old nor from the future (iat), and has a
//     nonce of this service, if nonces are on.
//  4. The signature verifies.
//  5. The proof was not used before (jti).
//
// So no signature is verified for a client that does not even know the public key of the token, and
// a proof with a mistake is not used up.
//
// # Refusals
//
// A key that is not the key of the token is 401 invalid_token, another mistake is 401
// invalid_dpop_proof, and a missing or old nonce is 401 use_dpop_nonce (RFC 9449, sections 7.1 and
// 9). If the replay store can't tell whether a proof was used before, the response is 503.
//
// docs/possession.md describes proxies, fleets, nonces, browsers and long connections.
package dpop
