package extauthz_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/xenaauth/xenaauth/adapters/extauthz"
)

// FuzzCheck sends arbitrary messages to the service. Check must never return an error. If the
// service allows a request without a valid token, the table of routes must also allow this request
// in the form in which net/http reads it.
func FuzzCheck(f *testing.F) {
	s := startService(f, nil, func(cfg *extauthz.Config) { cfg.RemoveAuthorization = true })
	for _, r := range []request{
		get("/any"), get("/open/x"), get("/maybe"), get("/open/../any"),
		get("/open%2f..%2fany", [2]string{"X_Auth_User", "root"}),
		get("/open/x", [2]string{"x.auth-user", "root"}, [2]string{"X-AUTH-USER", "toor"}), get("/any", bearer("a.b.c")),
		get("/maybe", [2]string{"Authorization", "Basic YTpi"}, bearer("x")), get("//open/x"), get("*"),
	} {
		for _, raw := range encodings {
			in, err := proto.Marshal(r.envoyMessage(raw))
			fatal(f, err)
			f.Add(in)
		}
	}
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := new(authv3.CheckRequest)
		if proto.Unmarshal(data, in) != nil {
			return
		}
		out, err := s.service.Check(t.Context(), in)
		fatal(t, err)
		if _, err := proto.Marshal(out); err != nil {
			t.Fatalf("an answer that can't be sent: %v", err)
		}
		if denied := out.GetDeniedResponse(); denied != nil {
			status := denied.GetStatus().GetCode()
			if !slices.Contains([]int32{400, 401, 403, 503}, int32(status)) || out.GetStatus().GetCode() == 0 {
				t.Fatalf("%v", out)
			}
			return
		}
		if out.GetOkResponse() == nil || out.GetStatus().GetCode() != 0 {
			t.Fatalf("neither: %v", out)
		}
		from := in.GetAttributes().GetRequest().GetHttp()
		r := request{method: from.GetMethod(), host: from.GetHost(), target: from.GetPath()}
		parsed, err := r.parse()
		if err != nil {
			t.Fatalf("passes, and net/http says %v", err)
		}
		if rule, err := s.routes.Find(parsed); err != nil || !rule.Access.IsPublic() && !rule.Access.IsOptional() {
			t.Fatalf("passes by rule %+v, %v", rule, err)
		}
		for _, field := range from.GetHeaderMap().GetHeaders() {
			r.lines = append(r.lines, [2]string{field.GetKey(), field.GetValue() + string(field.GetRawValue())})
		}
		for name, value := range from.GetHeaders() {
			r.lines = append(r.lines, [2]string{name, value})
		}
		h := r.upstreamHeader(out.GetOkResponse())
		if _, kept := h["authorization"]; kept {
			t.Fatalf("credentials are sent on: %v", h)
		}
		left := make(http.Header)
		for name, values := range h {
			if strings.Join(values, "") != "" {
				left[http.CanonicalHeaderKey(name)] = values
			}
		}
		n := len(left)
		if s.identity.Strip(left); len(left) != n {
			t.Fatalf("the upstream takes a client's word: %v", h)
		}
	})
}
