package rediscache

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/xenaauth/xenaauth"
)

// messageVersion is the version of the messages that this package writes. A message is sealed JSON,
// both where it is published and where it is kept.
//
//   - Version 1 has no member v and names no issuer: all instances had the same issuer. It is read
//     as before. A Validator takes a revocation without an issuer for one of its own issuer.
//   - Version 2 names the issuer. An instance that knows only version 1 ignores the members v and
//     issuer, and applies the revocation. That is right because its fleet has one issuer.
//   - Messages of later versions are neither applied nor removed, because what they say is not
//     known. The log tells it once.
const messageVersion = 2

// message is the JSON of a message.
type message struct {
	Version int `json:"v"`
	xenaauth.Revocation
}

// errNewer is the error for a genuine message of a later version.
var errNewer = errors.New("rediscache: message of a later version")

// encodeMessage returns the JSON of r. Equal revocations have equal JSON.
func encodeMessage(r xenaauth.Revocation) (string, error) {
	text, err := json.Marshal(message{Version: messageVersion, Revocation: r})
	if err != nil {
		return "", fmt.Errorf("rediscache: %w", err)
	}
	return string(text), nil
}

// decodeMessage reads the JSON of a message.
func decodeMessage(text string) (xenaauth.Revocation, error) {
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		// A later version may have other types.
		var v struct {
			Version int `json:"v"`
		}
		if json.Unmarshal([]byte(text), &v) == nil && v.Version > messageVersion {
			return xenaauth.Revocation{}, errNewer
		}
		return xenaauth.Revocation{}, errUnsealed
	}
	switch {
	case m.Version > messageVersion:
		return xenaauth.Revocation{}, errNewer
	case m.Until.IsZero():
		return xenaauth.Revocation{}, errUnsealed
	}
	return m.Revocation, nil
}
