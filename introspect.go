package xenaauth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/upstream"
)

// introspector is the door for tokens that say nothing themselves (RFC 7662).
type introspector struct {
	cfg         Introspection
	issuer      *issuer
	policy      *policy
	fetch       *fetcher
	report      *reporter
	guard       *upstream.Guard
	active      *factcache.Cache[*answered]
	hot         *factcache.Hot[*answered]
	inactive    *factcache.Cache[struct{}] // apart, so that a flood of unknown tokens can't push out known ones
	flights     singleflight.Group
	asking      asking
	sharedCache *sharedCache // nil if no Cache is configured
}

// answered is what the issuer said about an active token.
type answered struct {
	user     *User
	endpoint string
	fresh    time.Time // until then it needn't be asked again
	usable   time.Time // until then it will do if it can't be asked
}

const maxAnswer = 256 << 10

// remembered is for how long an answer is kept beyond its use, to tell a token that was good from one never seen.
const remembered = time.Hour

func newIntrospector(cfg Config, network *network, issuer *issuer, policy *policy, report *reporter) *introspector {
	c := *cfg.Introspection
	return &introspector{
		cfg:         c,
		issuer:      issuer,
		policy:      policy,
		fetch:       newFetcher(network, c.Timeout),
		report:      report,
		active:      factcache.New(c.CacheSize, c.CacheBytes-c.CacheBytes/hotPart-c.CacheBytes/inactivePart, (*answered).size),
		hot:         factcache.NewHot[*answered](c.CacheBytes / hotPart),
		inactive:    factcache.New[struct{}](c.CacheSize, c.CacheBytes/inactivePart, nil),
		sharedCache: newSharedCache(c, policy, report),
		guard: upstream.New(upstream.Settings{
			MaxConcurrent: c.MaxConcurrent,
			Waiting:       16 * c.MaxConcurrent,
			Timeout:       c.Timeout,
			Failures:      5,
			Pause:         time.Second,
			Backoff:       50 * time.Millisecond,
			Judge:         judgeCall,
		}),
	}
}

// judgeCall returns what the error of an introspection call shows about the issuer.
//
// A response that can't be used does not show that the issuer is down. Otherwise a stranger could
// send a token that makes the issuer fail, and cut off all other clients.
func judgeCall(err error) upstream.Verdict {
	o, ok := errors.AsType[*outage](err)
	if !ok {
		return upstream.Verdict{} // it answered
	}
	wait := o.RetryAfter()
	return upstream.Verdict{
		Down:     o.down,
		Stumbled: !o.down && !o.ofCall,
		Again:    o.down && !o.limited && wait == 0,
		Wait:     wait,
	}
}

// recall returns the verdict on a token in use. ok is false for one that has to be looked up or asked about.
func (i *introspector) recall(ctx context.Context, token string, now time.Time) (user *User, err error, ok bool) {
	a, ok := i.hot.Get(token)
	if !ok {
		return nil, nil, false
	}
	if endpoint, err := i.issuer.introspectionURL(ctx, now); err != nil || endpoint != a.endpoint || !now.Before(a.fresh) {
		i.hot.Delete(token)
		return nil, nil, false
	}
	if err := i.policy.check(a.user, claims.Answer, now); err != nil {
		return nil, err, true
	}
	return a.user, nil, true
}

// validate returns the user of a token that the issuer says is active and that satisfies the policy.
func (i *introspector) validate(ctx context.Context, token string, now time.Time) (*User, error) {
	endpoint, err := i.issuer.introspectionURL(ctx, now)
	if err != nil {
		return nil, unavailable(err)
	}
	key := hash("introspection", i.policy.issuer, endpoint, token)
	known, ok := i.active.Get(&key, now)
	if !ok || !now.Before(known.fresh) {
		if _, ok := i.inactive.Get(&key, now); ok {
			return nil, refuse(ReasonInactive, errInactive)
		}
		usable := known != nil && now.Before(known.usable)
		asked, err := i.shared(ctx, endpoint, token, key, known != nil)
		switch {
		case err == nil:
			known = asked
		case !usable || err.Reason != ReasonUnavailable:
			return nil, err // and not what was true once, unless it can't be asked
		}
		now = time.Now() // asking took its time
	} else {
		i.hot.Put(token, known, known.size())
	}
	if err := i.policy.check(known.user, claims.Answer, now); err != nil {
		return nil, err
	}
	return known.user, nil
}

