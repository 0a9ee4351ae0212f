package proxies

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	// with this import, protojson can read the messages of Envoy's router in the sample
	// configurations
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/xenaauth/xenaauth/gateway/identity"
)

// TestEnvoySamples reads the sample configurations for Envoy with Envoy's own definitions of its
// configuration. Envoy itself need not be installed. Every field must be defined, every value must
// be within its range, and the filter that asks xenagate must have safe settings.
func TestEnvoySamples(t *testing.T) {
	id, err := identity.New(identity.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"envoy-http.yaml", "envoy-grpc.yaml"} {
		t.Run(name, func(t *testing.T) {
			var tree any
			if err := yaml.Unmarshal([]byte(readSample(t, name)), &tree); err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(tree)
			if err != nil {
				t.Fatal(err)
			}
			bootstrap := new(bootstrapv3.Bootstrap)
			hcm, filter := new(hcmv3.HttpConnectionManager), new(extauthzv3.ExtAuthz)
			if err := protojson.Unmarshal(data, bootstrap); err != nil {
				t.Fatal(err)
			}
			chain := bootstrap.GetStaticResources().GetListeners()[0].GetFilterChains()[0]
			if err := chain.GetFilters()[0].GetTypedConfig().UnmarshalTo(hcm); err != nil {
				t.Fatal(err)
			}
			if err := hcm.GetHttpFilters()[0].GetTypedConfig().UnmarshalTo(filter); err != nil {
				t.Fatal(err)
			}
			for _, m := range []interface{ ValidateAll() error }{bootstrap, hcm, filter} {
				if err := m.ValidateAll(); err != nil {
					t.Error(err)
				}
			}
			if filter.GetFailureModeAllow() || filter.GetStatusOnError().GetCode() != 503 {
				t.Error("an outage lets requests pass, or is not 503")
			}
			timeout := filter.GetGrpcService().GetTimeout().AsDuration()
			if http := filter.GetHttpService(); http != nil {
				timeout = http.GetServerUri().GetTimeout().AsDuration()
				var copied []string
				for _, p := range http.GetAuthorizationResponse().GetAllowedUpstreamHeaders().GetPatterns() {
					copied = append(copied, p.GetExact())
				}
				if got, want := strings.Join(copied, " "), strings.ToLower(strings.Join(id.Names(), " ")); got != want {
					t.Errorf("it copies %s, want %s", got, want)
				}
			}
			if filter.GetHttpService() != nil {
				for _, name := range []string{"x-http-method-override", "x-http-method", "x-method-override"} {
					for _, sep := range []string{"-", ".", "~"} {
						if spelled := strings.ReplaceAll(name, "-", sep); !passesField(filter, spelled) {
							t.Errorf("xenagate isn't shown %s", spelled)
						}
					}
				}
			}
			host := hcm.GetRouteConfig().GetVirtualHosts()[0]
			gone := host.GetRequestHeadersToRemove()
			for _, u := range hcm.GetUpgradeConfigs() {
				t.Errorf("it lets upgrades to %s pass", u.GetUpgradeType())
			}
			for _, name := range append(slices.Clone(misleadingFields), "authorization", "dpop", "http2-settings") {
				if !slices.Contains(gone, name) {
					t.Errorf("%s reaches the service", name)
				}
			}
			dotted := []string{
				"x-original-url", "x-rewrite-url", "x-forwarded-prefix", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
			}
			// with gRPC, the response of xenagate tells Envoy to remove these identity fields, so
			// the sample configuration need not remove them
			if filter.GetHttpService() != nil {
				for _, name := range id.Names() {
					dotted = append(dotted, strings.ToLower(name))
				}
			}
			for _, name := range dotted {
				first, second := strings.Index(name, "-"), strings.LastIndex(name, "-")
				for _, at := range [][]int{{first}, {second}, {first, second}} {
					spelled := []byte(name)
					for _, i := range at {
						spelled[i] = '.'
					}
					if !slices.Contains(gone, string(spelled)) {
						t.Errorf("%s reaches the service", spelled)
					}
				}
			}
			var replaced []string
			for _, h := range host.GetRequestHeadersToAdd() {
				if h.GetAppendAction() == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
					replaced = append(replaced, h.GetHeader().GetKey())
				}
			}
			if !slices.Equal(replaced, []string{"x-forwarded-for", "x-forwarded-host"}) {
				t.Errorf("it replaces %q", replaced)
			}
			if timeout <= 5*time.Second {
				t.Errorf("it waits for %v", timeout)
			}
		})
	}
}

// passesField reports whether Envoy's filter passes a header field of the client's request on to
// xenagate, if the filter asks over HTTP. Envoy compares complete names in lower case.
func passesField(filter *extauthzv3.ExtAuthz, name string) bool {
	return slices.ContainsFunc(filter.GetAllowedHeaders().GetPatterns(), func(m *matcherv3.StringMatcher) bool {
		return regexp.MustCompile("^(?:" + m.GetSafeRegex().GetRegex() + ")$").MatchString(name)
	})
}
