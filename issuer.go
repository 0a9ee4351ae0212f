package xenaauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/breaker"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/refresh"
)

// publishedKeys is the key set that the issuer publishes. etag is its entity tag, and url is the
// URL from which it was fetched.
type publishedKeys struct {
	keys      *jose.KeySet
	etag, url string
}

const maxKeySet = 1 << 20

// refreshPolicy returns the settings by which the metadata and the key set are refreshed: how
// often, and how long requests wait for them.
func refreshPolicy(maxAge time.Duration) refresh.Policy {
	return refresh.Policy{
		Lifetime: 15 * time.Minute,
		Min:      time.Minute,
		Max:      24 * time.Hour,
		MaxAge:   maxAge,
		Gap:      time.Second,
		Retry:    5 * time.Second,
		Timeout:  15 * time.Second,
		MaxWait:  6 * time.Second,
		Patience: time.Second,
		DoubtAge: 10 * time.Second,
		Waiters:  1024,
		Guests:   1024,
		PerGuest: 32,
		Crowd:    16 * 1024,
	}
}

// issuer fetches the metadata and the key set of the issuer, and keeps them fresh.
type issuer struct {
	cfg      Config
	fetch    *fetcher
	report   *reporter
	metadata *refresh.Source[metadata]
	keys     *refresh.Source[publishedKeys]
	// keyFetchWaits is 1 while the fetch of the key set waits for the metadata. At any other time
	// it is 0.
	keyFetchWaits atomic.Int32
}

func newIssuer(cfg Config, fetch *fetcher, report *reporter) *issuer {
	i := &issuer{cfg: cfg, fetch: fetch, report: report}
	i.metadata = refresh.New(refreshPolicy(cfg.MaxKeyAge), i.fetchMetadata)
	i.keys = refresh.New(refreshPolicy(cfg.MaxKeyAge), i.fetchKeys)
	return i
}

func get(callName, url string, header http.Header, maxLength int64, countWaiting func() int) fetchRequest {
	return fetchRequest{
		callName: callName, method: http.MethodGet, url: url, header: header,
		maxLength: maxLength, countWaiting: countWaiting,
	}
}

func accept(force bool) http.Header {
	h := http.Header{"Accept": {"application/json"}}
	if force {
		h.Set("Cache-Control", "no-cache")
	}
	return h
}

// fetchKeys fetches the key set. If the fetch fails at the URL in the metadata, the issuer may have
// moved the key set. Then fetchKeys fetches the metadata again, and tries the new URL if the new
// metadata name one.
func (i *issuer) fetchKeys(
	ctx context.Context, previous publishedKeys, force bool,
) (p publishedKeys, lifetime time.Duration, err error) {
	defer func() { i.report.recordCall("key set", err, i.keys.Waiting()) }()
	if i.cfg.JWKSURL != "" {
		return i.fetchKeysAt(ctx, i.cfg.JWKSURL, previous, force)
	}
	now := time.Now()
	i.keyFetchWaits.Store(1)
	m, err := i.metadata.Get(ctx, now)
	i.keyFetchWaits.Store(0)
	if err != nil {
		return p, 0, err
	}
	p, lifetime, err = i.fetchKeysAt(ctx, m.jwksURL, previous, force)
	if err == nil {
		return p, lifetime, nil
	}
	// Perhaps the issuer has moved the key set, and the metadata in m are old. recentFetch says
	// that another goroutine has just fetched the metadata again. newMetadata then contains the
	// metadata of that fetch. If there was no such fetch, the metadata are fetched here.
	// HasRecentFetch must be called before Peek. Otherwise a fetch could end after Peek and before
	// HasRecentFetch: newMetadata would be old although recentFetch is true.
	recentFetch := i.metadata.HasRecentFetch(now)
	newMetadata, _, _ := i.metadata.Peek()
	if newMetadata.jwksURL == m.jwksURL && !recentFetch {
		var fetchErr error
		if newMetadata, fetchErr = i.metadata.AwaitNew(ctx, now, false); fetchErr != nil {
			return p, lifetime, err
		}
	}
	if newMetadata.jwksURL == m.jwksURL {
		return p, lifetime, err
	}
	return i.fetchKeysAt(ctx, newMetadata.jwksURL, previous, force)
}

