package decisions

import (
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"

	"github.com/xenaauth/xenaauth/adapters/extauthz"
)

// newExtAuthzSender returns a sender for Envoy's external authorization. The sender puts each
// request into a check request, as Envoy does.
func newExtAuthzSender(t *testing.T, s *site) sender {
	service, err := extauthz.New(extauthz.Config{Middleware: s.auth, Find: s.table.Find, Identity: s.identity})
	fatal(t, err)
	return func(t *testing.T, in request) response {
		h := &authv3.AttributeContext_HttpRequest{
			Method: http.MethodPost, Host: "api.example", Path: (&url.URL{Path: in.path}).EscapedPath(),
			HeaderMap: new(corev3.HeaderMap),
		}
		for name, values := range in.header {
			for _, value := range values {
				h.HeaderMap.Headers = append(h.HeaderMap.Headers,
					&corev3.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
			}
		}
		attributes := &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: h}}
		if in.certificate != nil {
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: in.certificate.Leaf.Raw})
			attributes.Source = &authv3.AttributeContext_Peer{Certificate: url.PathEscape(string(text))}
		}
		answer, err := service.Check(plant(t.Context()), &authv3.CheckRequest{Attributes: attributes})
		fatal(t, err)
		out := response{decision: decision{code: codes.Code(answer.GetStatus().GetCode())}}
		if ok := answer.GetOkResponse(); ok != nil {
			out.allowed, out.status = true, http.StatusOK
			out.user = headerOf(ok.GetHeaders()).Get("X-Auth-User")
			out.header = headerOf(ok.GetResponseHeadersToAdd())
			return out
		}
		denied := answer.GetDeniedResponse()
		header := headerOf(denied.GetHeaders())
		out.header, out.status = header, int(denied.GetStatus().GetCode())
		out.challenges = strings.Join(header["Www-Authenticate"], ", ")
		out.retryAfter = header.Get("Retry-After")
		if body := denied.GetBody(); body != "" {
			out.reason = reasonOf(t, []byte(body))
		}
		return out
	}
}

func headerOf(options []*corev3.HeaderValueOption) http.Header {
	h := make(http.Header)
	for _, o := range options {
		h.Add(o.GetHeader().GetKey(), o.GetHeader().GetValue())
	}
	return h
}
