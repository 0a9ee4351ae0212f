package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// The gateway responds to a request for a revocation. The status of this response tells the
// operator where the revocation is in force: nowhere, only at this gateway, or at all gateways.
func TestRevocationResult(t *testing.T) {
	alone, fleet := new(adminHandler), &adminHandler{hasFleet: true}
	for _, c := range []struct {
		name  string
		admin *adminHandler
		err   error
		want  int
	}{
		{"alone", alone, nil, 200},
		{"in a fleet: which gateways have received it is not known", fleet, nil, 202},
		{"Redis fails", fleet, fmt.Errorf("%w: x", xenaauth.ErrNotPublished), 503},
		{"Redis is full", fleet, fmt.Errorf("%w: %w", xenaauth.ErrNotPublished, xenaauth.ErrRevocationsFull), 503},
		{"full here, alone", alone, xenaauth.ErrRevocationsFull, 507},
		{"full here, in a fleet", fleet, xenaauth.ErrRevocationsFull, 507},
		{"unusable, alone", alone, errors.New("names nothing"), 400},
		{"unusable, in a fleet", fleet, errors.New("names nothing"), 400},
	} {
		if status, word := c.admin.revocationResult(c.err); status != c.want || word == "" {
			t.Errorf("%s: %d %q, want %d", c.name, status, word, c.want)
		}
	}
}
