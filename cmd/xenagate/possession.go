package main

import (
	"crypto/rand"
	"errors"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
)

// maxNonceSecrets is the largest number of secrets of nonces.
const maxNonceSecrets = 4

// newProofs returns the proofs of possession that the gateway checks. The certificate is checked
// first, so that a request without its certificate does not use up its DPoP proof. If redis is not configured,
// the replay store of DPoP is local, and the secret of nonces is random: after a restart, clients
// get new nonces.
func newProofs(cfg *config.Config, shared fleet) ([]xenaauth.Proof, error) {
	var proofs []xenaauth.Proof
	var errs []error
	if cfg.Possession.UsesCertificates() {
		if proof, err := mtls.New(cfg.Possession.Certificates()); err != nil {
			errs = append(errs, cfg.At("possession.client_certificate", err))
		} else {
			proofs = append(proofs, proof)
		}
	}
	if cfg.Possession.UsesDPoP() {
		from := cfg.Possession.DPoP.Config
		if !from.ReplayCheckedElsewhere {
			from.Replay = shared.replay
		}
		if cfg.Possession.DPoP.Nonces {
			from.NonceSecrets = shared.secrets[:min(len(shared.secrets), maxNonceSecrets)]
			if len(shared.secrets) == 0 {
				from.NonceSecrets = [][]byte{[]byte(rand.Text() + rand.Text())}
			}
		}
		if proof, err := dpop.New(from); err != nil {
			errs = append(errs, cfg.At("possession.dpop", err))
		} else {
			proofs = append(proofs, proof)
		}
	}
	return proofs, errors.Join(errs...)
}
