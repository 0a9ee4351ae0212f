// Package sharedresponse encodes an introspection response for a cache that all instances of a
// service share.
//
// A value consists of these parts, in this order:
//
//	version   1 byte, Version
//	active    1 byte, 0 or 1
//	call time 8 bytes, big-endian: the start of the call to the issuer, in milliseconds since 1970
//	length    2 bytes, big-endian: the length of the issuer
//	issuer
//	claims    the rest: the JSON object of the response, empty if the token is not active
package sharedresponse

import (
	"encoding/binary"
	"math"
	"time"
)

// Version is the version of this encoding. Decode refuses values of other versions. The key under
// which a value is cached must contain the version too, so that instances with different versions
// do not overwrite each other's values.
//
// Version 1, which was never released, did not contain the issuer.
const Version = 2

// fixedLength is the number of bytes in front of the identifier of the issuer in an encoded
// response
const fixedLength = 1 + 1 + 8 + 2

// Response is an introspection response, as it is stored in the shared cache.
type Response struct {
	Active   bool
	CallTime time.Time // CallTime is when the call to the issuer began
	Issuer   string
	Claims   string // Claims is the JSON text of the response; "" if the token is not active
}

// Encode returns the encoding of the response r. It returns nil if the identifier of the issuer is
// longer than 65535 bytes.
func (r Response) Encode() []byte {
	if len(r.Issuer) > math.MaxUint16 {
		return nil
	}
	b := make([]byte, 0, fixedLength+len(r.Issuer)+len(r.Claims))
	b = append(b, Version, 0)
	if r.Active {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.CallTime.UnixMilli()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Issuer)))
	b = append(b, r.Issuer...)
	return append(b, r.Claims...)
}

// Decode decodes a value from the cache. It does not parse the claims in the value. ok is false if
// value is not a valid encoding of this version; r must not be used then.
func Decode(value []byte) (r Response, ok bool) {
	if len(value) < fixedLength || value[0] != Version || value[1] > 1 {
		return Response{}, false
	}
	length, rest := int(binary.BigEndian.Uint16(value[10:])), value[fixedLength:]
	if length > len(rest) {
		return Response{}, false
	}
	r = Response{
		Active:   value[1] == 1,
		CallTime: time.UnixMilli(int64(binary.BigEndian.Uint64(value[2:]))),
		Issuer:   string(rest[:length]),
		Claims:   string(rest[length:]),
	}
	return r, r.Active == (r.Claims != "")
}
