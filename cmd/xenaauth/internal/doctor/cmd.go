// Package doctor is the command that checks whether a service can check tokens with its
// configuration. The checks use the responses that a Validator gets: the Validator fetches the
// documents and decides, and the command explains.
package doctor

import (
	"context"
	"log/slog"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/recording"
)

// Cmd checks the configuration in the environment, and the issuer.
type Cmd struct{}

// Run runs the command.
func (*Cmd) Run(ctx context.Context, c *console.Console) error {
	cfg, err := xenaauth.ConfigFromEnv()
	list := Examine(ctx, cfg, err)
	if err := c.Print(list); err != nil {
		return err
	}
	return list.err()
}

// Examine checks a configuration that was read with the error readErr, which may be nil.
func Examine(ctx context.Context, cfg xenaauth.Config, readErr error) *Checklist {
	l := new(Checklist)
	if !l.configuration(cfg, readErr) {
		for _, name := range []string{"metadata", "key set", "clock", "introspection"} {
			l.add(Check{Name: name, State: Skipped, Found: "not looked at: correct the " +
				"configuration first"})
		}
		return l
	}
	if cfg.Issuer == "" {
		cfg.Issuer = xenaauth.IssuerProduction
	}
	l.Issuer = cfg.Issuer
	cfg.Logger = slog.New(slog.DiscardHandler) // the checklist says it all
	recorder, recorded := recording.New(cfg)
	e := examination{Checklist: l, cfg: cfg, recorder: recorder}
	e.documents(ctx, recorded)
	e.introspection(ctx, recorded)
	e.clock()
	e.certificate()
	return l
}

// examination is one run of the command.
type examination struct {
	*Checklist
	cfg      xenaauth.Config
	recorder *recording.Recorder
}
