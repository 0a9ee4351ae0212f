package main

import (
	"errors"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// newIdentity returns the Identity, which makes the header fields that tell services who the user
// is. If newIdentity returns an error, it also returns a valid Identity, with a random key or with
// the default fields, so that the rest of the configuration can be checked.
func newIdentity(cfg *config.Config) (*identity.Identity, error) {
	from := cfg.Identity.Config
	var errKeys error
	if a := cfg.Identity.Assertion; a != nil {
		assertion := a.Config
		assertion.Keys, errKeys = cfg.AssertionKeys()
		from.Assertion = &assertion
	}
	id, err := identity.New(from)
	if err != nil {
		id, _ = identity.New(identity.Config{})
		err = cfg.AddPlace("identity", err)
	}
	return id, errors.Join(errKeys, err)
}
