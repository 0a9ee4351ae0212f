// Package doctor implements the command "doctor", which checks whether a service with this
// configuration can check tokens. A Validator fetches the documents of the issuer and decides
// whether it can use them. The command records the responses and explains the result.
package doctor

import (
	"context"
	"log/slog"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/recording"
)

// Cmd is the command "doctor". It checks the configuration in the environment, and the issuer.
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

// Examine checks the configuration cfg. readErr is the error of reading cfg from the environment,
// and may be nil.
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
	// The checklist reports everything that the log would.
	cfg.Logger = slog.New(slog.DiscardHandler)
	recorder, recorded := recording.New(cfg)
	e := examination{Checklist: l, cfg: cfg, recorder: recorder}
	e.documents(ctx, recorded)
	e.introspection(ctx, recorded)
	e.clock()
	e.certificate()
	return l
}

// An examination holds the data of one run of the command.
type examination struct {
	*Checklist
	cfg      xenaauth.Config
	recorder *recording.Recorder
}
