package tokencheck_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/tokencheck"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestExplainWithoutDocuments explains an accepted token and a refusal without the documents that
// the Validator had: the issuer's key set and introspection response are unknown.
func TestExplainWithoutDocuments(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	token := issuer.JWT(xenaauthtest.Token{Subject: "104711"})
	if _, err := v.Validate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	x := tokencheck.Explain(tokencheck.Check{Config: issuer.Config(), Token: token})
	for _, s := range x.Steps {
		if s.State != tokencheck.Held {
			t.Errorf("allowed: step %s is %s", s.Name, s.State)
		}
	}
	if !x.Verified || len(x.Claims) == 0 {
		t.Errorf("allowed: verified %t, %d claims", x.Verified, len(x.Claims))
	}

	if err := v.Revoke(t.Context(), xenaauth.Revocation{Subject: "104711"}); err != nil {
		t.Fatal(err)
	}
	_, err = v.Validate(t.Context(), token)
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	if !ok {
		t.Fatalf("the token is not revoked: %v", err)
	}
	x = tokencheck.Explain(tokencheck.Check{Config: issuer.Config(), Token: token, Refusal: refusal})
	for _, s := range x.Steps {
		want := tokencheck.Held
		switch s.Name {
		case tokencheck.StepUser:
			want = tokencheck.Failed
		case tokencheck.StepRoute:
			want = tokencheck.NotReached
		}
		if s.State != want {
			t.Errorf("revoked: step %s is %s, want %s", s.Name, s.State, want)
		}
		if strings.Contains(s.Found+s.Why+s.Fix, token) {
			t.Errorf("step %s contains the token", s.Name)
		}
	}
}
