package rediscache

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/xenaauth/xenaauth"
)

// messageVersion is the version of the messages that this package writes. A message describes a
// revocation. It is sealed JSON, both when it is published and when Redis keeps it.
//
//   - Version 1 has no member v and no issuer, because all instances of the service had the same
//     issuer. An instance reads a message of version 1 as a message about its own issuer.
//   - Version 2 has the issuer. An instance that knows only version 1 ignores the members v and
//     issuer, and applies the revocation. The instance may ignore the issuer, because all instances
//     of its service have the same issuer.
//   - A message of a later version is neither applied nor removed, because its meaning is unknown.
//     The log says so once.
const messageVersion = 2

// message is the content of a message about a revocation, after the JSON was decoded.
type message struct {
	Version int `json:"v"`
	xenaauth.Revocation
}

// errNewerVersion is the error for a message in a later version of the message format. Another
// instance of the service has written this message about a revocation, with a later release of this
// package. This release can't read the message.
var errNewerVersion = errors.New("rediscache: message of a later version")

// encodeMessage returns the JSON of a message about the revocation r. Equal revocations have equal
// JSON.
func encodeMessage(r xenaauth.Revocation) (string, error) {
	text, err := json.Marshal(message{Version: messageVersion, Revocation: r})
	if err != nil {
		return "", fmt.Errorf("rediscache: %w", err)
	}
	return string(text), nil
}

// decodeMessage returns the revocation that the JSON of a message describes.
func decodeMessage(text string) (xenaauth.Revocation, error) {
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		// In a message of a later version, members may have other types. Then only the version can
		// be read, so it is decoded alone.
		var v struct {
			Version int `json:"v"`
		}
		if json.Unmarshal([]byte(text), &v) == nil && v.Version > messageVersion {
			return xenaauth.Revocation{}, errNewerVersion
		}
		return xenaauth.Revocation{}, errUnsealed
	}
	switch {
	case m.Version > messageVersion:
		return xenaauth.Revocation{}, errNewerVersion
	case m.Until.IsZero():
		return xenaauth.Revocation{}, errUnsealed
	}
	return m.Revocation, nil
}
