// Package explain implements the command "explain", which shows step by step how a token is
// checked. A Middleware with the configuration of the service makes the decision, and package
// tokencheck explains it.
package explain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/recording"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/service"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/tokencheck"
)

// Cmd is the command "explain". It explains the token on standard input.
type Cmd struct {
	Scope   []string `help:"Scope that the route requires; may be repeated." placeholder:"SCOPE"`
	Offline string   `type:"existingfile" help:"File with the issuer's key set (JWKS), instead of a call." placeholder:"FILE"`

	service.Flags
}

// Run runs the command "explain".
func (cmd *Cmd) Run(ctx context.Context, c *console.Console) error {
	s, err := cmd.Load()
	if err != nil {
		return err
	}
	cfg, err := s.Tokens()
	if err != nil {
		return console.NewUsageError(errors.New(err.Error() + "\nconfiguration: " + s.Doctor() + " says what to do"))
	}
	token, err := c.ReadToken()
	if err != nil {
		return err
	}
	if token == "" {
		return console.NewUsageError(errors.New("standard input: there is no token"))
	}
	if cmd.Offline != "" {
		if cfg, err = withKeySetFile(cfg, cmd.Offline); err != nil {
			return console.NewUsageError(err)
		}
	}
	answer, err := explainToken(ctx, s, cfg, token, cmd.Scope, cmd.Offline != "")
	if err != nil {
		return console.NewUsageError(err)
	}
	if err := c.Print(answer); err != nil {
		return err
	}
	return answer.err()
}

// explainToken checks a token in the same way as the guard of a route that requires scopes. If it
// returns an error, the configuration is wrong.
func explainToken(
	ctx context.Context, s *service.Service, cfg xenaauth.Config, token string, scopes []string, offline bool,
) (*Answer, error) {
	cfg.Logger = slog.New(slog.DiscardHandler)
	recorder, recorded := recording.New(cfg)
	v, err := xenaauth.NewValidator(recorded)
	if err != nil {
		return nil, err
	}
	longest := max(cfg.MaxTokenLength, xenaauth.DefaultMaxTokenLength)
	proved := false
	opts, err := s.Options(&proved)
	if err != nil {
		return nil, err
	}
	opts.MaxTokenLength = longest
	m := xenaauth.NewMiddleware(v, opts)
	requirement := xenaauth.AnyUser()
	if len(scopes) > 0 {
		requirement = xenaauth.AllScopes(scopes...)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return nil, err
	}
	allowed, err := service.TrySchemes(opts, r, token, func() (*http.Request, error) { return m.Check(r, requirement) })
	check := tokencheck.Check{
		Config: cfg, Token: token, Scopes: scopes, Offline: offline,
		JWKS:          lastBody(recorder, recording.JWKS),
		Introspection: lastBody(recorder, recording.Introspection),
	}
	if err == nil {
		user, _ := xenaauth.UserFromContext(allowed.Context())
		return &Answer{
			Outcome: xenaauth.OutcomeAllowed, Explanation: explainForOperator(s, check), User: fmt.Sprint(user), Proof: proved,
		}, nil
	}
	header := make(http.Header)
	m.Challenge(header, r, err)
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	if !ok {
		refusal = &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, Err: err}
	}
	check.Refusal = refusal
	a := &Answer{
		Outcome: xenaauth.OutcomeRefused, Reason: string(refusal.Reason), Status: refusal.StatusCode(),
		Challenge: header.Values("WWW-Authenticate"), Explanation: explainForOperator(s, check),
	}
	if a.Status == http.StatusServiceUnavailable {
		a.Outcome = xenaauth.OutcomeUnavailable
	}
	return a, nil
}

// explainForOperator explains the check of a token, step by step. Its texts use the names of
// settings that the operator knows, in place of the fields of the Config.
func explainForOperator(s *service.Service, check tokencheck.Check) tokencheck.Explanation {
	e := tokencheck.Explain(check)
	for i := range e.Steps {
		e.Steps[i].Why, e.Steps[i].Fix = s.ReplaceFields(e.Steps[i].Why), s.ReplaceFields(e.Steps[i].Fix)
		e.Steps[i].Fix = strings.ReplaceAll(e.Steps[i].Fix, "xenaauth doctor", s.Doctor())
	}
	return e
}

// lastBody returns the body of the issuer's last response for a document, such as the key set. It
// returns "" if the status of this response is not 200.
func lastBody(recorder *recording.Recorder, document recording.Document) string {
	if call, ok := recorder.LastCall(document); ok && call.Status == http.StatusOK {
		return call.Body
	}
	return ""
}

// withKeySetFile returns a copy of cfg with another HTTP client. This client reads the issuer's key
// set from a file, so the issuer is not called.
func withKeySetFile(cfg xenaauth.Config, file string) (xenaauth.Config, error) {
	text, err := readKeySet(file)
	if err != nil {
		return cfg, err
	}
	if cfg.Issuer == "" {
		cfg.Issuer = xenaauth.IssuerProduction
	}
	// The Validator fetches the key set from cfg.JWKSURL. The HTTP client answers this request with
	// the content of the file. Any URL would do, because no request leaves this program.
	cfg.JWKSURL = cfg.Issuer
	cfg.HTTPClient = &http.Client{Transport: keySetFile{cfg.JWKSURL, text}}
	return cfg, nil
}
