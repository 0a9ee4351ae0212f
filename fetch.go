package xenaauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fetcher is the only user of an HTTP client. What it reports names no host, no address and nothing that was sent.
type fetcher struct {
	client  http.Client
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
	down    bool      // the issuer seems to be down, rather than to have answered badly
	limited bool      // the issuer answers that there were too many requests
	until   time.Time // the issuer asks to be left alone until then
}

func (o *outage) Error() string { return o.what + ": " + o.why }

// RetryAfter is for how long from now the issuer asks to be left alone.
func (o *outage) RetryAfter() time.Duration {
	if o.until.IsZero() {
		return 0
	}
	return max(0, time.Until(o.until))
}

// transport is shared by all validators, so that one that is dropped leaves no connections of its own behind.
var transport = sync.OnceValue(func() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 2 * time.Second
	t.ResponseHeaderTimeout = 4 * time.Second
	t.MaxIdleConnsPerHost = 64 // as many as questions may be under way: the default of 2 makes the rest reconnect
	t.IdleConnTimeout = 30 * time.Second
	return t
})

func newFetcher(client *http.Client, timeout time.Duration) *fetcher {
	f := &fetcher{timeout: timeout, client: http.Client{Transport: transport()}}
	if client != nil {
		f.client = *client
	}
	// A redirect would take the question, with our credentials, to where nobody configured it to go.
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return f
}

// do sends a request and reads at most limit bytes of the answer.
func (f *fetcher) do(ctx context.Context, what, method, target string, header http.Header, form url.Values, limit int64) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, &outage{what: what, why: "the URL is unusable"}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, &outage{what: what, why: plain(err), down: true}
	}
	defer resp.Body.Close() //nolint:errcheck // it was read, or is given up
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, &outage{what: what, why: plain(err), down: true}
	}
	if int64(len(text)) > limit {
		return nil, &outage{what: what, why: fmt.Sprintf("the answer is longer than %d bytes", limit)}
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: string(text)}, nil
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
	if why == "" {
		why = "status " + strconv.Itoa(r.status)
		if r.status >= 300 && r.status < 400 {
			why += ", and redirects are not followed"
		}
	}
	down := r.status == http.StatusTooManyRequests || r.status == http.StatusBadGateway ||
		r.status == http.StatusServiceUnavailable || r.status == http.StatusGatewayTimeout
	o := &outage{what: what, why: why, down: down, limited: r.status == http.StatusTooManyRequests}
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

// lifetime is how long the reply is fresh by its Cache-Control (RFC 9111, section 5.2.2). 0 is unsaid.
func (r *reply) lifetime() (fresh time.Duration) {
	for directive := range strings.SplitSeq(strings.Join(r.header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return time.Nanosecond // the least that the caller allows, whatever else is said
		case "max-age":
			age, _ := strconv.Atoi(r.header.Get("Age"))
			if seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64); err == nil {
				fresh = max(time.Nanosecond, time.Duration(min(seconds, 1<<30)-int64(max(age, 0)))*time.Second)
			}
		}
	}
	return fresh
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
