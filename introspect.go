package xenaauth

import (
	"context"
	"errors"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sync/singleflight"

	"github.com/xenaauth/xenaauth/internal/bearer"
	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// introspector returns the users of tokens by introspection (RFC 7662). It caches the responses.
type introspector struct {
	cfg Introspection
	// maxLength is the largest length of a token: Config.MaxTokenLength. A token that is not a JWT
	// must also satisfy a second, usually lower limit: Introspection.MaxTokenLength.
	maxLength   int
	issuer      *issuer
	policy      *policy
	client      *introspectionClient
	sharedCache *sharedCache // sharedCache is nil if Introspection.Cache is nil
	active      *factcache.Cache[*cachedResponse]
	hotTable    *factcache.Hot[*cachedResponse] // hotTable is a fast table of the tokens in use
	// The inactive tokens have a cache of their own, so that a flood of unknown tokens can't
	// displace the active tokens.
	inactive   *factcache.Cache[struct{}]
	flights    singleflight.Group
	waitCounts waitCounter
}

// cachedResponse is an entry of the cache of active tokens: an introspection response with
// "active": true.
type cachedResponse struct {
	user     User
	endpoint string
	// freshUntil is when the response becomes too old to be used without a call to the issuer.
	freshUntil time.Time
	// usableUntil is when the response becomes too old to be used if a call to the issuer fails.
	usableUntil time.Time
}

const (
	// memoryTime is how long the cache keeps a response that is too old to be used. Such a response
	// only shows that the token was active before. If too many introspection calls wait, the call
	// for such a token takes precedence over the calls for unknown tokens, which strangers may have
	// invented.
	memoryTime = time.Hour
	// The cache of inactive tokens gets an eighth of Introspection.CacheBytes.
	inactiveCacheDivisor = 8
)

func newIntrospector(
	cfg Config, network *network, issuer *issuer, policy *policy, report *reporter,
) *introspector {
	c := *cfg.Introspection
	hotBytes, inactiveBytes := c.CacheBytes/hotTableDivisor, c.CacheBytes/inactiveCacheDivisor
	return &introspector{
		cfg:         c,
		maxLength:   cfg.MaxTokenLength,
		issuer:      issuer,
		policy:      policy,
		client:      newIntrospectionClient(c, newFetcher(network, c.Timeout, cfg), report),
		sharedCache: newSharedCache(c, policy, report),
		active:      factcache.New(c.CacheSize, c.CacheBytes-hotBytes-inactiveBytes, (*cachedResponse).size),
		hotTable:    factcache.NewHot[*cachedResponse](hotBytes),
		inactive:    factcache.New[struct{}](c.CacheSize, inactiveBytes, nil),
	}
}

// introspector.introspect returns the user of a token, if the issuer says that the token is active
// and its claims satisfy the Config. verifiedUser is the user of a JWT that was already verified
// locally, or nil for any other token. If verifiedUser is not nil, introspect returns verifiedUser.
// The introspection response must then name the same user. If it names a client or a key, these
// must be the same too.
func (i *introspector) introspect(
	ctx context.Context, token string, verifiedUser *User, now time.Time,
) (*User, error) {
	response, inUse := i.hotTable.Get(token)
	if !inUse {
		if err := i.checkSyntax(token); err != nil {
			return nil, err
		}
	}
	endpoint, err := i.issuer.introspectionURL(ctx, now)
	if err != nil {
		return nil, refuseUnavailable(err)
	}
	if inUse && (response.endpoint != endpoint || !now.Before(response.freshUntil)) {
		i.hotTable.Delete(token)
		inUse = false
	}
	if !inUse {
		if response, err = i.findResponse(ctx, endpoint, token, now); err != nil {
			return nil, err
		}
		now = time.Now() // a call to the issuer may have taken seconds, so read the clock again
	}
	active := &response.user
	if err := i.policy.check(ctx, token, active, nil, claims.Answer, now); err != nil {
		return nil, err
	}
	if verifiedUser == nil {
		return active, nil
	}
	a, b := &active.parties, &verifiedUser.parties
	otherUser := a.Subject != b.Subject && active.set.Subject != verifiedUser.set.Subject
	if otherUser || a.ClientID != b.ClientID && a.ClientID != "" {
		return nil, refuse(ReasonClaims, errOtherUser)
	}
	if !active.hasKeyOf(verifiedUser) {
		return nil, refuse(ReasonConfirmation, errOtherKey)
	}
	return verifiedUser, nil
}

// checkSyntax refuses a text that cannot be a token, so that this text is never sent to the issuer.
func (i *introspector) checkSyntax(token string) error {
	switch {
	case len(token) > i.maxLength:
		return refuse(ReasonMalformedToken, &tooLong{len(token), i.maxLength, "Config.MaxTokenLength"})
	case token == "":
		return refuse(ReasonMalformedToken, errEmpty)
	case len(token) > i.cfg.MaxTokenLength && !jose.IsJWT(token):
		const setting = "not a JWT, for which Introspection.MaxTokenLength"
		return refuse(ReasonMalformedToken, &tooLong{len(token), i.cfg.MaxTokenLength, setting})
	case !bearer.IsToken68(token):
		return refuse(ReasonMalformedToken, errSyntax)
	}
	return nil
}

// introspector.findResponse returns the introspection response for a token from the cache. If the
// cache has no fresh response, findResponse calls the issuer. If that call fails, findResponse
// returns the older response from the cache, if Introspection.StaleIfError still allows it.
func (i *introspector) findResponse(
	ctx context.Context, endpoint, token string, now time.Time,
) (*cachedResponse, error) {
	key := factcache.KeyOf("introspection", i.policy.issuer, endpoint, token)
	known, ok := i.active.Get(&key, now)
	if ok && now.Before(known.freshUntil) {
		i.hotTable.Put(token, known, known.size())
		return known, nil
	}
	if _, ok := i.inactive.Get(&key, now); ok {
		return nil, refuse(ReasonInactive, errInactive)
	}
	t := traceOf(ctx)
	endWait := t.startWait()
	newer, err := i.request(callerContext(ctx), endpoint, token, key, known != nil)
	endWait()
	if err == nil {
		t.setSource(fromIntrospection)
	}
	usable := known != nil && now.Before(known.usableUntil)
	if err != nil && usable && asError(err).Reason == ReasonUnavailable {
		return known, nil
	}
	return newer, err
}

// introspector.request introspects a token. Requests with the same token at the same time share one
// call. That call has a context of its own, so the call does not end when one of the requests ends.
// wasActive says that the token was active before. If too many calls wait, calls for such tokens
// take precedence over calls for unknown tokens.
func (i *introspector) request(
	ctx context.Context, endpoint, token string, key factcache.Key, wasActive bool,
) (*cachedResponse, error) {
	if err := ctx.Err(); err != nil {
		// the request of the client has ended, so nobody needs the introspection response
		return nil, refuseUnavailable(err)
	}
	i.waitCounts.add(key, 1)
	defer i.waitCounts.add(key, -1)
	flight := i.flights.DoChan(string(key[:]), func() (_ any, err error) {
		defer func() {
			// Without recover, a panic of Config.HTTPClient would end the process.
			if recover() != nil {
				err = &outageError{callName: "introspection", causeText: "the HTTP client panicked"}
			}
		}()
		// The caller has found no response in the two caches, active and inactive. Since then,
		// another call for the same token may have stored its response there. So look again.
		now := time.Now()
		if known, ok := i.active.Peek(&key, now); ok && now.Before(known.freshUntil) {
			return known, nil
		}
		if _, ok := i.inactive.Peek(&key, now); ok {
			return nil, refuse(ReasonInactive, errInactive)
		}
		r, err := i.useSharedCache(context.WithoutCancel(ctx), endpoint, token, key, wasActive)
		return i.storeResult(key, endpoint, r, err, time.Now()), err
	})
	select {
	case result := <-flight:
		if e, ok := errors.AsType[*Error](result.Err); ok {
			return nil, e
		}
		if result.Err != nil {
			return nil, refuseUnavailable(result.Err)
		}
		return result.Val.(*cachedResponse), nil
	case <-ctx.Done():
		return nil, refuseUnavailable(ctx.Err())
	}
}

// waitCounter counts, for each introspection call that several requests share, how many requests
// wait for it.
type waitCounter struct {
	mu sync.Mutex
	n  map[factcache.Key]int
}

func (w *waitCounter) add(key factcache.Key, change int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == nil {
		w.n = make(map[factcache.Key]int)
	}
	if w.n[key] += change; w.n[key] == 0 {
		delete(w.n, key)
	}
}

func (w *waitCounter) count(key factcache.Key) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n[key]
}

