package otelauth

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// These constants are the names of the OpenTelemetry attributes. The documentation of the package
// says what each attribute means.
const (
	outcomeKey      = attribute.Key("xenaauth.outcome")
	errorTypeKey    = attribute.Key("error.type")
	sourceKey       = attribute.Key("xenaauth.source")
	statusKey       = attribute.Key("http.response.status_code")
	routeKey        = attribute.Key("http.route")
	clientKey       = attribute.Key("xenaauth.client_id")
	upstreamKey     = attribute.Key("xenaauth.upstream")
	tokenInQueryKey = attribute.Key("xenaauth.token_in_query")
	documentKey     = attribute.Key("xenaauth.document")
	waitedKey       = attribute.Key("xenaauth.waited")
	cacheKey        = attribute.Key("xenaauth.cache")
	cacheResultKey  = attribute.Key("xenaauth.cache.result")
)

// attributeValues has the values of the OpenTelemetry attributes of one measurement. If a field has
// the zero value, the measurement lacks the attribute of that field.
type attributeValues struct {
	outcome, source, document, errorType string
	status                               int
}

// Telemetry.attributes returns the OpenTelemetry attributes of a measurement: those with the given
// values, and those in Config.Attributes.
func (t *Telemetry) attributes(k attributeValues) []attribute.KeyValue {
	all := t.cfg.Attributes
	for _, a := range []attribute.KeyValue{
		outcomeKey.String(k.outcome), sourceKey.String(k.source),
		documentKey.String(k.document), errorTypeKey.String(k.errorType),
	} {
		if a.Value.AsString() != "" {
			all = append(all, a)
		}
	}
	if k.status != 0 {
		all = append(all, statusKey.Int(k.status))
	}
	return all
}

// Telemetry.recordOptions returns the attributes of a measurement in the form that OpenTelemetry
// expects. It keeps the result in a map, so a later measurement with the same attributes allocates
// no memory.
func (t *Telemetry) recordOptions(k attributeValues) []metric.RecordOption {
	t.mu.RLock()
	o := t.optionsOf[k]
	t.mu.RUnlock()
	if o == nil {
		o = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(t.attributes(k)...))}
		t.mu.Lock()
		t.optionsOf[k] = o
		t.mu.Unlock()
	}
	return o
}

// pathOfPattern returns the pattern of a route without its method. A pattern of [http.ServeMux] can
// have a method before the path, as in "GET /invoices/{id}". If the pattern has a host, the result
// has the host too.
func pathOfPattern(pattern string) string {
	if _, after, ok := strings.Cut(pattern, " "); ok {
		return strings.TrimLeft(after, " \t")
	}
	return pattern
}

// maxText is the largest length of the value of an attribute, in bytes, if the issuer chooses the
// value. An example is the id of a client. Longer values are cut.
const maxText = 256

func cut(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
