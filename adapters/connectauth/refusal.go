package connectauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/xenaauth/xenaauth"
)

// Domain is the domain of the [errdetails.ErrorInfo] of refusals.
const Domain = "xenaauth"

// refused is what a refusal says to clients: they are not shown its cause.
type refused struct {
	message string
	cause   *xenaauth.Error
}

func (r *refused) Error() string { return r.message }
func (r *refused) Unwrap() error { return r.cause }

// unlisted refuses procedures without a rule. No other token would help, so no challenge asks for one.
func unlisted() *connect.Error {
	return newRefused(connect.CodePermissionDenied, "This procedure is closed.", &xenaauth.Error{Reason: xenaauth.ReasonForbidden})
}

func newRefused(code connect.Code, message string, e *xenaauth.Error, details ...proto.Message) *connect.Error {
	err := connect.NewError(code, &refused{message: message, cause: e})
	info := &errdetails.ErrorInfo{Reason: strings.ToUpper(string(e.Reason)), Domain: Domain}
	if len(e.Scopes) > 0 {
		info.Metadata = map[string]string{"scope": strings.Join(e.Scopes, " ")}
	}
	for _, message := range append([]proto.Message{info}, details...) {
		// It fails for text that is not UTF-8, from a validator of the service's own.
		if detail, failed := connect.NewErrorDetail(message); failed == nil {
			err.AddDetail(detail)
		}
	}
	return err
}

// refusal is what HTTP answers by, said in Connect. It sets the challenge in h, the header of the response in all three
// protocols: net/http sends no WWW-Authenticate in trailers, where gRPC would have an error's metadata.
func refusal(m *xenaauth.Middleware, h http.Header, err error) *connect.Error {
	e, ok := errors.AsType[*xenaauth.Error](err)
	if !ok {
		e = &xenaauth.Error{Reason: xenaauth.ReasonUnavailable} // Check returns no other errors
	}
	var problem struct{ Detail string }
	if text, err := e.MarshalJSON(); err == nil {
		_ = json.Unmarshal(text, &problem) // its own JSON; without a detail the message is empty
	}
	code := connect.CodeUnauthenticated
	var details []proto.Message
	switch m.Challenge(h, e) {
	case http.StatusForbidden:
		code = connect.CodePermissionDenied
	case http.StatusServiceUnavailable:
		code = connect.CodeUnavailable
		seconds, _ := strconv.Atoi(h.Get("Retry-After")) // of our own making
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(seconds) * time.Second)})
	}
	return newRefused(code, problem.Detail, e, details...)
}