// issuer.keySetMoved reports whether the metadata now name another URL for the key set than
// oldKeys.url. If the metadata are older than a minute, it fetches them again. user identifies the
// caller for [refresh.Source.Await].
func (i *issuer) keySetMoved(
	ctx context.Context, oldKeys publishedKeys, user uint64, now time.Time,
) (bool, error) {
	if i.cfg.JWKSURL != "" {
		return false, nil
	}
	m, at, ok := i.metadata.Peek()
	if ok && now.Sub(at) < time.Minute {
		return m.jwksURL != oldKeys.url, nil
	}
	namesOtherURL := func(m metadata) bool { return m.jwksURL != oldKeys.url }
	m, err := i.metadata.Await(ctx, now, true, user, namesOtherURL)
	return err == nil && namesOtherURL(m), err
}

func (i *issuer) fetchKeysAt(
	ctx context.Context, url string, previous publishedKeys, force bool,
) (p publishedKeys, lifetime time.Duration, err error) {
	const what = "key set"
	if url == "" {
		return p, 0, &outageError{callName: what, causeText: "jwks_uri is missing in the metadata"}
	}
	header := accept(force)
	header.Set("Accept", "application/jwk-set+json, application/json")
	if previous.etag != "" && previous.url == url {
		header.Set("If-None-Match", previous.etag)
	}
	r, err := i.fetch.do(ctx, get(what, url, header, maxKeySet, i.keys.Waiting))
	if err != nil {
		return p, 0, err
	}
	if r.status == http.StatusNotModified && previous.url == url && previous.etag != "" {
		return previous, r.lifetime(), nil
	}
	text, err := r.jsonBody(what)
	if err != nil {
		return p, 0, err
	}
	p = publishedKeys{etag: r.header.Get("Etag"), url: url}
	if previous.keys != nil && previous.keys.Sum == sha256.Sum256([]byte(text)) {
		// Keep the old KeySet if the key set has not changed, because the old KeySet records which
		// of its keys have verified tokens.
		p.keys = previous.keys
		return p, r.lifetime(), nil
	}
	if p.keys, err = jose.ParseKeySet(text); err != nil {
		return publishedKeys{}, 0, &outageError{callName: what, causeText: err.Error()}
	}
	i.report.logSkippedKeys(p.keys)
	return p, r.lifetime(), nil
}

// introspectionURL returns the URL of the introspection endpoint.
func (i *issuer) introspectionURL(ctx context.Context, now time.Time) (string, error) {
	if i.cfg.Introspection.Endpoint != "" {
		return i.cfg.Introspection.Endpoint, nil
	}
	m, err := i.metadata.Get(ctx, now)
	if err == nil && m.introspectionURL == "" {
		err = &outageError{callName: "introspection", causeText: "introspection_endpoint is missing in the metadata"}
	}
	return m.introspectionURL, err
}

// refuseUnavailable returns a refusal with ReasonUnavailable, for which the response is 503. err
// says why the token could not be checked.
func refuseUnavailable(err error) error {
	e := &Error{Reason: ReasonUnavailable, Err: err}
	var later interface{ RetryAfter() time.Duration }
	// An error with the method RetryAfter says when the client should try again. It is an
	// *outageError, or says that too many requests wait. The result of RetryAfter is 0 if the
	// issuer has not sent Retry-After.
	if errors.As(err, &later) {
		e.RetryAfter = later.RetryAfter()
	} else {
		e.RetryAfter = breaker.Wait(err)
	}
	return e
}
