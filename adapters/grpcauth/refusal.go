package grpcauth

import (
	"encoding/json"
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

// Domain is the domain of the [errdetails.ErrorInfo] of refusals.
const Domain = rpcerror.Domain

// errNoRule refuses a name that no rule matches.
var errNoRule = &xenaauth.Error{Reason: xenaauth.ReasonNoRule}

// refused is the error of a refused call. The client gets the status. Interceptors around the guard
// also find the cause.
type refused struct {
	*status.Status
	cause *xenaauth.Error
}

func (r *refused) GRPCStatus() *status.Status { return r.Status }
func (r *refused) Error() string              { return r.Err().Error() }
func (r *refused) Unwrap() error              { return r.cause }

// refusal returns the error of a refused call and its trailer.
func refusal(m *xenaauth.Middleware, err error) (metadata.MD, error) {
	e, ok := errors.AsType[*xenaauth.Error](err)
	if !ok {
		e = &xenaauth.Error{Reason: xenaauth.ReasonUnavailable} // Check returns no other errors
	}
	h := make(http.Header)
	code := codes.Code(rpcerror.Code(m.Challenge(h, e)))
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Domain:   Domain,
		Reason:   rpcerror.Reason(string(e.Reason)),
		Metadata: rpcerror.Metadata(e.Scopes, nil),
	}}
	if code == codes.Unavailable {
		delay := rpcerror.RetryDelay(h.Get("Retry-After"))
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	var problem struct{ Detail string }
	if text, err := e.MarshalJSON(); err == nil {
		_ = json.Unmarshal(text, &problem) // its own JSON; without a detail the message is empty
	}
	s, err := status.New(code, problem.Detail).WithDetails(details...)
	if err != nil { // text that is not UTF-8, from a TokenValidator of the service
		s = status.New(code, problem.Detail)
	}
	return fields(h), &refused{Status: s, cause: e}
}

// fields returns the header fields of a response as metadata.
func fields(h http.Header) metadata.MD {
	md := make(metadata.MD, len(h))
	for name, values := range h {
		if !rpcerror.ForCaches(name) {
			md.Append(name, values...)
		}
	}
	return md
}
