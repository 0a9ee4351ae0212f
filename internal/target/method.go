package target

import (
	"strings"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

// CheckMethod refuses an HTTP method that is missing, is not a token, or contains a lower-case
// letter. Method names are case-sensitive tokens (RFC 9110, section 9.1), but some servers ignore
// the case.
func CheckMethod(method string) error {
	if method == "" {
		return Ambiguity("the method is missing")
	}
	for i := range len(method) {
		switch c := method[i]; {
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return Ambiguity("the method is not a token of capital letters")
		}
	}
	return nil
}

// overrides contains the names of header fields, folded by package fieldname. With one of these
// fields, a client can ask a web framework to use another HTTP method than that of the request.
var overrides = [...]string{"x-http-method-override", "x-http-method", "x-method-override"}

// checkOverride refuses the header of a request if it asks the service for another HTTP method than
// that of the request.
func checkOverride(method string, header map[string][]string) error {
	for name, values := range header {
		if !overridesMethod(name) {
			continue
		}
		for _, v := range values {
			if !strings.EqualFold(v, method) {
				return Ambiguity("a header field asks for another method")
			}
		}
	}
	return nil
}

func overridesMethod(name string) bool {
	for _, known := range overrides {
		if fieldname.Equal(name, known) {
			return true
		}
	}
	return false
}
