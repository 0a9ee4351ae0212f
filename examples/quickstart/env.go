package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
)

// fromEnv runs the API with tokens of the issuer that the environment variables name. The API also
// starts while this issuer is down.
func fromEnv(ctx context.Context, addr string, out, logs io.Writer) error {
	cfg, err := xenaauth.ConfigFromEnv()
	opts := new(xenaauth.Options)
	// The error lists all mistakes in the environment variables.
	if err := errors.Join(err, cfg.Validate(), dpop.FromEnv(opts, dpop.Config{})); err != nil {
		return err
	}
	if cfg.AllowAnyAudience {
		return errors.New("XENA_ALLOW_ANY_AUDIENCE does not work here: a route of this API requires no scope, " +
			"so only the audience shows that a token is for it")
	}
	cfg.Logger = slog.New(slog.NewTextHandler(logs, nil))
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return err
	}
	opts.Event = logEvents(cfg.Logger)
	auth := xenaauth.NewMiddleware(v, opts)
	l, err := listenOn(ctx, addr, false)
	if err != nil {
		return err
	}
	base := baseURL(l.Addr())
	fmt.Fprintf(out, "A protected API, with the issuer of your environment. Ctrl-C stops it.\n\n")
	fmt.Fprintf(out, "  issuer  %s\n  API     %s\n", cfg.Issuer, base)
	for _, proof := range opts.Proofs {
		fmt.Fprintf(out, "  accepts %v\n", proof)
	}
	fmt.Fprintln(out)
	printRoutes(out)
	fmt.Fprintf(out, "  curl -i %s/readyz\n", base)
	fmt.Fprintf(out, "  curl -i %s/Api/User/XenaUserMembership -H \"Authorization: Bearer $TOKEN\"\n\n", base)
	fmt.Fprintln(out, "No user is in a company here, so Order is forbidden to all: that is for your database to know.")
	return serveUntilEnd(ctx, l, newHandler(v, auth, nil))
}

// logEvents returns a function that logs the user of each allowed request. The middleware itself
// logs the refusals.
func logEvents(logger *slog.Logger) func(context.Context, xenaauth.Event) {
	return func(ctx context.Context, e xenaauth.Event) {
		if e.Err == nil {
			logger.InfoContext(ctx, "allowed", "user", e.User)
		}
	}
}
