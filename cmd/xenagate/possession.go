package main

import (
	"crypto/rand"
	"errors"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
)

// The gateways of a fleet share a list of secrets. maxNonceSecrets is how many of these secrets may
// be used for the nonces of DPoP.
const maxNonceSecrets = 4

// newProofs returns the proofs of possession that the gateway checks. The certificate is checked
// before the DPoP proof. So a request without its certificate does not use up its DPoP proof. If
// Redis is not configured, the store of used proofs is in the memory of this process. In this case
// the secret for nonces is random, and clients get new nonces after a restart.
// The error also lists the rules that need a proof although no proof is checked.
func newProofs(cfg *config.Config, shared fleetConnection) ([]xenaauth.Proof, error) {
	var proofs []xenaauth.Proof
	var errs []error
	if cfg.Possession.UsesCertificates() {
		if proof, err := mtls.New(cfg.Possession.Certificates()); err != nil {
			errs = append(errs, cfg.AddPlace("possession.client_certificate", err))
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
			errs = append(errs, cfg.ProofMistake(err))
		} else {
			proofs = append(proofs, proof)
		}
	}
	if cfg.Routes != nil {
		for _, rule := range cfg.FindUnprovableRules(cfg.Routes.Table) {
			errs = append(errs, errors.New(rule.String()))
		}
	}
	return proofs, errors.Join(errs...)
}
