package connectauth

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/rpcerror"
)

// Domain is the value of the field Domain in the [errdetails.ErrorInfo] of every refusal. It tells
// the client that xenaauth has refused the request.
const Domain = "xenaauth"

// refusedRequest is the error of a request that the guard refused. The client gets only the field
// message. The field cause is for the log.
type refusedRequest struct {
	message string
	cause   *xenaauth.Error
}

func (r *refusedRequest) Error() string { return r.message }
func (r *refusedRequest) Unwrap() error { return r.cause }

// makeRefusal returns the error of a refused request. It puts the challenge into h, the header of
// the response, in all three protocols. gRPC clients expect the metadata of an error in the
// trailer, but net/http sends no WWW-Authenticate field in trailers.
func makeRefusal(m *xenaauth.Middleware, h http.Header, r *http.Request, err error) *connect.Error {
	e, ok := errors.AsType[*xenaauth.Error](err)
	if !ok {
		// This case never occurs, because makeRefusal is only called with an *xenaauth.Error.
		e = &xenaauth.Error{Reason: xenaauth.ReasonUnavailable}
	}
	code := connect.Code(rpcerror.Code(m.Challenge(h, r, e)))
	details := []proto.Message{&errdetails.ErrorInfo{
		Domain:   Domain,
		Reason:   rpcerror.Reason(string(e.Reason)),
		Metadata: rpcerror.Metadata(e.Scopes, e.Params, e.Code(), e.Detail()),
	}}
	if code == connect.CodeUnavailable {
		delay := rpcerror.RetryDelay(h.Get("Retry-After"))
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	told := connect.NewError(code, &refusedRequest{message: e.Detail(), cause: e})
	for _, message := range details {
		// Each detail of an error is a protobuf message. NewErrorDetail returns an error if a text
		// in this message is not UTF-8. A service can write its own TokenValidator, whose error may
		// contain such a text. The client then gets the response without this detail.
		if detail, failed := connect.NewErrorDetail(message); failed == nil {
			told.AddDetail(detail)
		}
	}
	return told
}
