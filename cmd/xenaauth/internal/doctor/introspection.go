package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/recording"
)

// noToken is a text that no issuer has issued as a token. The command "doctor" introspects it to
// test the credentials of the API.
const noToken = "no-token-but-a-check-of-the-credentials"

// examination.checkIntrospection checks the credentials with which this API calls the introspection
// endpoint. A Validator introspects noToken. If the credentials are right, the issuer responds that
// the token is not active.
func (e *examination) checkIntrospection(ctx context.Context, cfg xenaauth.Config) {
	const name = "introspection"
	if cfg.Introspection == nil {
		e.add(Check{Name: name, State: Skipped, Found: "not configured: opaque tokens are refused"})
		return
	}
	err := introspect(ctx, cfg)
	if cfg.AlwaysIntrospect && cfg.Introspection.Endpoint == "" && !e.checkMetadata(err) {
		e.add(Check{Name: name, State: Skipped, Found: "not looked at: the URL of the endpoint " +
			"is in the metadata"})
		return
	}
	reason := reasonOf(err)
	switch {
	case err == nil, reason != xenaauth.ReasonInactive && reason != xenaauth.ReasonUnavailable:
		e.add(Check{
			Name: name, State: Bad, Found: "the endpoint says that a text is active which " +
				"is no token",
			Fix: "Check XENA_INTROSPECTION_ENDPOINT: the server there accepts every token.",
		})
	case reason == xenaauth.ReasonInactive:
		e.add(Check{Name: name, State: Good, Found: "the issuer accepts the credentials"})
	case strings.Contains(refusalCause(err), "refuses our credentials"):
		e.add(Check{
			Name: name, State: Bad, Found: "the issuer refuses the credentials of this API",
			Fix: e.credentialsFix(ctx, cfg),
		})
	default:
		call, _ := e.recorder.LastCall(recording.Introspection)
		found := strings.TrimPrefix(refusalCause(err), "introspection: ")
		c := failedCheck(name, found, call)
		switch {
		case strings.Contains(found, "introspection_endpoint is missing"):
			c.State = Bad
			c.Fix = "Set XENA_INTROSPECTION_ENDPOINT: the metadata do not name the endpoint."
		case strings.HasPrefix(found, "metadata:"):
			c.State, c.Found = Skipped, "not looked at: the URL of the endpoint is in the metadata"
			c.Fix = ""
		case call.IsHTML():
			c.Fix = "A login page or a proxy answers instead of the endpoint: check " +
				"XENA_INTROSPECTION_ENDPOINT."
		case c.Fix == "":
			c.Fix = "Check XENA_INTROSPECTION_ENDPOINT: it must be an endpoint of RFC 7662."
		}
		e.add(c)
	}
}

// reasonOf returns the reason in err, the error of a token check. If err contains no reason, for
// example because the check itself could not be made, reasonOf returns ReasonUnavailable. It does
// so for nil too.
func reasonOf(err error) xenaauth.Reason {
	if refusal, ok := errors.AsType[*xenaauth.Error](err); ok {
		return refusal.Reason
	}
	return xenaauth.ReasonUnavailable
}

func introspect(ctx context.Context, cfg xenaauth.Config) error {
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return err
	}
	_, err = v.Validate(ctx, noToken)
	return err
}

// examination.credentialsFix returns what the operator should do if the issuer refuses the name and
// the secret of the API. An API can send its secret in the header (Basic credentials) or as a form
// parameter in the body of the request. Some versions of IdentityServer don't decode a secret in
// the header. So credentialsFix tries the method that is not configured.
func (e *examination) credentialsFix(ctx context.Context, cfg xenaauth.Config) string {
	i := *cfg.Introspection
	cfg.Introspection = &i
	method := "post"
	if i.Auth == xenaauth.ClientSecretPost {
		i.Auth, method = xenaauth.ClientSecretBasic, "basic"
	} else {
		i.Auth = xenaauth.ClientSecretPost
	}
	if reasonOf(introspect(ctx, cfg)) == xenaauth.ReasonInactive {
		return "Set XENA_INTROSPECTION_AUTH=" + method + ": the issuer accepts the credentials " +
			"in this way."
	}
	if strings.TrimSpace(i.ClientSecret) != i.ClientSecret {
		return "XENA_INTROSPECTION_CLIENT_SECRET begins or ends with white space. Remove it if " +
			"it is not part of the secret."
	}
	return "Check XENA_INTROSPECTION_CLIENT_ID and XENA_INTROSPECTION_CLIENT_SECRET: at " +
		"IdentityServer they are the name and the secret of the API resource, not those of a client."
}
