package otelauth

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// These are the names of the attributes. The documentation of the package describes them.
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

// A key contains the values of the attributes of one measurement. If a field has the zero value,
// the measurement does not have this attribute.
type key struct {
	outcome, source, document, errorType string
	status                               int
}

// The method attributes returns the attributes of a measurement.
func (t *Telemetry) attributes(k key) []attribute.KeyValue {
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

// The method options returns the attributes of a measurement as options for the instrument. It
// keeps the options of each key, so that later measurements with the same key allocate nothing.
func (t *Telemetry) options(k key) []metric.RecordOption {
	t.mu.RLock()
	o := t.sets[k]
	t.mu.RUnlock()
	if o == nil {
		o = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(t.attributes(k)...))}
		t.mu.Lock()
		t.sets[k] = o
		t.mu.Unlock()
	}
	return o
}

// The function path returns the path of a pattern of [http.ServeMux]. A pattern can also have a
// method before the path.
func path(pattern string) string {
	if _, after, ok := strings.Cut(pattern, " "); ok {
		return strings.TrimLeft(after, " \t")
	}
	return pattern
}

// maxText is the largest length of a text that the issuer chose, in bytes.
const maxText = 256

func cut(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
