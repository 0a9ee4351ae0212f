package main

import (
	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/mtls"
)

// newProofs returns the proofs of possession that the gateway checks.
func newProofs(cfg *config.Config) ([]xenaauth.Proof, error) {
	if !cfg.Possession.UsesCertificates() {
		return nil, nil
	}
	proof, err := mtls.New(cfg.Possession.Certificates())
	if err != nil {
		return nil, cfg.At("possession.client_certificate", err)
	}
	return []xenaauth.Proof{proof}, nil
}
