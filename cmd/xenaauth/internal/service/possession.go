package service

import (
	"errors"
	"net/http"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
)

// AssumedProof takes the place of a Proof of the service, and accepts every request. A command has
// no key of a client, so it can't make a proof. It shows what happens to a client that sends a
// valid proof.
type AssumedProof struct {
	xenaauth.Proof
	used *bool
}

// Confirm implements [xenaauth.Proof].
func (a AssumedProof) Confirm(*http.Request, string, string) error {
	*a.used = true
	return nil
}

// Respond implements [xenaauth.Proof].
func (AssumedProof) Respond(http.Header, *http.Request, error) {}

// Options returns the options of the Middleware that are needed to decide whether a request may
// pass. They contain an AssumedProof in place of each proof of possession. If a request needs a
// proof, and an AssumedProof takes its place, *usesAssumption becomes true. It also becomes true if
// the request is then refused for another reason.
func (s *Service) Options(usesAssumption *bool) (*xenaauth.Options, error) {
	opts := new(xenaauth.Options)
	if s.file == nil {
		if err := dpop.FromEnv(opts, dpop.Config{}); err != nil {
			return nil, errors.New(strings.Join(s.Mistakes(err), "\n"))
		}
	} else {
		opts.Realm, opts.ResourceMetadata = s.file.Challenge.Realm, s.file.Challenge.ResourceMetadata
		proofs, err := fileProofs(s.file)
		if err != nil {
			return nil, err
		}
		opts.Proofs = proofs
		opts.RequireProof = s.file.Possession.RequiresProof() && len(proofs) > 0
	}
	for i, proof := range opts.Proofs {
		opts.Proofs[i] = AssumedProof{proof, usesAssumption}
	}
	return opts, nil
}

// fileProofs returns the proofs of possession that a configuration file requires. They do not use
// the replay store of the service, which records used proofs, because a command must not mark a
// proof as used.
func fileProofs(file *config.Config) (proofs []xenaauth.Proof, err error) {
	p := &file.Possession
	if p.UsesDPoP() {
		proof, err := dpop.New(p.DPoP.Config)
		if err != nil {
			return nil, file.ProofMistake(err)
		}
		proofs = append(proofs, proof)
	}
	if p.UsesCertificates() {
		proof, err := mtls.New(p.Certificates())
		if err != nil {
			return nil, file.AddPlace("possession.client_certificate", err)
		}
		proofs = append(proofs, proof)
	}
	return proofs, nil
}

// TrySchemes writes the token, with the scheme Bearer, into the field Authorization of the request
// r, and calls check. A token that is bound to a key needs the scheme of its proof, such as DPoP.
// So if check refuses the token because it is bound to a key, TrySchemes calls check again for each
// proof in opts, with the scheme of this proof. If no scheme is right, it returns the result for
// Bearer.
func TrySchemes[T any](
	opts *xenaauth.Options, r *http.Request, token string, check func() (T, error),
) (T, error) {
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	first, errFirst := check()
	for _, proof := range opts.Proofs {
		if token == "" || !isUnproved(errFirst) {
			break
		}
		r.Header.Set("Authorization", proof.Scheme()+" "+token)
		if result, err := check(); !isUnproved(err) {
			return result, err
		}
	}
	return first, errFirst
}

// isUnproved reports whether err refuses a token because it is bound to a key and was not sent with
// a fitting proof, or because it is not bound to a key and must be.
func isUnproved(err error) bool {
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	return ok && refusal.Reason == xenaauth.ReasonConfirmation
}