// introspector.useSharedCache introspects a token. If Introspection.Cache is set, it first looks
// there for a response that another instance has stored.
func (i *introspector) useSharedCache(
	ctx context.Context, endpoint, token string, key factcache.Key, wasActive bool,
) (introspectionResult, error) {
	countWaiting := func() int { return i.waitCounts.count(key) }
	call := func() (introspectionResult, error) {
		return i.client.callIssuer(ctx, endpoint, token, wasActive, countWaiting)
	}
	if i.sharedCache == nil {
		return call()
	}
	return i.sharedCache.find(ctx, sharedKey(i.policy.issuer, endpoint, i.cfg.ClientID, token), call)
}

// introspector.storeResult caches the result of an introspection call. No introspection response
// stays in use after the exp of its token (RFC 7662, section 4). If the response has no iss,
// storeResult adds the iss of the issuer that sent the response. An error is cached only if it says
// that the token is not active.
func (i *introspector) storeResult(
	key factcache.Key, endpoint string, r introspectionResult, err error, now time.Time,
) *cachedResponse {
	if err == nil {
		if r.claimSet.Has&claims.Iss == 0 {
			r.claimSet.Issuer = i.policy.issuer
		}
		c := &cachedResponse{user: i.policy.user(r.claimSet), endpoint: endpoint}
		c.freshUntil = r.receivedAt.Add(i.cfg.CacheTTL)
		c.user.indexScopes()
		c.usableUntil = c.freshUntil.Add(i.cfg.StaleIfError)
		expires := c.usableUntil.Add(memoryTime)
		if exp := c.user.ExpiresAt(); !exp.IsZero() {
			c.freshUntil, c.usableUntil = earlier(c.freshUntil, exp), earlier(c.usableUntil, exp)
			expires = earlier(expires, exp)
		}
		if i.cfg.CacheTTL > 0 {
			i.active.Put(&key, c, expires, now)
		}
		return c
	}
	if isInactive(err) {
		i.active.Delete(&key)
		if i.cfg.NegativeTTL > 0 {
			i.inactive.Put(&key, struct{}{}, r.receivedAt.Add(i.cfg.NegativeTTL), now)
		}
	}
	return nil
}

// cachedResponse.size estimates how many bytes of memory the introspection response takes.
func (c *cachedResponse) size() int {
	return int(unsafe.Sizeof(*c)-unsafe.Sizeof(c.user)) + c.user.size()
}
