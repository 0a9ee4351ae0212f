package xenaauth

import (
	"net/url"
	"strings"

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

// maxFields bounds the fields of a form.
const maxFields = 64

// formValue returns the value of a field that a form has exactly once.
func formValue(form, name string) (value string, ok bool) {
	if strings.Count(form, "&") >= maxFields {
		return "", false
	}
	fields, err := url.ParseQuery(form)
	if err != nil || len(fields[name]) != 1 {
		return "", false
	}
	return fields[name][0], true
}
