package grpcauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/xenaauth/xenaauth/internal/target"
)

// httpRequest returns the HTTP request that gRPC sends for a call, without its body.
func httpRequest(ctx context.Context, method string) *http.Request {
	md, _ := metadata.FromIncomingContext(ctx)
	r := &http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Path: method}, RequestURI: method,
		Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: make(http.Header, len(md)),
		Body:   http.NoBody,
	}
	for name, values := range md {
		switch {
		case name == ":authority" && len(values) == 1:
			// gRPC allows authorities that are not hosts, such as a list of addresses. For such an
			// authority, the request has no host. A table without rules for hosts does not need a
			// host. A table with rules for hosts refuses a request without a host.
			if _, err := target.Host(values[0]); err == nil {
				r.Host = values[0]
			}
		case strings.HasPrefix(name, ":") || strings.HasSuffix(name, "-bin"):
		default:
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			r.TLS = &info.State
		}
		if p.Addr != nil {
			r.RemoteAddr = p.Addr.String()
		}
	}
	return r.WithContext(ctx)
}
