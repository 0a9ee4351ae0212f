// Package can is the command that says what a table of routes decides about one request.
package can

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/tablefile"
)

// Cmd asks whether a request may pass.
type Cmd struct {
	Method string `arg:"" help:"Method of the request: GET, POST …"`
	Path   string `arg:"" help:"Path of the request, as a client sends it. A query may follow."`
	Table  string `short:"t" required:"" type:"existingfile" help:"File with the table of routes, in the format of gateway/routesfile."`
	Host   string `default:"localhost" help:"Host of the request."`
}

// Help describes the command.
func (*Cmd) Help() string {
	return `The access token is read from standard input. Without one, the request has no credentials. The
environment configures how the token is checked, with the variables of a service (XENA_ISSUER,
XENA_AUDIENCE …). Exit status: 0 the request passes, 1 it is refused, 3 the token can't be checked.`
}

// Run runs the command.
func (cmd *Cmd) Run(ctx context.Context, c *console.Console) error {
	table, err := tablefile.Read(cmd.Table)
	if err != nil {
		return err
	}
	r, err := request(ctx, cmd.Method, cmd.Path, cmd.Host)
	if err != nil {
		return console.Usage(err)
	}
	token, err := c.ReadToken()
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	validator, err := validatorFor(table, r, token)
	if err != nil {
		return console.Usage(err)
	}
	d := decide(table, validator, r)
	if err := c.Print(d); err != nil {
		return err
	}
	switch d.Outcome {
	case xenaauth.OutcomeAllowed, xenaauth.OutcomeAnonymous:
		return nil
	case xenaauth.OutcomeRefused:
		return console.No
	}
	return console.Unknown(nil)
}

// validatorFor returns the validator that the environment configures. If the decision needs none, no
// configuration is needed either: then the answer is about the table alone.
func validatorFor(
	table *routes.Table, r *http.Request, token string,
) (xenaauth.TokenValidator, error) {
	rule, err := table.Find(r)
	_, requires := rule.Access.Requirement()
	if err != nil || token == "" || !requires && !rule.Access.IsOptional() {
		return notCalled{}, nil
	}
	cfg, err := xenaauth.ConfigFromEnv()
	if err != nil {
		return nil, mistakes(err)
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return nil, mistakes(err)
	}
	return v, nil
}

// mistakes returns the error of a configuration with variables in place of fields.
func mistakes(err error) error {
	return errors.New("configuration: " + strings.Join(setting.Mistakes(err), "\nconfiguration: "))
}

// notCalled is the validator for requests whose token is not looked at.
type notCalled struct{}

func (notCalled) Validate(context.Context, string) (*xenaauth.User, error) {
	return nil, errors.New("no validator is configured")
}

// decide lets a guard check the request as in a gateway.
func decide(table *routes.Table, v xenaauth.TokenValidator, r *http.Request) *decision {
	d := &decision{Method: r.Method, Path: r.URL.EscapedPath()}
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{
		Logger: slog.New(slog.DiscardHandler),
		Event:  func(_ context.Context, e xenaauth.Event) { d.setEvent(e) },
	})
	_, rule, err := routes.NewGuard(m, table.Find).Check(r)
	if rule.Pattern != "" {
		d.Rule, d.Route, d.Requires = rule.Source, rule.Pattern, rule.Access.String()
	}
	if err != nil {
		header := make(http.Header)
		d.Status = m.Challenge(header, r, err)
		d.Challenge = header.Values("WWW-Authenticate")
		d.setCause(err)
	}
	return d
}
