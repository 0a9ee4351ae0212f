package grpcauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/xenaauth/xenaauth"
)

// Domain is the domain of the [errdetails.ErrorInfo] of refusals.
const Domain = "xenaauth"

// refused is a refusal: clients get the status, and whoever handles the error in this process the cause too.
type refused struct {
	*status.Status
	cause *xenaauth.Error
}

func (r *refused) GRPCStatus() *status.Status { return r.Status }
func (r *refused) Error() string              { return r.Err().Error() }
func (r *refused) Unwrap() error              { return r.cause }

// unlisted refuses methods without a rule. No other token would help, so no challenge asks for one.
var unlisted = newRefused(codes.PermissionDenied, "This method is closed.", &xenaauth.Error{Reason: xenaauth.ReasonForbidden})

func newRefused(code codes.Code, message string, e *xenaauth.Error, details ...protoadapt.MessageV1) *refused {
	info := &errdetails.ErrorInfo{Reason: strings.ToUpper(string(e.Reason)), Domain: Domain}
	if len(e.Scopes) > 0 {
		info.Metadata = map[string]string{"scope": strings.Join(e.Scopes, " ")}
	}
	s, err := status.New(code, message).WithDetails(append([]protoadapt.MessageV1{info}, details...)...)
	if err != nil { // text that is not UTF-8, from a validator of the service's own
		s = status.New(code, message)
	}
	return &refused{Status: s, cause: e}
}

// refusal is what HTTP answers by, said in gRPC.
func refusal(m *xenaauth.Middleware, err error) (metadata.MD, error) {
	e, ok := errors.AsType[*xenaauth.Error](err)
	if !ok {
		e = &xenaauth.Error{Reason: xenaauth.ReasonUnavailable} // Check returns no other errors
	}
	var problem struct{ Detail string }
	if text, err := e.MarshalJSON(); err == nil {
		_ = json.Unmarshal(text, &problem) // its own JSON; without a detail the message is empty
	}
	h := make(http.Header)
	code := codes.Unauthenticated
	var details []protoadapt.MessageV1
	switch m.Challenge(h, e) {
	case http.StatusForbidden:
		code = codes.PermissionDenied
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
		seconds, _ := strconv.Atoi(h.Get("Retry-After")) // of our own making
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(seconds) * time.Second)})
	}
	trailer := make(metadata.MD)
	for _, name := range []string{"WWW-Authenticate", "Retry-After"} {
		if values := h.Values(name); len(values) > 0 {
			trailer.Append(name, values...)
		}
	}
	return trailer, newRefused(code, problem.Detail, e, details...)
}
