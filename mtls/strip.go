package mtls

import (
	"net/http"
	"slices"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

// certificateFields are the names of header fields in which proxies pass on certificates, or
// information about certificates. The list contains the default field of each value of Form. It
// also contains Client-Cert-Chain, a field of RFC 9440, and X-Forwarded-Tls-Client-Cert-Info, a
// field of the proxy Traefik.
var certificateFields = []string{
	"client-cert", "client-cert-chain", "x-ssl-client-cert", "x-ssl-client-der", "x-forwarded-client-cert",
	"x-forwarded-tls-client-cert", "x-forwarded-tls-client-cert-info",
}

// Strip removes from the header of a request the fields in which proxies pass certificates on: the
// default fields of all values of [Form], Config.Field, Client-Cert-Chain and
// X-Forwarded-Tls-Client-Cert-Info. It does not know other fields that a proxy writes. A client may
// have written these fields, so no service should read them after the check. A reverse proxy calls
// Strip for the header that it forwards, after the [xenaauth.Middleware] has checked the request. A
// service whose own handlers could read such a field also calls Strip after the check.
//
// Strip compares the names of fields without regard to case. It replaces every character that is
// not a letter or digit by "-" before it compares, because some servers confuse "-", "_" and ".".
func (p *Proof) Strip(h http.Header) {
	configuredField := fieldname.Fold(p.field)
	for name := range h {
		folded := fieldname.Fold(name)
		if folded == configuredField || slices.Contains(certificateFields, folded) {
			delete(h, name)
		}
	}
}
