package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
)

// If XENA_ISSUER is set, the walkthrough uses that issuer. The pages must not offer an action that
// a real issuer does not support.
func TestRealIssuer(t *testing.T) {
	issuer, err := identityserver.Start(pages.WriteIdentity, pages.Texts.Scopes, http.HandlerFunc(pages.Static))
	if err != nil {
		t.Fatal(err)
	}
	defer issuer.Close() //nolint:errcheck // the test ends here
	t.Setenv("XENA_ISSUER", issuer.URL())
	t.Setenv("XENA_AUDIENCE", identityserver.Audience)
	if _, err := chooseIssuer(""); err == nil || !strings.Contains(err.Error(), "XENA_CLIENT_ID") {
		t.Errorf("without the credentials of a client: %v", err)
	}
	a := startApp(t, func(base string) {
		c := issuer.Register("Elsewhere", base+"/callback", base+"/loggedout")
		t.Setenv("XENA_CLIENT_ID", c.ID)
		t.Setenv("XENA_CLIENT_SECRET", c.Secret)
	})
	b := a.open(t)
	b.visit("/step/1").wantPage("/step/1", b.session().get().client.ID)
	secret := a.view(t.Context(), b.session(), "step1").Client.Secret
	if secret != "" || strings.Contains(b.page, b.session().get().client.Secret) {
		t.Error("the page shows the secret of a real client")
	}
	b.visit("/step/2").submit(`action="/authorize"`).wantPage("/login").submit(`action="/login"`)
	b.submit(`action="/consent"`, "decision", "allow").wantPage("/step/4", "104711")
	if c := b.callAPI("token"); c.Status != http.StatusOK {
		t.Errorf("the access token: %d %s", c.Status, c.Body)
	}
	if c := b.callAPI("tampered"); c.Reason != "signature" {
		t.Errorf("tampered with: %d %s", c.Status, c.Body)
	}
	if c := b.callAPI("idtoken"); c.Reason != "token_type" {
		t.Errorf("ID token: %d %s", c.Status, c.Body)
	}
	for _, name := range []string{"expired", "rotated", "down", "ended", "revoked"} {
		b.visit("/watch").postForm("/call", "call", name)
		b.wantPage("/watch", "A real issuer does not make such a token.")
	}
	b.postForm("/hour").wantPage("/step/7", "only our own Identity server")
	b.postForm("/register", "name", "x").wantPage("/step/1", "is registered there")
	b.postForm("/refresh").wantPage("/step/7", "new access token")
	if c := b.callAPI("token"); c.Status != http.StatusOK {
		t.Errorf("the new access token: %d %s", c.Status, c.Body)
	}
	b.postForm("/revoke").wantPage("/after", "revoked")
	b.postForm("/refresh").wantPage("/step/7", "invalid_grant")
	b.visit("/after").submit("id_token_hint").wantPage("/after", "logged out")
}

// If a real issuer is down, the walkthrough starts, and its pages say that the issuer is down.
func TestRealIssuerDown(t *testing.T) {
	for name, value := range map[string]string{
		"XENA_ISSUER": "http://127.0.0.1:1", "XENA_AUDIENCE": "testapi",
		"XENA_CLIENT_ID": "id", "XENA_CLIENT_SECRET": "secret",
	} {
		t.Setenv(name, value)
	}
	b := startApp(t, nil).open(t)
	b.visit("/step/2").wantPage("/step/2", "the issuer can't be reached")
	b.postForm("/authorize").wantPage("/step/2", "the issuer can't be reached")
}
