package grpcauth

import (
	"errors"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/rpcerror"
)

// Domain is the value of the field Domain in the [errdetails.ErrorInfo] of every refusal. It tells
// the client that xenaauth has refused the call.
const Domain = "xenaauth"

// refusedCall is the error of a call that the guard refused. The client gets only the embedded
// Status. Interceptors around the guard can also read the field cause.
type refusedCall struct {
	*status.Status
	cause *xenaauth.Error
}

func (r *refusedCall) GRPCStatus() *status.Status { return r.Status }
func (r *refusedCall) Error() string              { return r.Err().Error() }
func (r *refusedCall) Unwrap() error              { return r.cause }

// makeRefusal returns what the guard sends if it refuses a call: the metadata of the trailer, and
// the error.
func makeRefusal(m *xenaauth.Middleware, r *http.Request, err error) (metadata.MD, error) {
	e, ok := errors.AsType[*xenaauth.Error](err)
	if !ok {
		// This case never occurs, because makeRefusal is only called with an *xenaauth.Error.
		e = &xenaauth.Error{Reason: xenaauth.ReasonUnavailable}
	}
	h := make(http.Header)
	code := codes.Code(rpcerror.Code(m.Challenge(h, r, e)))
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Domain:   Domain,
		Reason:   rpcerror.Reason(string(e.Reason)),
		Metadata: rpcerror.Metadata(e.Scopes, e.Params, e.Code(), e.Detail()),
	}}
	if code == codes.Unavailable {
		delay := rpcerror.RetryDelay(h.Get("Retry-After"))
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	s, err := status.New(code, e.Detail()).WithDetails(details...)
	// Each detail of a status is a protobuf message. WithDetails returns an error if a text in one
	// of these messages is not UTF-8. A service can write its own TokenValidator, whose error may
	// contain such a text. The client then gets the status without details.
	if err != nil {
		s = status.New(code, e.Detail())
	}
	return metadataOf(h), &refusedCall{Status: s, cause: e}
}

// metadataOf returns the header fields of a response as metadata, without the fields that are only
// for HTTP caches.
func metadataOf(h http.Header) metadata.MD {
	if len(h) == 0 {
		return nil
	}
	md := make(metadata.MD)
	for name, values := range h {
		if !rpcerror.ForCaches(name) {
			md.Append(name, values...)
		}
	}
	return md
}
