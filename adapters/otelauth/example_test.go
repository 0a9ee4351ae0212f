package otelauth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
)

func Example() {
	// in place of this exporter, a service uses an OTLP exporter
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	// nothing can be done about an error of Shutdown
	defer provider.Shutdown(context.Background()) //nolint:errcheck

	telemetry, err := otelauth.New(otelauth.Config{TracerProvider: provider})
	if err != nil {
		log.Fatal(err)
	}
	v, err := xenaauth.NewValidator(xenaauth.Config{
		Audiences:        []string{"testapi"},
		BeforeIssuerCall: telemetry.BeforeIssuerCall,
		IssuerCall:       telemetry.IssuerCall,
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := telemetry.Watch(v); err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: telemetry.Event})

	mux := http.NewServeMux()
	mux.Handle("GET /invoices/{id}", auth.Require(xenaauth.AllScopes("testapi"))(http.NotFoundHandler()))
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/invoices/7", nil))

	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name, span.Status.Code)
		for _, a := range span.Attributes {
			fmt.Println(" ", a.Key, a.Value.String())
		}
	}
	// Output:
	// xenaauth.authenticate Unset
	//   xenaauth.outcome refused
	//   error.type missing_token
	//   http.response.status_code 401
	//   http.route /invoices/{id}
}

// In this example, each span has a keyed hash of the user's subject. So traces show which requests
// are of the same user, but do not show who the user is.
func ExampleConfig_spanAttributes() {
	key := []byte("32 random bytes that are not here")
	cfg := otelauth.Config{
		SpanAttributes: func(e xenaauth.Event) []attribute.KeyValue {
			if e.User == nil {
				return nil
			}
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(e.Issuer + "\x00" + e.User.Subject()))
			id := hex.EncodeToString(mac.Sum(nil))
			return []attribute.KeyValue{attribute.String("enduser.pseudo.id", id)}
		},
	}
	if _, err := otelauth.New(cfg); err != nil {
		log.Fatal(err)
	}
}
