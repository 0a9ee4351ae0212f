package xenaauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/xenaauth/xenaauth/internal/freshness"
)

// fetcher sends HTTP requests to the issuer. Its errors contain no host, no address and no part of
// the request.
type fetcher struct {
	network *network
	timeout time.Duration
	// The field before contains the hook Config.BeforeIssuerCall, and the field report contains the
	// hook Config.IssuerCall. A hook may be nil.
	before func(context.Context, string, http.Header) context.Context
	report func(context.Context, IssuerCall)
}

// reply is an HTTP response whose body was read completely.
type reply struct {
	status int
	header http.Header
	body   string
}

// outage is the error of a call to the issuer that failed or got an unusable response. It means
// that nothing is known about the token. The text of this error contains no secret and no address.
type outage struct {
	what string // the field what names the fetched document, or is "introspection"
	why  string // the field why contains the cause of the failure
	// The field down says that the issuer seems to be down. It is false if the issuer sent an
	// unusable response.
	down    bool
	limited bool // the field limited says that the status was 429: too many requests
	ofCall  bool // the field ofCall says that only this call failed, and other calls may succeed
	// The field until is set if the issuer sent Retry-After. No call is made before this time.
	until time.Time
	// cause is an error that code outside this package returned. errors.Is and errors.As find cause
	// in an outage, but no text of this package contains the text of cause.
	cause error
}

func (o *outage) Error() string { return o.what + ": " + o.why }

// Is reports whether the cause of the outage is target or wraps target. errors.Is calls it.
func (o *outage) Is(target error) bool { return o.cause != nil && errors.Is(o.cause, target) }

// As finds an error in the cause of the outage. errors.As calls it. It does not find an *Error: if
// code outside this package returned a refusal, this refusal does not come from the issuer and says
// nothing about the token.
func (o *outage) As(target any) bool {
	_, isRefusal := target.(**Error)
	return !isRefusal && o.cause != nil && errors.As(o.cause, target)
}

// RetryAfter returns for how long from now the issuer wants to get no calls.
func (o *outage) RetryAfter() time.Duration {
	if o.until.IsZero() {
		return 0
	}
	return max(0, time.Until(o.until))
}

func newFetcher(network *network, timeout time.Duration, cfg Config) *fetcher {
	return &fetcher{
		network: network, timeout: timeout, before: cfg.BeforeIssuerCall, report: cfg.IssuerCall,
	}
}

// fetchRequest is one request to the issuer.
type fetchRequest struct {
	// The field what names the document that is fetched, or is "introspection". It is for errors
	// and logs.
	what        string
	method, url string
	header      http.Header
	form        url.Values // form is the body of the request; nil if the request has no body
	// authenticate adds the credentials of this API to each attempt to send the request; it may be
	// nil
	authenticate func(*http.Request) error
	limit        int64      // limit is the largest length of the response's body, in bytes
	waited       func() int // waited returns how many requests wait for the call; nil stands for 0
}

