package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var quiet = stdlog.New(io.Discard, "", 0)

func answering(f xenaauthtest.Fault) func(*lab) {
	return func(l *lab) { l.issuer.Fail(xenaauthtest.All, f) }
}

// answerFaults contains the faults in which the issuer sends bad responses, late responses or none.
func answerFaults() []fault {
	const page = "<!doctype html><title>Sorry</title><p>We'll be back soon."
	return []fault{
		{name: "the process drops every request", beginFault: func(l *lab) { l.issuer.Down() }},
		{name: "the process responds after 5 s", beginFault: func(l *lab) { l.issuer.Slow(5 * time.Second) }, stopFault: func(l *lab) {
			// endFault ends the fault, and also closes all connections to the issuer. If it left
			// them open, a request that already waits for a delayed response would continue to
			// wait.
			endFault(l)
		}},
		{name: "status 429, Retry-After: 7", retryAfter: 7, beginFault: answering(xenaauthtest.Fault{
			Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}},
		})},
		{name: "status 500", beginFault: answering(xenaauthtest.Fault{Status: http.StatusInternalServerError, Body: `{"error":"server_error"}`})},
		{name: "status 503, Retry-After: 3", retryAfter: 3, beginFault: answering(xenaauthtest.Fault{
			Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"3"}}, Body: page, ContentType: "text/html",
		})},
		{name: "status 302 to a page", beginFault: answering(xenaauthtest.Fault{
			Status: http.StatusFound, Header: http.Header{"Location": {"/maintenance"}},
		})},
		{name: "status 404", beginFault: answering(xenaauthtest.Fault{Status: http.StatusNotFound})},
		{name: "status 200, an HTML page", beginFault: answering(xenaauthtest.Fault{Body: page, ContentType: "text/html; charset=utf-8"})},
		{name: "status 200, an HTML page labelled JSON", beginFault: answering(xenaauthtest.Fault{Body: page})},
		{name: "status 200, JSON labelled text", beginFault: answering(xenaauthtest.Fault{Header: http.Header{"Content-Type": {"text/plain"}}})},
		{name: "status 200, an empty body", beginFault: answering(xenaauthtest.Fault{Status: http.StatusOK})},
		{name: "status 200, truncated JSON", beginFault: answering(xenaauthtest.Fault{Body: `{"issuer":"https://login.xena.biz","keys":[{"kty":"RSA"`})},
		{name: "status 200, 2 MB of JSON", beginFault: answering(xenaauthtest.Fault{
			Body: `{"padding":"` + string(bytes.Repeat([]byte("x"), 2<<20)) + `"}`,
		})},
		{name: "another issuer's metadata, nothing behind its endpoints", beginFault: func(l *lab) {
			l.issuer.SetMetadata(bytes.ReplaceAll(l.metadata(), []byte(l.url), []byte("https://login.chaos.test")))
			l.issuer.Fail(xenaauthtest.JWKS, xenaauthtest.Fault{Status: http.StatusNotFound})
		}, introspectionWorks: true},
	}
}

// keySetFaults contains the faults in which the issuer publishes no usable keys. Its introspection
// endpoint works.
func keySetFaults() []fault {
	serving := func(text func() []byte) func(*lab) {
		return func(l *lab) { l.issuer.SetJWKS(text()) }
	}
	return []fault{
		{name: "an empty key set", introspectionWorks: true, beginFault: serving(func() []byte { return []byte(`{"keys":[]}`) })},
		{name: "a key set of invalid keys", introspectionWorks: true, beginFault: serving(func() []byte {
			return []byte(`{"keys":[{"kty":"RSA","kid":"1","n":"AQ","e":"AQAB"},{"kty":"oct","k":"AAAA"},17]}`)
		})},
		{name: "10 000 keys, 2 MB", introspectionWorks: true, beginFault: serving(manyKeys)},
		{name: "10 000 keys, 150 kB", introspectionWorks: true, beginFault: serving(func() []byte {
			return []byte(`{"keys":[` + string(bytes.Repeat([]byte(`{"kty":"OKP"},`), 9999)) + `{}]}`)
		})},
	}
}

// manyKeys returns a key set of 10 000 keys of the usual size.
func manyKeys() []byte {
	const b64 = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
	keys := make([]map[string]string, 10_000)
	for n := range keys {
		keys[n] = map[string]string{
			"kty": "EC", "crv": "P-256", "use": "sig", "kid": fmt.Sprintf("%040d", n), "alg": "ES256", "x": b64, "y": b64,
		}
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return text
}
