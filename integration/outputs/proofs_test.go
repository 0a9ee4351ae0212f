package outputs

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/replay"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// nonceSecret is the secret from which the API makes nonces for DPoP. No output may contain it.
const nonceSecret = "nonce-secret-that-is-long-enough-5b1e"

// failingStore is a store of used DPoP proofs. It always fails.
type failingStore struct{}

func (failingStore) Use(context.Context, string, string, time.Time) (bool, error) {
	return false, errors.New("the store is away")
}

// proofsWith returns a function that makes the proofs of possession for the API's middleware: DPoP
// and mTLS. If nonces is true, each DPoP proof of a client must contain a nonce.
func proofsWith(store replay.Store, nonces bool) func(testing.TB) []xenaauth.Proof {
	return func(t testing.TB) []xenaauth.Proof {
		c := dpop.Config{PublicOrigins: []string{"https://api.example"}, Replay: store}
		if nonces {
			c.NonceSecrets = [][]byte{[]byte(nonceSecret)}
		}
		d, err := dpop.New(c)
		fatal(t, err)
		m, err := mtls.New(mtls.Config{})
		fatal(t, err)
		return []xenaauth.Proof{d, m}
	}
}

// provenRequest returns a value for attack.makeRequest: a function that makes a request with a DPoP
// proof and with a token that is bound to a key. editProof changes the proof before it is signed,
// and editRequest changes the request. Both may be nil.
func provenRequest(
	editProof func(header, claims map[string]any), editRequest func(s *service, r *http.Request, proof string),
) func(*service) (*http.Request, []string) {
	return func(s *service) (*http.Request, []string) {
		client := xenaauthtest.NewDPoPClient(nil)
		t := tokenOf()
		t.BoundTo = client
		client.Token, client.Edit = s.issuer.JWT(t), editProof
		proof := client.Proof(http.MethodGet, "https://api.example/invoices")
		r := newRequest("/invoices", "DPoP "+client.Token)
		r.Header.Set("DPoP", proof)
		if editRequest != nil {
			editRequest(s, r, proof)
		}
		return r, []string{client.Token, proof}
	}
}

func claim(name string, value any) func(header, claims map[string]any) {
	return func(_, claims map[string]any) { claims[name] = value }
}

// proofAttacks returns hostile requests to an API that accepts DPoP proofs and client certificates.
func proofAttacks() []attack {
	all := []attack{
		{name: "proof that was used", status: 401, reason: xenaauth.ReasonProofReplayed,
			makeRequest: provenRequest(nil, func(s *service, r *http.Request, _ string) { s.send(r) })},
		{name: "no proof", status: 401, reason: xenaauth.ReasonProof,
			makeRequest: provenRequest(nil, func(_ *service, r *http.Request, _ string) { r.Header.Del("DPoP") })},
		{name: "two proofs", status: 401, reason: xenaauth.ReasonProof,
			makeRequest: provenRequest(nil, func(_ *service, r *http.Request, proof string) { r.Header.Add("DPoP", proof) })},
		{name: "half a proof", status: 401, reason: xenaauth.ReasonProof,
			makeRequest: provenRequest(nil, func(_ *service, r *http.Request, proof string) { r.Header.Set("DPoP", proof[:len(proof)/2]) })},
		{name: "proof with a wrong signature", status: 401, reason: xenaauth.ReasonProof,
			makeRequest: provenRequest(nil, func(_ *service, r *http.Request, proof string) {
				r.Header.Set("DPoP", proof[:len(proof)-8]+"AAAAAAAA")
			})},
		{name: "proof for another method", status: 401, reason: xenaauth.ReasonProof, makeRequest: provenRequest(claim("htm", "POST"), nil)},
		{name: "proof for another URL", status: 401, reason: xenaauth.ReasonProof, makeRequest: provenRequest(claim("htu", "https://other.example/"), nil)},
		{name: "proof for another token", status: 401, reason: xenaauth.ReasonProof, makeRequest: provenRequest(claim("ath", "x"), nil)},
		{name: "old proof", status: 401, reason: xenaauth.ReasonProof, makeRequest: provenRequest(claim("iat", 1), nil)},
		{name: "bound token as Bearer", status: 401, reason: xenaauth.ReasonConfirmation,
			makeRequest: provenRequest(nil, func(_ *service, r *http.Request, _ string) {
				r.Header.Set("Authorization", "Bearer"+r.Header.Get("Authorization")[len("DPoP"):])
			})},
		{name: "stolen token", status: 401, reason: xenaauth.ReasonConfirmation,
			makeRequest: provenRequest(nil, func(_ *service, r *http.Request, _ string) {
				thief := xenaauthtest.NewDPoPClient(nil)
				thief.Token = r.Header.Get("Authorization")[len("DPoP "):]
				r.Header.Set("DPoP", thief.Proof(http.MethodGet, "https://api.example/invoices"))
			})},
		{name: "another certificate", status: 401, reason: xenaauth.ReasonConfirmation, makeRequest: func(s *service) (*http.Request, []string) {
			owner := xenaauthtest.NewMTLSClient(nil)
			t := tokenOf()
			t.BoundTo = owner
			token := s.issuer.JWT(t)
			r := newRequest("/invoices", "Bearer "+token)
			stolen := base64.StdEncoding.EncodeToString(owner.Certificate().Leaf.Raw)
			r.Header.Set("Client-Cert", ":"+stolen+":")
			return r, []string{token, stolen}
		}},
	}
	for i := range all {
		all[i].newProofs = proofsWith(nil, false)
	}
	return append(all,
		attack{name: "proof without a nonce", status: 401, reason: xenaauth.ReasonProofNonce,
			makeRequest: provenRequest(nil, nil), newProofs: proofsWith(nil, true)},
		attack{name: "replay store that fails", status: 503, reason: xenaauth.ReasonUnavailable,
			makeRequest: provenRequest(nil, nil), newProofs: proofsWith(failingStore{}, false)},
	)
}
