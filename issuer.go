package xenaauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/xenaauth/xenaauth/internal/breaker"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/refresh"
)

// published is a key set, with the entity tag and the URL from which it was fetched.
type published struct {
	keys      *jose.KeySet
	etag, url string
}

const maxKeySet = 1 << 20

// refreshing returns the policy for refreshing metadata and key sets.
func refreshing(maxAge time.Duration) refresh.Policy {
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
		Doubt:    10 * time.Second,
		Waiters:  1024,
		Guests:   1024,
		PerGuest: 32,
		Crowd:    16 * 1024,
	}
}

// issuer fetches and keeps the metadata and keys of the issuer.
type issuer struct {
	cfg      Config
	fetch    *fetcher
	report   *reporter
	metadata *refresh.Source[metadata]
	keys     *refresh.Source[published]
}

func newIssuer(cfg Config, fetch *fetcher, report *reporter) *issuer {
	i := &issuer{cfg: cfg, fetch: fetch, report: report}
	i.metadata = refresh.New(refreshing(cfg.MaxKeyAge), i.fetchMetadata)
	i.keys = refresh.New(refreshing(cfg.MaxKeyAge), i.fetchKeys)
	return i
}

func get(what, url string, header http.Header, limit int64) fetchRequest {
	return fetchRequest{what: what, method: http.MethodGet, url: url, header: header, limit: limit}
}

func accept(force bool) http.Header {
	h := http.Header{"Accept": {"application/json"}}
	if force {
		h.Set("Cache-Control", "no-cache")
	}
	return h
}

// fetchKeys fetches the key set. If that fails at the URL that the metadata name, it fetches the
// metadata again, and tries the new URL if there is one.
func (i *issuer) fetchKeys(
	ctx context.Context, previous published, force bool,
) (p published, lifetime time.Duration, err error) {
	defer func() { i.report.outcome("key set", err) }()
	if i.cfg.JWKSURL != "" {
		return i.fetchKeysAt(ctx, i.cfg.JWKSURL, previous, force)
	}
	now := time.Now()
	m, err := i.metadata.Get(ctx, now)
	if err != nil {
		return p, 0, err
	}
	p, lifetime, err = i.fetchKeysAt(ctx, m.jwksURL, previous, force)
	if err == nil {
		return p, lifetime, nil
	}
	// A refresh of the metadata may have ended since Get. Asked comes first: if it reports a refresh,
	// Peek returns the document of that refresh.
	asked := i.metadata.Asked(now)
	moved, _, _ := i.metadata.Peek()
	if moved.jwksURL == m.jwksURL && !asked {
		var again error
		if moved, again = i.metadata.After(ctx, now, false); again != nil {
			return p, lifetime, err
		}
	}
	if moved.jwksURL == m.jwksURL {
		return p, lifetime, err
	}
	return i.fetchKeysAt(ctx, moved.jwksURL, previous, force)
}

// moved reports whether the metadata name another URL for the key set than the one from which it
// was fetched. It fetches the metadata again if they are older than a minute. user is the caller's
// number for [refresh.Source.Await].
func (i *issuer) moved(
	ctx context.Context, from published, user uint64, now time.Time,
) (bool, error) {
	if i.cfg.JWKSURL != "" {
		return false, nil
	}
	m, at, ok := i.metadata.Peek()
	if ok && now.Sub(at) < time.Minute {
		return m.jwksURL != from.url, nil
	}
	names := func(m metadata) bool { return m.jwksURL != from.url }
	m, err := i.metadata.Await(ctx, now, true, user, names)
	return err == nil && names(m), err
}

func (i *issuer) fetchKeysAt(
	ctx context.Context, url string, previous published, force bool,
) (p published, lifetime time.Duration, err error) {
	const what = "key set"
	if url == "" {
		return p, 0, &outage{what: what, why: "jwks_uri is missing in the metadata"}
	}
	header := accept(force)
	header.Set("Accept", "application/jwk-set+json, application/json")
	if previous.etag != "" && previous.url == url {
		header.Set("If-None-Match", previous.etag)
	}
	r, err := i.fetch.do(ctx, get(what, url, header, maxKeySet))
	if err != nil {
		return p, 0, err
	}
	if r.status == http.StatusNotModified && previous.url == url && previous.etag != "" {
		return previous, r.lifetime(), nil
	}
	text, err := r.document(what)
	if err != nil {
		return p, 0, err
	}
	p = published{etag: r.header.Get("Etag"), url: url}
	if previous.keys != nil && previous.keys.Sum == sha256.Sum256([]byte(text)) {
		p.keys = previous.keys // they also hold which keys have verified tokens
		return p, r.lifetime(), nil
	}
	if p.keys, err = jose.ParseKeySet(text); err != nil {
		return published{}, 0, &outage{what: what, why: err.Error()}
	}
	i.report.skipped(p.keys)
	return p, r.lifetime(), nil
}

// introspectionURL returns the URL of the introspection endpoint.
func (i *issuer) introspectionURL(ctx context.Context, now time.Time) (string, error) {
	if i.cfg.Introspection.Endpoint != "" {
		return i.cfg.Introspection.Endpoint, nil
	}
	m, err := i.metadata.Get(ctx, now)
	if err == nil && m.introspectionURL == "" {
		err = &outage{what: "introspection", why: "introspection_endpoint is missing in the metadata"}
	}
	return m.introspectionURL, err
}

// unavailable returns the refusal for an error that says nothing about the token.
func unavailable(err error) error {
	e := &Error{Reason: ReasonUnavailable, Err: err}
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) { // the issuer sent Retry-After, or too many requests wait
		e.RetryAfter = later.RetryAfter()
	} else {
		e.RetryAfter = breaker.Wait(err)
	}
	return e
}
