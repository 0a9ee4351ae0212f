package extauthz

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/xenaauth/xenaauth/internal/fieldname"
	"github.com/xenaauth/xenaauth/internal/rpcerror"
)

// server.allow returns the response for a request that may pass. clientHeader is the header that
// the client sent, including identity fields that the client wrote. identityHeader has the fields
// that name the user.
func (s *server) allow(r *http.Request, clientHeader, identityHeader http.Header) *authv3.CheckResponse {
	var remove []string
	var change []*corev3.HeaderValueOption
	if s.cfg.RemoveAuthorization {
		remove = append(remove, "Authorization")
	}
	for name, values := range clientHeader {
		if kept, ok := r.Header[name]; !ok || s.cfg.RemoveAuthorization && fieldname.Equal(name, "dpop") {
			remove = append(remove, name)
		} else if !slices.Equal(kept, values) {
			// This is the field Connection. The names of identity fields were removed from its
			// value, so Envoy must write the new value.
			change = append(change, replaceField(name, kept)...)
		}
	}
	for _, name := range s.identityNames {
		change = append(change, replaceField(name, []string{identityHeader.Get(name)})...)
	}
	ok := &authv3.OkHttpResponse{Headers: change}
	for _, name := range remove {
		// When Envoy changes the header of a request, it first sets fields and then removes fields.
		// So the authorization service must not ask Envoy to remove an identity field that Envoy
		// must also set.
		if !s.isIdentity[name] {
			ok.HeadersToRemove = append(ok.HeadersToRemove, strings.ToLower(name))
		}
	}
	slices.Sort(ok.HeadersToRemove)
	passing := make(http.Header)
	s.cfg.Middleware.Challenge(passing, r, nil)
	for _, name := range slices.Sorted(maps.Keys(passing)) {
		added := replaceField(name, passing[name])
		if name == "Vary" { // Envoy must keep the Vary field of the upstream, so it appends these values
			for _, o := range added {
				o.AppendAction = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
			}
		}
		ok.ResponseHeadersToAdd = append(ok.ResponseHeadersToAdd, added...)
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

// replaceField returns options that tell Envoy to set a header field to the given values, in place
// of its former values. If values is empty, the result is empty and Envoy leaves the field
// unchanged.
func replaceField(name string, values []string) []*corev3.HeaderValueOption {
	out := make([]*corev3.HeaderValueOption, len(values))
	for i, value := range values {
		action := corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
		if i == 0 {
			action = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		}
		out[i] = &corev3.HeaderValueOption{
			Header:         &corev3.HeaderValue{Key: strings.ToLower(name), Value: validUTF8(value)},
			AppendAction:   action,
			KeepEmptyValue: true,
		}
	}
	return out
}

// validUTF8 returns s as valid UTF-8, because a protobuf string must be UTF-8. Envoy's protocol
// also has members of the type bytes for header fields and bodies, but Envoy does not read them.
func validUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// denyMessage returns the message that tells Envoy to refuse a request with the given status,
// header and body.
func denyMessage(status int, h http.Header, body []byte) *authv3.CheckResponse {
	refusal := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)},
		Body:   validUTF8(string(body)),
	}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case "Connection", "Content-Length", "Transfer-Encoding": // Envoy itself sets these fields
		default:
			refusal.Headers = append(refusal.Headers, replaceField(name, h[name])...)
		}
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(rpcerror.Code(status))},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: refusal},
	}
}

// storedResponse is an [http.ResponseWriter] that stores the response in memory.
type storedResponse struct {
	header, sent http.Header
	status       int
	body         []byte
}

func newResponse() *storedResponse { return &storedResponse{header: make(http.Header)} }

func (w *storedResponse) Header() http.Header { return w.header }

func (w *storedResponse) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *storedResponse) Write(p []byte) (int, error) {
	// If WriteHeader was not called before, the status is 403: a refusal must never look like a
	// success.
	w.WriteHeader(http.StatusForbidden)
	w.body = append(w.body, p...)
	return len(p), nil
}

func (w *storedResponse) denied() *authv3.CheckResponse {
	w.WriteHeader(http.StatusForbidden)
	if len(w.body) > 0 && w.sent.Get("Content-Type") == "" {
		// If a handler of net/http does not set Content-Type, net/http finds the media type in the
		// body. This code does the same.
		w.sent.Set("Content-Type", http.DetectContentType(w.body))
	}
	return denyMessage(w.status, w.sent, w.body)
}