// fetcher.do sends a request to the issuer and reads the response.
func (f *fetcher) do(ctx context.Context, req fetchRequest) (*reply, error) {
	at, err := url.Parse(req.url)
	if err != nil {
		return nil, &outage{what: req.what, why: "the URL is invalid"}
	}
	if f.before != nil {
		ctx = f.announce(ctx, &req)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	x := exchange{
		network: f.network,
		server:  at.Scheme + "://" + at.Host,
		what:    req.what,
		limit:   req.limit,
		build:   req.build,
	}
	start := time.Now()
	r, err := x.do(ctx)
	if f.report != nil {
		f.reportCall(ctx, &req, time.Since(start), r, err)
	}
	return r, err
}

// fetcher.announce calls the hook Config.BeforeIssuerCall. It adds the header fields that the hook
// has set to req, and returns the context that the hook returned for the call to the issuer.
func (f *fetcher) announce(ctx context.Context, req *fetchRequest) (next context.Context) {
	added := make(http.Header)
	// BeforeIssuerCall may run in a goroutine that serves no request. Without recover, a panic of
	// the hook would end the process there.
	defer func() {
		if recover() != nil || next == nil {
			next = ctx
		}
		// If the hook and the library set the same header field, the value of the library is sent.
		maps.Copy(added, req.header)
		req.header = added
	}()
	return f.before(ctx, document(req.what), added)
}

// The function document returns the name by which hooks know a document: the value of
// IssuerCall.Document. The argument is the name in errors and logs, fetchRequest.what.
func document(what string) string {
	if what == "key set" {
		return "jwks"
	}
	return what
}

// reportCall calls the hook Config.IssuerCall with the result of a call to the issuer.
func (f *fetcher) reportCall(ctx context.Context, req *fetchRequest, took time.Duration, r *reply, err error) {
	// Without recover, a panic of the hook could end the process: see announce.
	defer func() { _ = recover() }()
	call := IssuerCall{Document: document(req.what), Duration: took, Err: err}
	if req.waited != nil {
		call.Waited = req.waited()
	}
	if r != nil {
		call.Status = r.status
	}
	f.report(ctx, call)
}

// fetchRequest.build returns the HTTP request for one attempt to send the fetchRequest f to the
// issuer.
func (f *fetchRequest) build(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, f.method, f.url, nil)
	if err != nil {
		return nil, &outage{what: f.what, why: "the URL is invalid"}
	}
	for name, values := range f.header {
		r.Header[name] = slices.Clone(values)
	}
	if f.form == nil {
		return r, nil
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.PostForm = make(url.Values, len(f.form)+2)
	for name, values := range f.form {
		r.PostForm[name] = slices.Clone(values)
	}
	if err := f.addCredentials(r); err != nil {
		return nil, err
	}
	body := r.PostForm.Encode()
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(body))
	// The server may close an idle connection at the moment when a request is sent on it. net/http
	// sends a POST again on a new connection only if the request has the field Idempotency-Key. So
	// this field is set. Its value nil means that net/http does not send it. To introspect a token
	// twice does no harm.
	r.Header["Idempotency-Key"] = nil
	return r, nil
}

// addCredentials calls the function f.authenticate, which adds the credentials of this API to the
// request. That function may be code outside this package, so addCredentials returns an error if
// the function panics.
func (f *fetchRequest) addCredentials(r *http.Request) (err error) {
	if f.authenticate == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			err = &outage{what: f.what, why: "the client authentication panicked", ofCall: true}
		}
	}()
	if err := f.authenticate(r); err != nil {
		return &outage{what: f.what, why: "the client authentication failed", ofCall: true, cause: err}
	}
	return nil
}

// reply.document returns the body of a response of the issuer, if the status is 200 and the content
// type is JSON. For any other response, the error is an *outage.
func (r *reply) document(what string) (string, error) {
	if r.status != http.StatusOK {
		return "", r.outage(what, "")
	}
	media, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	isJSON := media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
	if err != nil || !isJSON {
		return "", &outage{what: what, why: "the content type of the response is not JSON"}
	}
	return r.body, nil
}

// reply.outage returns the error for a response of the issuer that can't be used. The text of the
// error contains why. If why is "", the text contains the status of the response instead.
func (r *reply) outage(what, why string) *outage {
	ofCall := false
	if why == "" {
		switch r.status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			ofCall = true
		}
		why = "status " + strconv.Itoa(r.status)
		if r.status >= 300 && r.status < 400 {
			why += ", and redirects are not followed"
		}
	}
	limited := r.status == http.StatusTooManyRequests
	down := limited || r.status == http.StatusBadGateway ||
		r.status == http.StatusServiceUnavailable || r.status == http.StatusGatewayTimeout
	o := &outage{what: what, why: why, down: down, limited: limited, ofCall: ofCall}
	now := time.Now()
	if wait := freshness.RetryAfter(r.header, now, maxRetryAfter); down && wait > 0 {
		o.until = now.Add(wait)
	}
	return o
}

// maxRetryAfter limits for how long this package makes no calls after the issuer has sent
// Retry-After. The issuer may send a time that is too long by mistake, and one call a minute harms
// no server.
const maxRetryAfter = time.Minute

// reply.lifetime returns for how much longer a response of the issuer is fresh, by its header
// fields. It returns 0 if these fields do not say it.
func (r *reply) lifetime() time.Duration { return freshness.Lifetime(r.header, time.Now()) }

// publicCause returns a short cause of a failed call. It does not return the text of err, because
// the errors of net and net/http contain URLs and addresses.
func publicCause(err error) string {
	var dns *net.DNSError
	var network net.Error
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &dns):
		return "the host name can't be resolved"
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid),
		errors.As(err, &verify), errors.As(err, &record):
		return "the TLS connection can't be trusted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "connection closed early"
	}
	return "the connection failed"
}
