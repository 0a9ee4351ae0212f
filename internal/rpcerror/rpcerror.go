// Package rpcerror translates a refusal into the terms of gRPC and Connect. Both have the same
// status codes with the same numbers, and the same error details. The package imports neither, so
// each adapter depends on its own library alone.
package rpcerror

import (
	"strconv"
	"strings"
	"time"
)

// The status codes of refusals.
const (
	PermissionDenied = 7
	Unavailable      = 14
	Unauthenticated  = 16
)

// Code returns the status code for the HTTP status of a refusal. HTTP's 400 is Unauthenticated:
// credentials are malformed, and not the arguments of the method.
func Code(status int) uint32 {
	switch status {
	case 403:
		return PermissionDenied
	case 503:
		return Unavailable
	}
	return Unauthenticated
}

// Reason returns a reason as ErrorInfo has it: in upper case.
func Reason(reason string) string { return strings.ToUpper(reason) }

// Metadata returns the metadata of ErrorInfo: the required scope as the member "scope", and the
// other parameters of the challenge. It returns nil if there are none.
func Metadata(scopes []string, params map[string]string) map[string]string {
	if len(scopes) == 0 && len(params) == 0 {
		return nil
	}
	metadata := make(map[string]string, len(params)+1)
	for name, value := range params {
		metadata[name] = value
	}
	if len(scopes) > 0 {
		metadata["scope"] = strings.Join(scopes, " ")
	}
	return metadata
}

// RetryDelay returns the delay of RetryInfo for a Retry-After field in seconds. It returns 0 if the
// field is something else.
func RetryDelay(retryAfter string) time.Duration {
	seconds, err := strconv.ParseUint(retryAfter, 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// ForCaches reports whether a header field speaks to HTTP caches. An RPC has none, so its metadata
// leaves such fields out.
func ForCaches(name string) bool { return name == "Cache-Control" || name == "Vary" }
