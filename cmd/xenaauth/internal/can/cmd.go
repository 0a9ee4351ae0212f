// Package can is the code of the command "xenaauth can". This command prints what a table of routes
// decides about one request.
package can

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/service"
)

// Cmd is the command "can". It prints whether a request may pass.
type Cmd struct {
	Method string `arg:"" help:"Method of the request: GET, POST …"`
	Path   string `arg:"" help:"Path of the request, as a client sends it. A query may follow."`
	Table  string `short:"t" type:"existingfile" help:"File with the table of routes, in the format of gateway/routesfile. Without it, the table of the configuration file decides."`
	Host   string `default:"localhost" help:"Host of the request."`

	service.Flags
}

// Help returns the help text of the command "can".
func (*Cmd) Help() string {
	return `The access token is read from standard input. Without one, the request has no credentials. The
environment configures how the token is checked, with the variables of a service (XENA_ISSUER,
XENA_AUDIENCE …), and so does the configuration file of a gateway. Exit status: 0 the request passes,
1 it is refused, 3 the token can't be checked.`
}

// Run runs the command "can".
func (cmd *Cmd) Run(ctx context.Context, c *console.Console) error {
	s, err := cmd.Load()
	if err != nil {
		return err
	}
	table, err := s.Table(cmd.Table)
	if err != nil {
		return err
	}
	r, err := newRequest(ctx, cmd.Method, cmd.Path, cmd.Host)
	if err != nil {
		return console.NewUsageError(err)
	}
	token, err := c.ReadToken()
	if err != nil {
		return err
	}
	validator, err := validatorFor(s, table, r, token)
	if err != nil {
		return console.NewUsageError(err)
	}
	d, err := decide(s, table, validator, r, token)
	if err != nil {
		return console.NewUsageError(err)
	}
	if err := c.Print(d); err != nil {
		return err
	}
	switch d.Outcome {
	case xenaauth.OutcomeAllowed, xenaauth.OutcomeAnonymous:
		return nil
	case xenaauth.OutcomeRefused:
		return console.ErrAnswerNo
	}
	return console.NewUnknownError(nil)
}

// validatorFor returns the validator that checks the token of the command "can". No validator is
// needed if the command sends no token, if no rule matches the request, or if the rule is public or
// denies the request. Then validatorFor does not read which tokens the service accepts, so the
// command works without this configuration.
func validatorFor(
	s *service.Service, table *routes.Table, r *http.Request, token string,
) (xenaauth.TokenValidator, error) {
	rule, err := table.Find(r)
	_, requires := rule.Access.Requirement()
	if err != nil || token == "" || !requires && !rule.Access.IsOptional() {
		return unusedValidator{}, nil
	}
	cfg, err := s.Tokens()
	if err == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
		var v *xenaauth.Validator
		if v, err = xenaauth.NewValidator(cfg); err == nil {
			return v, nil
		}
	}
	return nil, errors.New("configuration: " + strings.ReplaceAll(
		err.Error()+"\n"+s.Doctor()+" says what to do", "\n", "\nconfiguration: "))
}

// An unusedValidator takes the place of a validator if the command "can" has no token to check. It
// is never called.
type unusedValidator struct{}

func (unusedValidator) Validate(context.Context, string) (*xenaauth.User, error) {
	return nil, errors.New("no validator is configured")
}

// decide checks the request of the command "can" with the guard that a gateway uses. If the token
// is bound to a key, decide sends it with the scheme of the proof, for example DPoP. An error of
// decide means that the configuration is wrong.
func decide(
	s *service.Service, table *routes.Table, v xenaauth.TokenValidator, r *http.Request, token string,
) (*decision, error) {
	d := &decision{Method: r.Method, Path: r.URL.EscapedPath()}
	usesAssumption := false
	opts, err := s.Options(&usesAssumption)
	if err != nil {
		return nil, err
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.Event = func(_ context.Context, e xenaauth.Event) { d.setEvent(e) }
	m := xenaauth.NewMiddleware(v, opts)
	guard := routes.NewGuard(m, table.Find)
	rule, err := service.TrySchemes(opts, r, token, func() (routes.Rule, error) {
		_, rule, err := guard.Check(r)
		return rule, err
	})
	if rule.Pattern != "" {
		d.Rule, d.Route, d.Requires = rule.Source, rule.Pattern, rule.Access.String()
	}
	d.Proof = usesAssumption && err == nil
	if err != nil {
		header := make(http.Header)
		d.Status = m.Challenge(header, r, err)
		d.Challenge = header.Values("WWW-Authenticate")
		d.setCause(err)
		d.Why = s.ReplaceFields(d.Why)
		if upper := strings.ToUpper(r.Method); upper != r.Method && slices.Contains(methods, upper) {
			d.Why += "; methods are in upper case: did you mean " + upper + "?"
		}
		for _, u := range s.FindUnprovableRules(table) {
			if u.Rule.Source == rule.Source {
				d.Why += "; the rule requires a bound token, and possession is off: it refuses every request"
			}
		}
	}
	return d, nil
}
