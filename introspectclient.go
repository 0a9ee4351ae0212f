package xenaauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/breaker"
	"github.com/xenaauth/xenaauth/internal/claims"
)

// introspectionClient sends the introspection requests of this API to the issuer.
type introspectionClient struct {
	cfg    Introspection
	fetch  *fetcher
	report *reporter
	// circuitBreaker limits how many introspection calls run at a time, repeats a call that failed,
	// and makes no calls while the issuer is down.
	circuitBreaker *breaker.Guard
	latest         latestCall
}

// introspectionResult is the result of an introspection call.
type introspectionResult struct {
	claimSet *claims.Set // claimSet is nil if the token is not active
	// receivedAt is when the response of the issuer came. CacheTTL and NegativeTTL are counted from
	// this time. Instances of the API share responses in Introspection.Cache. For a response from
	// there, receivedAt is when the instance that called the issuer began its call.
	receivedAt time.Time
}

const maxResponse = 256 << 10

func newIntrospectionClient(
	c Introspection, fetch *fetcher, report *reporter,
) *introspectionClient {
	guard := breaker.New(breaker.Settings{
		MaxConcurrent: c.MaxConcurrent,
		QueueLength:   16 * c.MaxConcurrent,
		Timeout:       c.Timeout,
		Failures:      5,
		Pause:         time.Second,
		Backoff:       50 * time.Millisecond,
		Judge:         introspectionVerdict,
	})
	return &introspectionClient{cfg: c, fetch: fetch, report: report, circuitBreaker: guard}
}

// introspectionVerdict says what the error of an introspection call shows about the issuer.
//
// An unusable response to one token does not show that the issuer is down. If such a response
// counted as an outage, a stranger could send a token that the issuer can't handle, and the circuit
// breaker would stop the calls for all other clients.
func introspectionVerdict(err error) breaker.Verdict {
	o, ok := errors.AsType[*outageError](err)
	if !ok {
		// an error that is not an *outageError comes from a response about the token, so the issuer
		// is not down
		return breaker.Verdict{}
	}
	wait := o.RetryAfter()
	return breaker.Verdict{
		Down:     o.issuerDown,
		Stumbled: !o.issuerDown && !o.concernsOneCall,
		Again:    o.issuerDown && !o.rateLimited && wait == 0,
		Wait:     wait,
	}
}

// introspectionClient.callIssuer introspects a token at the issuer. If MaxConcurrent introspection
// calls already run, it first waits, but not longer than Timeout. It also records the result of the
// call, for Status and for the log. countWaiting returns how many requests wait for the call.
func (c *introspectionClient) callIssuer(
	ctx context.Context, endpoint, token string, wasActive bool, countWaiting func() int,
) (r introspectionResult, err error) {
	// this timeout also limits the wait while MaxConcurrent other calls run
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	err = c.circuitBreaker.Do(ctx, wasActive, func(ctx context.Context) (err error) {
		r.claimSet, err = c.post(ctx, endpoint, token, countWaiting)
		return err
	})
	r.receivedAt = time.Now()
	switch {
	case isInactive(err):
		c.report.recordCall("introspection", nil, 0)
		c.latest.record(nil)
	case !wasCalled(err):
		// The circuit breaker did not call the issuer. So there is no result of a call that could
		// be recorded.
	default:
		c.report.recordCall("introspection", err, countWaiting())
		c.latest.record(err)
	}
	return r, err
}

// wasCalled reports whether the circuit breaker has called the issuer. err is the error of the
// circuit breaker. If it is ErrOpen or ErrBusy, no call was made, so nothing new is known about the
// issuer.
func wasCalled(err error) bool {
	return !errors.Is(err, breaker.ErrOpen) && !errors.Is(err, breaker.ErrBusy)
}

// isInactive reports whether err says that the token is not active. Every other error says nothing
// about the token.
func isInactive(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Reason == ReasonInactive
}

