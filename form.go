package xenaauth

import (
	"net/url"

	"github.com/xenaauth/xenaauth/internal/target"
)

// tokenInQuery reports whether a request also brings a token in the way that RFC 6750, section 2.3, advises against.
// Such a token is never read. A form in the body isn't looked at: it is the handler's.
func tokenInQuery(u *url.URL) bool {
	if u == nil || u.RawQuery == "" {
		return false
	}
	return target.QueryHas(u.RawQuery, "access_token")
}
