package xenaauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/refresh"
	"github.com/xenaauth/xenaauth/internal/upstream"
)

// metadata is the part of an authorization server's metadata that is used (RFC 8414, section 2).
type metadata struct {
	jwksURL, introspectionURL string
}

// published is a key set, with the entity tag and the URL from which it was fetched.
type published struct {
	keys      *jose.KeySet
	etag, url string
}

const (
	maxMetadata = 256 << 10
	maxKeySet   = 1 << 20
)

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

func (i *issuer) fetchMetadata(
	ctx context.Context, _ metadata, force bool,
) (m metadata, lifetime time.Duration, err error) {
	const what = "metadata"
	defer func() { i.report.outcome(what, err) }()
	urls := []string{i.cfg.MetadataURL}
	if urls[0] == "" {
		urls = metadataURLs(i.cfg.Issuer)
	}
	for _, url := range urls {
		var r *reply
		if r, err = i.fetch.do(ctx, get(what, url, accept(force), maxMetadata)); err != nil {
			return m, 0, err
		}
		if r.status == http.StatusNotFound || r.status == http.StatusGone {
			err = r.outage(what, "")
			continue
		}
		text, err := r.document(what)
		if err != nil {
			return m, 0, err
		}
		m, err = i.parseMetadata(text)
		return m, r.lifetime(), err
	}
	return m, 0, err
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

// metadataURLs returns the URLs that the metadata of an issuer may have: first by OpenID Connect
// Discovery 1.0, section 4, then by RFC 8414, section 3.1.
func metadataURLs(issuer string) []string {
	base := strings.TrimSuffix(issuer, "/")
	urls := []string{base + "/.well-known/openid-configuration"}
	if u, err := url.Parse(base); err == nil {
		path := u.EscapedPath()
		u.Path, u.RawPath = "", ""
		urls = append(urls, u.String()+"/.well-known/oauth-authorization-server"+path)
	}
	return urls
}

var metadataNames = claims.NewNames("issuer", "jwks_uri", "introspection_endpoint")

func (i *issuer) parseMetadata(text string) (m metadata, err error) {
	var issuer string
	err = claims.Object(text, metadataNames, func(name string, d *claims.Decoder) error {
		var ok bool
		switch {
		case d.Null():
			ok = true
		case name == "issuer":
			issuer, ok = d.String()
		case name == "jwks_uri":
			m.jwksURL, ok = d.String()
		case name == "introspection_endpoint":
			m.introspectionURL, ok = d.String()
		default:
			_, ok = d.Raw()
		}
		if !ok {
			return claims.ErrSyntax
		}
		return nil
	})
	switch {
	case err != nil:
		return metadata{}, &outage{what: "metadata", why: err.Error()}
	case issuer != i.cfg.Issuer: // RFC 8414, section 3.3
		return metadata{}, &outage{what: "metadata", why: "issuer is not Config.Issuer"}
	}
	for _, u := range []string{m.jwksURL, m.introspectionURL} {
		if u != "" && (i.cfg.checkURL(u) != nil || i.cfg.secure() && !isHTTPS(u)) {
			return metadata{}, &outage{what: "metadata", why: "the URL of an endpoint is not https"}
		}
	}
	return m, nil
}

// secure reports whether metadata are fetched by https only. Then their URLs must be https too,
// also on loopback: a process that listens there could choose the keys, or receive our credentials.
func (c Config) secure() bool {
	return isHTTPS(c.Issuer) && (c.MetadataURL == "" || isHTTPS(c.MetadataURL)) && !c.AllowHTTP
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https"
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
		e.RetryAfter = upstream.Wait(err)
	}
	return e
}
