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

// fetcher sends HTTP requests to the issuer. The texts of its errors contain no host, no address
// and no part of the request.
type fetcher struct {
	network *network
	timeout time.Duration
	// beforeHook is Config.BeforeIssuerCall, and afterHook is Config.IssuerCall. Each of them may
	// be nil.
	beforeHook func(context.Context, string, http.Header) context.Context
	afterHook  func(context.Context, IssuerCall)
}

// reply is an HTTP response whose body was read completely.
type reply struct {
	status int
	header http.Header
	body   string
}

// outageError is the error of a call to the issuer that failed, got an unusable response, or could
// not be made. It means that nothing is known about the token. The text of this error contains no
// secret and no address.
type outageError struct {
	callName  string // callName is "metadata", "key set" or "introspection"
	causeText string // causeText says why the call failed
	// issuerDown says that the issuer seems to be down: it sent no response, or the status 429,
	// 502, 503 or 504. It is false for any other unusable response.
	issuerDown  bool
	rateLimited bool // rateLimited says that the status was 429: too many requests
	// concernsOneCall says that the failure shows nothing about other calls. So the circuit breaker
	// does not count this failure.
	concernsOneCall bool
	// credentialsAccepted says that the issuer has accepted the credentials of this API, although
	// its response can't be used.
	credentialsAccepted bool
	// retryAt is set if the issuer sent Retry-After and issuerDown is true. No call is made before
	// this time.
	retryAt time.Time
	// foreignError is the error that a ClientAuth outside this package returned. errors.Is and
	// errors.As find foreignError in the outageError. But the text of foreignError may contain a
	// secret or an address. So no log record and no error text of this package contains this text.
	foreignError error
}

func (o *outageError) Error() string { return o.callName + ": " + o.causeText }

// outageError.Is is for the function errors.Is. It reports whether the field foreignError is target
// or wraps target.
func (o *outageError) Is(target error) bool {
	return o.foreignError != nil && errors.Is(o.foreignError, target)
}

// outageError.As is for the function errors.As. It searches the field foreignError for an error of
// the type that target points to. But if that type is *Error, the result is false. The reason is
// that foreignError comes from code outside this package. An *Error in it does not come from the
// issuer and says nothing about the token, so it must not become the refusal of the request.
func (o *outageError) As(target any) bool {
	_, isRefusal := target.(**Error)
	return !isRefusal && o.foreignError != nil && errors.As(o.foreignError, target)
}

// outageError.RetryAfter returns for how long, from now on, this package must not call the issuer.
// It is 0 if retryAt is not set.
func (o *outageError) RetryAfter() time.Duration {
	if o.retryAt.IsZero() {
		return 0
	}
	return max(0, time.Until(o.retryAt))
}

func newFetcher(network *network, timeout time.Duration, cfg Config) *fetcher {
	return &fetcher{
		network: network, timeout: timeout, beforeHook: cfg.BeforeIssuerCall, afterHook: cfg.IssuerCall,
	}
}

// fetchRequest is one request to the issuer.
type fetchRequest struct {
	// callName is "metadata", "key set" or "introspection". It is for errors and logs.
	callName    string
	method, url string
	header      http.Header
	form        url.Values // form is the body of the request; nil if the request has no body
	// authenticate adds the credentials of this API to each attempt to send the request; it may be
	// nil
	authenticate func(*http.Request) error
	maxLength    int64      // maxLength is the largest length of the response's body, in bytes
	countWaiting func() int // countWaiting returns how many requests wait; it may be nil
}

