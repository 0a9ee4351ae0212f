package mtls

import (
	"net/http"
	"slices"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

// certificateFields are the names of all fields in which the known proxies pass certificates on,
// and what they say about certificates.
var certificateFields = []string{
	"client-cert", "client-cert-chain", "x-ssl-client-cert", "x-ssl-client-der", "x-forwarded-client-cert",
	"x-forwarded-tls-client-cert", "x-forwarded-tls-client-cert-info",
}

// Strip removes from the header of a request the fields with certificates: those of all forms, and
// Config.Field. Anyone could have written them, so a service behind must not read them. A reverse
// proxy calls Strip for the header that it forwards, after the [xenaauth.Middleware] has checked
// the request. A service whose handlers read such a field calls Strip in the same place.
//
// Strip compares names without regard to case, and takes every character that is not a letter or
// digit for "-", because some servers confuse "-", "_" and ".".
func (p *Proof) Strip(h http.Header) {
	own := fieldname.Fold(p.field)
	for name := range h {
		folded := fieldname.Fold(name)
		if folded == own || slices.Contains(certificateFields, folded) {
			delete(h, name)
		}
	}
}
