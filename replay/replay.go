// Package replay records values that may be used only once, such as the jti of a DPoP proof (RFC
// 9449, section 11.1) or of a logout token.
//
// A [Local] store is for a service with one instance. Several instances need a store that they
// share: package rediscache in adapters has a [Store] over Redis. With a Local store in each of
// several instances, a value can be used once at each instance.
package replay

import (
	"context"
	"errors"
	"time"
)

// Store records which values were used. Many goroutines may call Use at the same time.
type Store interface {
	// Use records that a value was used. The parameters owner and id together identify the value.
	// The first call for a value returns true, and every later call returns false. Of several calls
	// at the same moment, one counts as the first.
	//
	// The value expires at the time in the parameter until. Later calls for the same value don't
	// change this time. After a value has expired, the store may forget it. If the time in until is
	// not in the future, Use returns false.
	//
	// The parameter owner is a text that identifies the party that chooses the values. For a
	// client, it contains the thumbprint of the client's key. The text also identifies the kind of
	// the values: for example, the ids of logout tokens have another owner than the ids of proofs.
	// If two owners use the same id, these are two different values. A store may limit the number
	// of values of each owner. The texts owner and id may have any length and contain any bytes.
	//
	// An error means that the store can't tell whether the value was used before. The caller must
	// then refuse the request that contains the value, with status 503. The store may have recorded
	// the value nevertheless, so the client should send a new value in its next request. Use
	// returns soon after ctx ends.
	//
	// An implementation that calls another server limits the time of the call itself. The text of
	// an error contains neither owner nor id, and no address of a server.
	Use(ctx context.Context, owner, id string, until time.Time) (first bool, err error)
}

// ErrFull is the error of Use if the store has no room for a further value. A store may also return
// it if the owner, for example one client, already has as many values as the store allows for one
// owner.
var ErrFull = errors.New("replay: the store is full")
