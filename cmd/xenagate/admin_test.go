package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// An operator must not take a revocation that holds nowhere for one that holds here, whatever else went wrong.
func TestWhatBecameOfARevocation(t *testing.T) {
	unheard := fmt.Errorf("bus: %w", errNotPublished)
	for want, err := range map[int]error{
		200: nil, 202: unheard, 400: errors.New("names nothing"),
		507: errors.Join(unheard, fmt.Errorf("not here: %w", xenaauth.ErrRevocationsFull)),
	} {
		if status, word := revoked(err); status != want || word == "" {
			t.Errorf("%v: %d %s", err, status, word)
		}
	}
	if status, _ := revoked(xenaauth.ErrRevocationsFull); status != 507 {
		t.Error(status)
	}
}
