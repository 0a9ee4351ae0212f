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
	// Use records that the value id of owner is used. The first call for this owner and this id
	// returns true, and every later call returns false. If calls are made at the same moment, one
	// of them is the first. After the time until of the first call, the store may forget the value.
	// If until is not in the future, Use returns false.
	//
	// owner names the kind of value and the party that chooses the values, for example the
	// thumbprint of a client's key. Equal ids of two owners are two values. A store may limit the
	// number of values of each owner. owner and id may have any length and contain any bytes.
	//
	// An error means that the store can't tell whether the value was used before. The caller must
	// not accept the value then, and its response is 503. The value may have been recorded
	// nevertheless, so a client should send a new value. Use returns soon after ctx ends.
	//
	// If the store is outside the process, the store limits the time of a call itself. The text of
	// an error contains neither owner nor id, and no address of a server.
	Use(ctx context.Context, owner, id string, until time.Time) (first bool, err error)
}

// ErrFull is the error of a store that has no room for a further value, or for a further value of
// this owner.
var ErrFull = errors.New("replay: the store is full")