// introspectionClient.post sends one introspection request and reads the response. If the response
// says that the token is not active, the error is an *Error with ReasonInactive. Every other error
// is an *outageError: nothing is known about the token.
func (c *introspectionClient) post(
	ctx context.Context, endpoint, token string, countWaiting func() int,
) (*claims.Set, error) {
	const what = "introspection"
	r, err := c.fetch.do(ctx, fetchRequest{
		callName:     what,
		method:       http.MethodPost,
		url:          endpoint,
		header:       http.Header{"Accept": {"application/json"}},
		form:         url.Values{"token": {token}, "token_type_hint": {"access_token"}},
		authenticate: func(r *http.Request) error { return c.cfg.Auth.Authenticate(r, c.cfg) },
		maxLength:    maxResponse,
		countWaiting: countWaiting,
	})
	if err != nil {
		return nil, err
	}
	code := ""
	if r.status == http.StatusBadRequest {
		code = errorCode(r.body)
	}
	switch {
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden,
		code == "invalid_client", code == "unauthorized_client":
		return nil, r.newOutage(what, refusedCredentials)
	case code == "unsupported_token_type", code == "invalid_token":
		// These error codes mean that the issuer doesn't know the token. RFC 7009, section 2.2.1,
		// defines unsupported_token_type for revocation endpoints, but introspection endpoints send
		// it too.
		return nil, refuse(ReasonInactive, errors.New("the issuer doesn't know such tokens"))
	case code == "invalid_request":
		// Issuers check the credentials before the rest of the request. So the error code
		// invalid_request also shows that the issuer accepted the credentials of this API.
		o := r.newOutage(what, "")
		o.credentialsAccepted = true
		return nil, o
	}
	text, err := r.jsonBody(what)
	if err != nil {
		return nil, err
	}
	set, err := claims.Parse(text, claims.Answer)
	if _, ok := errors.AsType[*claims.TypeError](err); ok {
		// If the issuer says that the token is not active, the other members of the response don't
		// matter.
		if !saysActive(r.body) {
			return nil, refuse(ReasonInactive, errInactive)
		}
		return nil, &outageError{callName: what, causeText: err.Error(), credentialsAccepted: true}
	} else if err != nil {
		return nil, &outageError{callName: what, causeText: "the response is " + err.Error()}
	}
	if !set.Active {
		return nil, refuse(ReasonInactive, errInactive)
	}
	return set, nil
}

var activeName, errorName = claims.NewNames("active"), claims.NewNames("error")

// saysActive reports whether a response contains "active": true.
func saysActive(body string) (active bool) {
	err := claims.Object(body, activeName, func(name string, d *claims.Decoder) error {
		if name == "active" {
			if value, ok := d.Bool(); ok {
				active = value
				return nil
			}
		}
		if _, ok := d.Raw(); !ok {
			return claims.ErrSyntax
		}
		return nil
	})
	return active && err == nil
}

// errorCode returns the value of the member "error" in an error response (RFC 6749, section 5.2),
// or "".
func errorCode(body string) (code string) {
	err := claims.Object(body, errorName, func(name string, d *claims.Decoder) error {
		ok := false
		if name == "error" {
			code, ok = d.String()
		} else {
			_, ok = d.Raw()
		}
		if !ok {
			return claims.ErrSyntax
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return code
}

// refusedCredentials is the text of the error that says that the issuer refuses the credentials of
// this API.
const refusedCredentials = "the issuer refuses our credentials: check Introspection.ClientID and ClientSecret"

// latestCall is the result of the latest introspection call.
type latestCall struct {
	// lastFailure is the error of the latest call. It is nil if the issuer has sent a usable
	// response to the latest call, or if no call was made yet.
	lastFailure atomic.Pointer[outageError]
	// credentialsRefusal is the error of the latest call in which the issuer refused the
	// credentials of this API. It is nil if the issuer has accepted the credentials since then.
	credentialsRefusal atomic.Pointer[outageError]
	// probeTime is when checkCredentials last called the issuer, in nanoseconds since 1970.
	probeTime atomic.Int64
}

// latestCall.record stores the result of an introspection call. If err is nil or not an
// *outageError, the issuer has sent a usable response.
func (l *latestCall) record(err error) {
	o, _ := errors.AsType[*outageError](err)
	l.lastFailure.Store(o)
	switch {
	case o == nil, o.credentialsAccepted:
		l.credentialsRefusal.Store(nil)
	case o.causeText == refusedCredentials:
		l.credentialsRefusal.Store(o)
	default:
		// The call does not show whether the issuer accepts the credentials, for example because
		// the issuer is down. So a refusal that is known stays known.
	}
}

// checkCredentials returns an error if the issuer refuses the credentials of this API. It serves
// readiness probes. An instance that is not ready gets no requests, so no request would show that
// the credentials were corrected. So checkCredentials itself calls the introspection endpoint, at
// most once a second, with a text that is not a token.
func (c *introspectionClient) checkCredentials(
	ctx context.Context, endpoint string, now time.Time,
) error {
	if c.latest.credentialsRefusal.Load() == nil {
		return nil
	}
	lastProbe := c.latest.probeTime.Load()
	mayProbe := now.UnixNano()-lastProbe >= int64(time.Second)
	if mayProbe && c.latest.probeTime.CompareAndSwap(lastProbe, now.UnixNano()) {
		err := c.circuitBreaker.Do(ctx, true, func(ctx context.Context) error {
			_, err := c.post(ctx, endpoint, "no-token-but-a-readiness-check", nil)
			return err
		})
		if wasCalled(err) {
			c.latest.record(err)
		}
	}
	if o := c.latest.credentialsRefusal.Load(); o != nil {
		return o
	}
	return nil
}