// shared asks once for everybody who wants to know the same. The question has a context of its own, so that one who
// leaves takes nobody's answer away. A known token, which was active when last asked about, comes before strangers'.
func (i *introspector) shared(ctx context.Context, endpoint, token string, key factcache.Key, known bool) (*answered, *Error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err) // nobody waits for the answer
	}
	flight := i.flights.DoChan(string(key[:]), func() (_ any, err error) {
		defer func() { // this goroutine is ours: a panic of the configured client would end the process
			if recover() != nil {
				err = &outage{what: "introspection", why: "the HTTP client panicked"}
			}
		}()
		// Another flight may have landed between the caller's look into the caches and this one's start.
		now := time.Now()
		if known, ok := i.active.Peek(&key, now); ok && now.Before(known.fresh) {
			return known, nil
		}
		if _, ok := i.inactive.Peek(&key, now); ok {
			return nil, refuse(ReasonInactive, errInactive)
		}
		said, err := i.find(context.WithoutCancel(ctx), endpoint, token, known)
		return i.keep(key, endpoint, said, err, time.Now()), err
	})
	select {
	case r := <-flight:
		if e, ok := errors.AsType[*Error](r.Err); ok {
			return nil, e
		}
		if r.Err != nil {
			return nil, unavailable(r.Err)
		}
		return r.Val.(*answered), nil
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

// find asks the issuer, unless another instance has done so.
func (i *introspector) find(ctx context.Context, endpoint, token string, known bool) (introspected, error) {
	ask := func() (said introspected, err error) {
		ctx, cancel := context.WithTimeout(ctx, i.cfg.Timeout) // to get a place in
		defer cancel()
		err = i.guard.Do(ctx, known, func(ctx context.Context) (err error) {
			said.user, err = i.ask(ctx, endpoint, token)
			return err
		})
		said.at = time.Now()
		switch e, ok := errors.AsType[*Error](err); {
		case ok && e.Reason == ReasonInactive:
			i.report.outcome("introspection", nil)
			i.asking.note(nil)
		case errors.Is(err, upstream.ErrOpen), errors.Is(err, upstream.ErrBusy): // which say nothing of the issuer
		default:
			i.report.outcome("introspection", err)
			i.asking.note(err)
		}
		return said, err
	}
	if i.sharedCache == nil {
		return ask()
	}
	return i.sharedCache.find(ctx, sharedKey(i.policy.issuer, endpoint, i.cfg.ClientID, token), ask)
}

// keep remembers what the issuer said, within the bounds of RFC 7662, section 4. An error is nothing that it said.
func (i *introspector) keep(key factcache.Key, endpoint string, said introspected, err error, now time.Time) *answered {
	if err == nil {
		a := &answered{user: said.user, endpoint: endpoint, fresh: said.at.Add(i.cfg.CacheTTL)}
		a.usable = a.fresh.Add(i.cfg.StaleIfError)
		expires := a.usable.Add(remembered)
		if exp := said.user.ExpiresAt(); !exp.IsZero() {
			a.fresh, a.usable, expires = earlier(a.fresh, exp), earlier(a.usable, exp), earlier(expires, exp)
		}
		if i.cfg.CacheTTL > 0 {
			i.active.Put(&key, a, expires, now)
		}
		return a
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Reason == ReasonInactive {
		i.active.Delete(&key)
		if i.cfg.NegativeTTL > 0 {
			i.inactive.Put(&key, struct{}{}, said.at.Add(i.cfg.NegativeTTL), now)
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// ask returns the facts of an active token. The error is an *Error with ReasonInactive, or an outage.
func (i *introspector) ask(ctx context.Context, endpoint, token string) (*User, error) {
	const what = "introspection"
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	header := http.Header{"Accept": {"application/json"}}
	switch i.cfg.Auth {
	case ClientSecretPost:
		form.Set("client_id", i.cfg.ClientID)
		form.Set("client_secret", i.cfg.ClientSecret)
	default: // RFC 6749, section 2.3.1: form-encoded before they are joined
		pair := url.QueryEscape(i.cfg.ClientID) + ":" + url.QueryEscape(i.cfg.ClientSecret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	r, err := i.fetch.do(ctx, what, http.MethodPost, endpoint, header, form, maxAnswer)
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
		return nil, r.outage(what, refusedCredentials)
	case code == "unsupported_token_type", code == "invalid_token":
		// It is about the token and not about us. RFC 7009, section 2.2.1, has the first for revocation, and introspection
		// endpoints use it too.
		return nil, refuse(ReasonInactive, errors.New("the issuer doesn't know such tokens"))
	}
	text, err := r.document(what)
	if err != nil {
		return nil, err
	}
	set, err := claims.Parse(text, claims.Answer)
	if _, ok := errors.AsType[*claims.TypeError](err); ok {
		if !saysActive(r.body) { // whatever else it says
			return nil, refuse(ReasonInactive, errInactive)
		}
		return nil, &outage{what: what, why: err.Error()}
	} else if err != nil {
		return nil, &outage{what: what, why: "the answer is " + err.Error()}
	}
	if !set.Active {
		return nil, refuse(ReasonInactive, errInactive)
	}
	return i.policy.user(set), nil
}

var activeName, errorName = claims.NewNames("active"), claims.NewNames("error")

// saysActive reports whether an answer has the member active with the value true.
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

// errorCode is the code of an error answer (RFC 6749, section 5.2), or "".
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
