package decisions

import (
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// TestIdentityTooLarge sends the token of a user whose data are too long for the identity fields,
// the header fields in which a proxy tells services who the user is. The request must be refused,
// and exactly one event must report this refusal.
func TestIdentityTooLarge(t *testing.T) {
	for _, name := range []string{"forward-auth", "ext_authz"} {
		for _, path := range []string{"/t.T/Any", "/t.T/Optional"} {
			s := newSite(t, routeRules(), xenaauth.Options{})
			var err error
			s.identity, err = identity.New(identity.Config{MaxBytes: 66})
			fatal(t, err)
			got := protocols[name](t, s)(t, request{path: path, header: http.Header{"Authorization": {"Bearer " + s.token("a")}}})
			if got.status != 403 || got.reason != string(xenaauth.ReasonForbidden) {
				t.Errorf("%s %s: status %d, %+v", name, path, got.status, got.decision)
			}
			s.wantEvent(t, name, 403, xenaauth.ReasonForbidden, "", path)
		}
	}
}
