package xenaauth

import (
	"net/url"
	"strings"
)

// tokenInQuery reports whether a request also brings a token in the way that RFC 6750, section 2.3, advises against.
// Such a token is never read. A form in the body isn't looked at: it is the handler's.
func tokenInQuery(u *url.URL) bool {
	if u == nil || u.RawQuery == "" {
		return false
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") { // url.ParseQuery allocates for each of thousands of pairs
		if name, _, _ := strings.Cut(pair, "="); isEscaped(name, "access_token") {
			return true
		}
	}
	return false
}

// isEscaped reports whether text is name, with any of its characters escaped.
func isEscaped(text, name string) bool {
	for i := range len(name) {
		switch {
		case text == "":
			return false
		case text[0] == name[i]:
			text = text[1:]
		case text[0] == '%' && len(text) > 2 && isHex(text[1]) && isHex(text[2]) && unhex(text[1])<<4|unhex(text[2]) == name[i]:
			text = text[3:]
		default:
			return false
		}
	}
	return text == ""
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
