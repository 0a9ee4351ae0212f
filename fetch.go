package xenaauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
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
)

// fetcher makes HTTP calls. Its errors contain no host, no address and nothing that was sent.
type fetcher struct {
	network *network
	timeout time.Duration
}

// reply is an HTTP answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// outage says what couldn't be had and why, in words fit for logs anywhere.
type outage struct {
	what    string
	why     string
	down    bool      // the issuer seems to be down; false if it sent an unusable response
	limited bool      // the issuer answers that there were too many requests
	ofCall  bool      // the issuer refuses this call only: nothing follows for other calls
	until   time.Time // no call before: the issuer sent Retry-After
	cause   error     // of code outside this package; its text is never shown
}

func (o *outage) Error() string { return o.what + ": " + o.why }

func (o *outage) Unwrap() error { return o.cause }

// RetryAfter returns the time from now in which the issuer wants no calls.
func (o *outage) RetryAfter() time.Duration {
	if o.until.IsZero() {
		return 0
	}
	return max(0, time.Until(o.until))
}

func newFetcher(network *network, timeout time.Duration) *fetcher {
	return &fetcher{network: network, timeout: timeout}
}

// fetchRequest is one request to the issuer.
type fetchRequest struct {
	what         string // what is fetched, for errors and logs
	method, url  string
	header       http.Header
	form         url.Values                // the body, or nil
	authenticate func(*http.Request) error // adds the credentials to each attempt; may be nil
	limit        int64                     // of the body of the response, in bytes
}

// do sends a request and reads the response.
func (f *fetcher) do(ctx context.Context, req fetchRequest) (*reply, error) {
	at, err := url.Parse(req.url)
	if err != nil {
		return nil, &outage{what: req.what, why: "the URL is unusable"}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	x := exchange{network: f.network, server: at.Scheme + "://" + at.Host, what: req.what, limit: req.limit, build: req.build}
	return x.do(ctx)
}

// build returns the HTTP request of one attempt.
func (f *fetchRequest) build(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, f.method, f.url, nil)
	if err != nil {
		return nil, &outage{what: f.what, why: "the URL is unusable"}
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
	if f.authenticate != nil {
		if err := f.authenticate(r); err != nil {
			return nil, &outage{what: f.what, why: "the client authentication failed", ofCall: true, cause: err}
		}
	}
	body := r.PostForm.Encode()
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(body))
	// A field without values is not sent. It tells net/http that the POST may be sent again if the
	// server closes an idle connection in the same moment. To introspect a token twice does no harm.
	r.Header["Idempotency-Key"] = nil
	return r, nil
}

// document is a reply that is 200 and JSON, or an outage.
func (r *reply) document(what string) (string, error) {
	if r.status != http.StatusOK {
		return "", r.outage(what, "")
	}
	media, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil || media != "application/json" && !(strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")) {
		return "", &outage{what: what, why: "the answer is not JSON by its content type"}
	}
	return r.body, nil
}

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
	down := r.status == http.StatusTooManyRequests || r.status == http.StatusBadGateway ||
		r.status == http.StatusServiceUnavailable || r.status == http.StatusGatewayTimeout
	o := &outage{what: what, why: why, down: down, limited: r.status == http.StatusTooManyRequests, ofCall: ofCall}
	if wait := r.retryAfter(); down && wait > 0 {
		o.until = time.Now().Add(wait)
	}
	return o
}

// maxRetryAfter bounds what a server may ask for: a mistake of its operator lasts no longer, and one call a minute
// harms no server.
const maxRetryAfter = time.Minute

// retryAfter is what the server asks for (RFC 9110, section 10.2.3), within bounds. 0 is nothing.
func (r *reply) retryAfter() time.Duration {
	text := r.header.Get("Retry-After")
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.Atoi(text)
		if err != nil { // too long for an int
			return maxRetryAfter
		}
		return min(time.Duration(min(seconds, 1<<20))*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), 0), maxRetryAfter)
	}
	return 0
}

// maxDelta replaces larger numbers of seconds (RFC 9111, section 1.2.2).
const maxDelta = 1 << 31

// deltaSeconds reads a number of seconds (RFC 9111, section 1.2.2).
func deltaSeconds(text string) (seconds int64, ok bool) {
	text = strings.TrimSpace(text)
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return maxDelta, true
	}
	return min(seconds, maxDelta), true
}

// lifetime is how long the reply is fresh by its Cache-Control, or else its Expires (RFC 9111, section 4.2.1). The time for
// which caches kept it counts (section 4.2.3). 0 is unsaid.
func (r *reply) lifetime() time.Duration {
	const least = time.Nanosecond // the caller has a minimum
	fresh, said := int64(0), false
	for directive := range strings.SplitSeq(strings.Join(r.header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return least
		case "max-age":
			if seconds, ok := deltaSeconds(strings.Trim(value, `"`)); ok && !said {
				fresh, said = seconds, true
			}
		}
	}
	now := time.Now()
	made := now
	if date, err := http.ParseTime(r.header.Get("Date")); err == nil {
		made = date
	}
	if expires := r.header.Values("Expires"); !said && len(expires) > 0 {
		said = true // a date that can't be read is one that is past (section 5.3)
		if at, err := http.ParseTime(expires[0]); err == nil {
			fresh = int64(min(max(at.Sub(made), 0)/time.Second, maxDelta))
		}
	}
	if !said {
		return 0
	}
	age, _ := deltaSeconds(r.header.Get("Age"))
	return max(least, time.Duration(fresh-age)*time.Second)
}

// plain says why a call failed without the URLs and addresses that net and net/http put into their errors.
func plain(err error) string {
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
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &dns):
		return "the host name can't be resolved"
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify), errors.As(err, &record):
		return "the TLS connection can't be trusted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE):
		return "connection closed early"
	}
	return "the connection failed"
}