// fetcher.do sends a request to the issuer and reads the response.
func (f *fetcher) do(ctx context.Context, req fetchRequest) (*reply, error) {
	requestURL, err := url.Parse(req.url)
	if err != nil {
		return nil, &outageError{callName: req.callName, causeText: "the URL is invalid"}
	}
	if f.beforeHook != nil {
		ctx = f.callBeforeHook(ctx, &req)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	x := exchange{
		network:      f.network,
		server:       requestURL.Scheme + "://" + requestURL.Host,
		callName:     req.callName,
		maxLength:    req.maxLength,
		buildRequest: req.build,
	}
	start := time.Now()
	r, err := x.do(ctx)
	if f.afterHook != nil {
		f.callAfterHook(ctx, &req, time.Since(start), r, err)
	}
	return r, err
}

// fetcher.callBeforeHook calls the hook Config.BeforeIssuerCall. The hook may set header fields,
// and callBeforeHook adds these fields to the request req. The hook also returns the context for
// the call to the issuer. callBeforeHook returns this context.
func (f *fetcher) callBeforeHook(ctx context.Context, req *fetchRequest) (nextContext context.Context) {
	hookHeader := make(http.Header)
	// BeforeIssuerCall may run in a goroutine that serves no request. Without recover, a panic of
	// the hook would end the process there.
	defer func() {
		if recover() != nil || nextContext == nil {
			nextContext = ctx
		}
		// The hook Config.BeforeIssuerCall may set a header field that this package sets too. The
		// value of this package is then sent.
		maps.Copy(hookHeader, req.header)
		req.header = hookHeader
	}()
	return f.beforeHook(ctx, hookDocument(req.callName), hookHeader)
}

// hookDocument returns the value of IssuerCall.Document for a call to the issuer. callName is the
// name of this call in errors and logs.
func hookDocument(callName string) string {
	if callName == "key set" {
		return "jwks"
	}
	return callName
}

// callAfterHook calls the hook Config.IssuerCall with the result of a call to the issuer.
func (f *fetcher) callAfterHook(ctx context.Context, req *fetchRequest, took time.Duration, r *reply, err error) {
	// IssuerCall may run in a goroutine that serves no request. Without recover, a panic of the
	// hook would end the process there.
	defer func() { _ = recover() }()
	call := IssuerCall{Document: hookDocument(req.callName), Duration: took, Err: err}
	if req.countWaiting != nil {
		call.Waited = req.countWaiting()
	}
	if r != nil {
		call.Status = r.status
	}
	f.afterHook(ctx, call)
}

// fetchRequest.build returns the HTTP request for one attempt to send the fetchRequest f to the
// issuer.
func (f *fetchRequest) build(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, f.method, f.url, nil)
	if err != nil {
		return nil, &outageError{callName: f.callName, causeText: "the URL is invalid"}
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

// addCredentials calls the function fetchRequest.authenticate, which adds the credentials of this
// API to the request. That function may be code outside this package, so addCredentials returns an
// error if the function panics.
func (f *fetchRequest) addCredentials(r *http.Request) (err error) {
	if f.authenticate == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			err = &outageError{callName: f.callName, causeText: "the client authentication panicked", concernsOneCall: true}
		}
	}()
	if err := f.authenticate(r); err != nil {
		return &outageError{callName: f.callName, causeText: "the client authentication failed", concernsOneCall: true, foreignError: err}
	}
	return nil
}

// reply.jsonBody returns the body of a response of the issuer, if the status is 200 and the content
// type is JSON. For any other response, the error is an *outageError.
func (r *reply) jsonBody(callName string) (string, error) {
	if r.status != http.StatusOK {
		return "", r.newOutage(callName, "")
	}
	media, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	isJSON := media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
	if err != nil || !isJSON {
		return "", &outageError{callName: callName, causeText: "the content type of the response is not JSON"}
	}
	return r.body, nil
}

// reply.newOutage returns the error for a response of the issuer that can't be used. The text of
// the error says why: it contains causeText, or the status of the response if causeText is "".
func (r *reply) newOutage(callName, causeText string) *outageError {
	onlyThisCall := false
	if causeText == "" {
		switch r.status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			onlyThisCall = true
		}
		causeText = "status " + strconv.Itoa(r.status)
		if r.status >= 300 && r.status < 400 {
			causeText += ", and redirects are not followed"
		}
	}
	limited := r.status == http.StatusTooManyRequests
	down := limited || r.status == http.StatusBadGateway ||
		r.status == http.StatusServiceUnavailable || r.status == http.StatusGatewayTimeout
	o := &outageError{callName: callName, causeText: causeText, issuerDown: down, rateLimited: limited, concernsOneCall: onlyThisCall}
	now := time.Now()
	if wait := freshness.RetryAfter(r.header, now, maxRetryAfter); down && wait > 0 {
		o.retryAt = now.Add(wait)
	}
	return o
}

// maxRetryAfter is the longest time for which this package makes no calls after the issuer has sent
// Retry-After. The issuer may send a time that is too long by mistake, and one call a minute harms
// no server.
const maxRetryAfter = time.Minute

// reply.lifetime returns how much longer a response of the issuer is fresh, as its header fields
// say. If no header field says it, the result is 0.
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
