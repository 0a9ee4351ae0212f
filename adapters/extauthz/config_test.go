package extauthz_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/xenaauth/xenaauth/gateway/identity"
)

// These constants are the files of the sample configurations of Envoy. docs/envoy.md shows extracts
// of them.
const (
	grpcSample = "../../cmd/xenagate/deploy/envoy-grpc.yaml"
	httpSample = "../../cmd/xenagate/deploy/envoy-http.yaml"
)

// TestConfigurations reads the sample configurations as Envoy does. Every field exists, every value
// is within its range, and the filter runs before the router. The documentation of the package must
// show the same filter.
func TestConfigurations(t *testing.T) {
	bootstrap, hcm := readSample(t, grpcSample)
	clusters := make(map[string]bool)
	for _, c := range bootstrap.GetStaticResources().GetClusters() {
		clusters[c.GetName()] = true
		for _, options := range c.GetTypedExtensionProtocolOptions() {
			valid(t, options)
		}
	}
	filter := requireExtAuthz(t, hcm.GetHttpFilters())
	grpc := filter.GetGrpcService()
	if !clusters[grpc.GetEnvoyGrpc().GetClusterName()] || grpc.GetTimeout().AsDuration() <= 5*time.Second ||
		filter.GetAllowedHeaders() != nil || filter.GetDisallowedHeaders() != nil || filter.GetClearRouteCache() {
		t.Errorf("%v", filter)
	}

	_, hcm = readSample(t, httpSample)
	http := requireExtAuthz(t, hcm.GetHttpFilters()).GetHttpService()
	var copied []string
	for _, p := range http.GetAuthorizationResponse().GetAllowedUpstreamHeaders().GetPatterns() {
		copied = append(copied, p.GetExact())
	}
	id, err := identity.New(identity.Config{})
	fatal(t, err)
	if got, want := strings.Join(copied, " "), strings.ToLower(strings.Join(id.Names(), " ")); got != want {
		t.Errorf("Envoy copies %s, want %s", got, want)
	}

	source, err := os.ReadFile("extauthz.go")
	fatal(t, err)
	var fragment []string
	for line := range strings.SplitSeq(string(source), "\n") {
		if line, code := strings.CutPrefix(line, "//\t"); code && (len(fragment) > 0 || line == "http_filters:") {
			fragment = append(fragment, line)
		} else if len(fragment) > 0 {
			break
		}
	}
	list := parseFilters(t, strings.Join(fragment, "\n"))
	inDoc := new(extauthzv3.ExtAuthz)
	fatal(t, list[0].GetTypedConfig().UnmarshalTo(inDoc))
	if !proto.Equal(inDoc, filter) {
		t.Errorf("the package's documentation has %v, %s has %v", inDoc, grpcSample, filter)
	}
}

// readSample reads a sample configuration of Envoy. It returns the whole configuration, and the
// part of it that lists the HTTP filters (the HTTP connection manager).
func readSample(t *testing.T, name string) (*bootstrapv3.Bootstrap, *hcmv3.HttpConnectionManager) {
	t.Helper()
	text, err := os.ReadFile(name)
	fatal(t, err)
	bootstrap, hcm := new(bootstrapv3.Bootstrap), new(hcmv3.HttpConnectionManager)
	decodeYAML(t, string(text), bootstrap)
	fatal(t, bootstrap.ValidateAll())
	chain := bootstrap.GetStaticResources().GetListeners()[0].GetFilterChains()[0]
	fatal(t, chain.GetFilters()[0].GetTypedConfig().UnmarshalTo(hcm))
	fatal(t, hcm.ValidateAll())
	return bootstrap, hcm
}

// requireExtAuthz fails the test unless the first of Envoy's HTTP filters is ext_authz and has safe
// settings. This filter asks our service about each request. requireExtAuthz returns the filter.
func requireExtAuthz(t *testing.T, list []*hcmv3.HttpFilter) *extauthzv3.ExtAuthz {
	t.Helper()
	for _, f := range list {
		valid(t, f.GetTypedConfig())
	}
	filter := new(extauthzv3.ExtAuthz)
	fatal(t, list[0].GetTypedConfig().UnmarshalTo(filter))
	if len(list) != 2 || filter.GetFailureModeAllow() || filter.GetStatusOnError().GetCode() != 503 ||
		!filter.GetEncodeRawHeaders() {
		t.Errorf("%v", list)
	}
	return filter
}

func valid(t *testing.T, config interface {
	UnmarshalNew() (proto.Message, error)
}) {
	t.Helper()
	m, err := config.UnmarshalNew()
	fatal(t, err)
	fatal(t, m.(interface{ ValidateAll() error }).ValidateAll())
}

// parseFilters reads Envoy's list of HTTP filters from a YAML text.
func parseFilters(t *testing.T, text string) []*hcmv3.HttpFilter {
	t.Helper()
	hcm := new(hcmv3.HttpConnectionManager)
	decodeYAML(t, text, hcm)
	return hcm.GetHttpFilters()
}

// decodeYAML decodes YAML as Envoy does: it converts the YAML to JSON first. The test fails if the
// YAML contains a field that Envoy does not have.
func decodeYAML(t *testing.T, text string, into proto.Message) {
	t.Helper()
	var tree map[string]any
	fatal(t, yaml.Unmarshal([]byte(text), &tree))
	asJSON, err := json.Marshal(tree)
	fatal(t, err)
	fatal(t, protojson.Unmarshal(asJSON, into))
}
