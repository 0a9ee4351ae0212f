// Package recording records the responses of an issuer to a Validator. A command that reads the
// recorded responses can explain more than the error of the Validator says.
package recording

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
)

// Document is the kind of document for which a call asks the issuer, for example its metadata.
type Document string

// These are the kinds of documents that the issuer serves. [xenaauth.IssuerCall] uses the same
// names.
const (
	Metadata      Document = "metadata"
	JWKS          Document = "jwks"
	Introspection Document = "introspection"
)

// Call is one call to the issuer with its response. Call contains no part of the request, because
// the request may contain secrets.
type Call struct {
	Document   Document
	Secure     bool // Secure is true if the URL of the call begins with https
	Start, End time.Time
	Status     int // Status is the status of the response; 0 if none came
	Header     http.Header
	Body       string
	TLS        *tls.ConnectionState // TLS is nil if the call did not use TLS
	err        error                // err is not shown, because its text may contain addresses
}

// Recorder is an [http.RoundTripper] that records the calls to the issuer, and passes them on.
type Recorder struct {
	next        http.RoundTripper
	metadataURL string

	mu    sync.Mutex
	calls []Call
}

// maxBody is the largest number of bytes that are recorded of the body of a response. A Validator
// reads fewer bytes.
const maxBody = 2 << 20

// New returns a recorder, and a copy of cfg whose HTTP client sends all calls to the issuer through
// this recorder.
func New(cfg xenaauth.Config) (*Recorder, xenaauth.Config) {
	client := http.Client{}
	if cfg.HTTPClient != nil {
		client = *cfg.HTTPClient
	}
	r := &Recorder{next: client.Transport, metadataURL: cfg.MetadataURL}
	if r.next == nil {
		r.next = newTransport()
	}
	client.Transport = r
	cfg.HTTPClient = &client
	return r, cfg
}

// newTransport returns an HTTP transport with the time limits that a Validator has by default.
func newTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	t.DialContext = (&net.Dialer{Timeout: 2 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 2 * time.Second
	t.ResponseHeaderTimeout = 4 * time.Second
	return t
}

// RoundTrip implements [http.RoundTripper].
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	call := Call{
		Document: r.document(req), Secure: req.URL.Scheme == "https", Start: time.Now(),
	}
	resp, err := r.next.RoundTrip(req)
	call.End, call.err = time.Now(), err
	if err == nil {
		call.Status, call.Header, call.TLS = resp.StatusCode, resp.Header.Clone(), resp.TLS
		body, readErr := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		call.Body, call.err = string(body), readErr
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), endReader{readErr}))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
	return resp, err
}

// An endReader is a reader without content. Its method Read returns the error that ended the
// reading of the body when the response was recorded, or io.EOF if there was no error.
type endReader struct{ err error }

func (f endReader) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

func (r *Recorder) document(req *http.Request) Document {
	path := req.URL.Path
	switch {
	case req.Method == http.MethodPost:
		return Introspection
	case r.metadataURL == "" && (strings.HasSuffix(path, "/.well-known/openid-configuration") ||
		strings.HasPrefix(path, "/.well-known/oauth-authorization-server")),
		r.metadataURL != "" && sameURL(req.URL, r.metadataURL):
		return Metadata
	}
	return JWKS
}

func sameURL(u *url.URL, text string) bool {
	other, err := url.Parse(text)
	return err == nil && u.String() == other.String()
}

// LastCall returns the latest recorded call that asked for the document d and got a response. If no
// such call got a response, LastCall returns the latest call that asked for d. ok is false if no
// call asked for d.
func (r *Recorder) LastCall(d Document) (call Call, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.calls {
		if c.Document == d && (!ok || c.Status != 0 || call.Status == 0) {
			call, ok = c, true
		}
	}
	return call, ok
}

// AllCalls returns all recorded calls to the issuer, the earliest first.
func (r *Recorder) AllCalls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Call(nil), r.calls...)
}

// IsHTML reports whether the response of the call is an HTML page.
func (c Call) IsHTML() bool {
	start := strings.ToLower(strings.TrimSpace(c.Body[:min(len(c.Body), 200)]))
	return strings.Contains(strings.ToLower(c.Header.Get("Content-Type")), "html") ||
		strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}

// IsOutage reports whether the call failed because the issuer or the network is down. A response
// with the status 429, 500 or more counts as such a failure.
func (c Call) IsOutage() bool {
	if c.Status == 0 {
		return c.TLSProblem() == ""
	}
	return c.Status == http.StatusTooManyRequests || c.Status >= http.StatusInternalServerError
}

// TLSProblem returns what is wrong with the TLS of the server, for example that its certificate has
// expired. It returns "" if the call failed for another reason or did not fail.
func (c Call) TLSProblem() string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(c.err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate of the server has expired or is not valid yet, or the clock " +
			"here is wrong"
	case errors.As(c.err, &host):
		return "the certificate of the server is for another host name"
	case errors.As(c.err, &unknown):
		return "the certificate of the server is from an authority that is not trusted here"
	case errors.As(c.err, &record):
		return "the server does not speak TLS on this port"
	case errors.As(c.err, &invalid), errors.As(c.err, &verification):
		return "the certificate of the server is not valid"
	}
	return ""
}
