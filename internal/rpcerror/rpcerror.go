// Package rpcerror translates the refusal of a request into an error of gRPC or Connect. gRPC and
// Connect use the same numbers for status codes, and the same error details. This package imports
// neither library, so that the adapter for gRPC does not depend on Connect, and the adapter for
// Connect does not depend on gRPC.
package rpcerror

import (
	"strconv"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// These constants are the gRPC status codes that a refused request can get.
const (
	PermissionDenied = 7
	Unavailable      = 14
	Unauthenticated  = 16
)

// Code returns the gRPC status code for the HTTP status of a refusal: PermissionDenied for 403,
// Unavailable for 503, and Unauthenticated for every other status. 400 does not become
// InvalidArgument, because the credentials are malformed and not the arguments of the method.
func Code(status int) uint32 {
	switch status {
	case 403:
		return PermissionDenied
	case 503:
		return Unavailable
	}
	return Unauthenticated
}

// Reason returns the reason of the refusal in upper case, for the field reason of ErrorInfo.
// ErrorInfo is a message with details of a gRPC error.
func Reason(reason string) string { return strings.ToUpper(reason) }

// Metadata returns the metadata for ErrorInfo, a message with details of a gRPC error. The
// parameter params is the field Params of the refusal. The metadata contains the required scopes
// under the name "scope", and the entries of params that the function bearer.Params accepts. The
// parameters code and description are the error code and the description of the refusal. They may
// come from the entries "error" and "error_description" of params. The metadata contains each of
// these two entries only if the challenge of the refusal contains it too. Metadata returns nil if
// the metadata would be empty.
func Metadata(scopes []string, params map[string]string, code, description string) map[string]string {
	metadata := make(map[string]string)
	for _, p := range bearer.Params(params) {
		metadata[p.Name] = p.Value
	}
	if code != "" && params["error"] == code {
		metadata["error"] = code
	}
	if code != "" && params["error_description"] == description {
		metadata["error_description"] = description
	}
	if len(scopes) > 0 {
		metadata["scope"] = strings.Join(scopes, " ")
	}
	if len(metadata) == 0 {
		return nil
	}
	return metadata
}

// RetryDelay converts the value of the header field Retry-After into a duration for RetryInfo, a
// message with details of a gRPC error. It returns 0 if the value is not a number of seconds, or is
// larger than 32 bits can hold.
func RetryDelay(retryAfter string) time.Duration {
	seconds, err := strconv.ParseUint(retryAfter, 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// ForCaches reports whether a header field is meant for HTTP caches. name must have the canonical
// form of net/http. Such a field is left out of the metadata of an RPC, because no cache stores the
// response of an RPC.
func ForCaches(name string) bool { return name == "Cache-Control" || name == "Vary" }
