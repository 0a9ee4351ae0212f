package xenaauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// metadata are the members of the issuer's metadata (RFC 8414, section 2) that this package uses.
type metadata struct {
	jwksURL, introspectionURL string
}

const maxMetadata = 256 << 10

// fetchMetadata fetches the metadata of the issuer. If there are several URLs where the metadata
// may be, it uses the first URL that has a document.
func (i *issuer) fetchMetadata(
	ctx context.Context, _ metadata, force bool,
) (m metadata, lifetime time.Duration, err error) {
	const what = "metadata"
	defer func() { i.report.recordCall(what, err, i.metadataWaiters()) }()
	urls := []string{i.cfg.MetadataURL}
	if urls[0] == "" {
		urls = metadataURLs(i.cfg.Issuer)
	}
	for _, url := range urls {
		var r *reply
		if r, err = i.fetch.do(ctx, get(what, url, accept(force), maxMetadata, i.metadataWaiters)); err != nil {
			return m, 0, err
		}
		if r.status == http.StatusNotFound || r.status == http.StatusGone {
			err = r.newOutage(what, "")
			continue
		}
		text, err := r.jsonBody(what)
		if err != nil {
			return m, 0, err
		}
		m, err = i.parseMetadata(text)
		return m, r.lifetime(), err
	}
	return m, 0, err
}

// metadataWaiters returns how many requests wait for the metadata. A fetch of the key set may wait
// for the metadata too. This fetch is not a request, so it is not counted. But the requests that
// wait for the key set then wait for the metadata as well, so they are counted.
func (i *issuer) metadataWaiters() int {
	n := i.metadata.Waiting()
	if i.keyFetchWaits.Load() > 0 {
		n += i.keys.Waiting() - 1
	}
	return max(0, n)
}

// metadataURLs returns the URLs at which the metadata of an issuer may be: first the URL of OpenID
// Connect Discovery 1.0, section 4, then the URL of RFC 8414, section 3.1.
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
		return metadata{}, &outageError{callName: "metadata", causeText: err.Error()}
	case issuer != i.cfg.Issuer: // the document must name its issuer (RFC 8414, section 3.3)
		return metadata{}, &outageError{callName: "metadata", causeText: "issuer is not Config.Issuer"}
	}
	for _, u := range []string{m.jwksURL, m.introspectionURL} {
		if u != "" && (i.cfg.checkURL(u) != nil || i.cfg.requiresHTTPS() && !isHTTPS(u)) {
			return metadata{}, &outageError{callName: "metadata", causeText: "the URL of an endpoint is not https"}
		}
	}
	return m, nil
}

// Config.requiresHTTPS reports whether all URLs in the metadata must be https, also on loopback.
// They must be https if Config.Issuer is https, the metadata are fetched by https, and AllowHTTP is
// not set. Without this rule, a process that listens on loopback could choose the keys, or receive
// our credentials.
func (c Config) requiresHTTPS() bool {
	return isHTTPS(c.Issuer) && (c.MetadataURL == "" || isHTTPS(c.MetadataURL)) && !c.AllowHTTP
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https"
}
