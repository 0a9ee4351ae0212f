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
}

func (o *outage) Error() string { return o.what + ": " + o.why }

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

// do sends a request and reads at most limit bytes of the answer.
func (f *fetcher) do(ctx context.Context, what, method, target string, header http.Header, form url.Values, limit int64) (*reply, error) {
	at, err := url.Parse(target)
	if err != nil {
		return nil, &outage{what: what, why: "the URL is unusable"}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	x := exchange{network: f.network, server: at.Scheme + "://" + at.Host, what: what, limit: limit}
	x.build = func(ctx context.Context) (*http.Request, error) {
		var body io.Reader
		if form != nil {
			body = strings.NewReader(form.Encode())
		}
		req, err := http.NewRequestWithContext(ctx, method, target, body)
		if err != nil {
			return nil, err
		}
		for name, values := range header {
			req.Header[name] = values
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			// Without a value it is not sent: it tells net/http that a POST may be sent again when the server closes an idle
			// connection in the same moment. To ask about a token twice does no harm.
			req.Header["Idempotency-Key"] = nil
		}
		return req, nil
	}
	return x.do(ctx)
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
