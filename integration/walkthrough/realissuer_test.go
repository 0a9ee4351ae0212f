package walkthrough

import (
	"net"
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
)

// The walkthrough usually contains its own issuer. It can also use a real issuer, which is another
// program. In this test, a separate server stands for the real issuer. A user can log in, refresh
// the token and call the API as with the walkthrough's own issuer. The pages must not offer an
// action that a real issuer does not support, for example to move the clock. In place of the client
// secret, the page must say that it is not shown.
func TestRealIssuer(t *testing.T) {
	t.Parallel()
	issuer, err := identityserver.Start(
		pages.WriteIdentity, pages.Texts.Scopes, http.HandlerFunc(pages.Static))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = issuer.Close() })
	addr := freeAddr(t)
	client := issuer.Register("Elsewhere", "http://"+addr+"/callback", "http://"+addr+"/loggedout")
	base := startProgram(t, "ADDR="+addr,
		"XENA_ISSUER="+issuer.URL(), "XENA_AUDIENCE="+identityserver.Audience,
		"XENA_CLIENT_ID="+client.ID, "XENA_CLIENT_SECRET="+client.Secret)

	p := newPage(t)
	p.open(base + "/step/1")
	p.wantText("main", client.ID, "not shown", "real one")
	if p.countElements(`form[action="/register"]`) > 0 {
		t.Error("the page offers to register an application at a real issuer")
	}
	p.checkLooks("real-issuer")
	p.open(base + "/step/2")
	p.click(`form[action="/authorize"] button`)
	p.click(`form[action="/login"] button`)
	p.wantText("main", "Elsewhere")
	p.click(`[value="allow"]`)
	p.wantPath("/step/4")
	p.open(base + "/step/7")
	p.wantText("footer", "The issuer is a real one", issuer.URL())
	if p.countElements(`form[action="/hour"]`) > 0 {
		t.Error("the page offers to move the clock of a real issuer")
	}
	p.click(`form[action="/refresh"] button`)
	p.wantText("#notices", "new access token")
	p.open(base + "/watch")
	if !evaluate[bool](p, `document.querySelector('[name="call"][value="expired"]').disabled`) {
		t.Error("the button for a token that a real issuer does not make is not off")
	}
	p.wantText("main", "A real issuer does not make such a token")
	p.sendCall("token")
	p.wantText("#call", "200")
	p.sendCall("tampered")
	p.wantText("#call", "401", "signature")
	p.checkAccessible()
}

// freeAddr returns a loopback address on which no program listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // freeAddr needs only the address of l, so an error of Close does no harm
	return l.Addr().String()
}
