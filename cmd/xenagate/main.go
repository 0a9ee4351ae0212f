// Command xenagate is an API gateway for services behind Xena's access tokens: a reverse proxy that lets exactly those
// requests through that a table of routes allows, and the service that nginx, Traefik, Caddy, Envoy and HAProxy ask
// about theirs. README.md beside this file has the whole of it.
//
//	xenagate -config xenagate.yaml          serve
//	xenagate -config xenagate.yaml -check   tell every mistake in the configuration, and serve nothing
//
// SIGHUP reads routes and keys anew. SIGTERM ends it gently, a second one at once.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/xenaauth/xenaauth/cmd/xenagate/internal/config"
)

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command is main with its exit status: 0 for an orderly end, 1 for an error, 2 for a wrong use.
func command(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("xenagate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", os.Getenv("XENAGATE_CONFIG"),
		"configuration `file`; the environment's XENAGATE_CONFIG unless set")
	check := flags.Bool("check", false, "tell what is wrong with the configuration, and serve nothing")
	strict := flags.Bool("strict", false, "with -check: fail for findings about routes as well")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *path == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "usage: xenagate -config file [-check [-strict]]")
		return 2
	}
	logger := slog.New(slog.NewJSONHandler(stdout, nil))
	if *check {
		logger = slog.New(slog.DiscardHandler)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	s, err := load(*path, logger)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	findings := s.table.Load().Lint()
	if *check {
		for _, f := range findings {
			_, _ = fmt.Fprintln(stdout, f)
		}
		if *strict && len(findings) > 0 {
			return 1
		}
		return 0
	}
	for _, f := range findings {
		logger.Warn("routes", slog.String("finding", f.String()))
	}
	if err := s.run(signals); err != nil {
		logger.Error("ended", slog.String("error", err.Error()))
		return 1
	}
	return 0
}

// load makes the gateway of a configuration. The error tells every mistake, as far as they can be told apart.
func load(path string, logger *slog.Logger) (*servers, error) {
	cfg, err := config.Load(path)
	if cfg == nil {
		return nil, err
	}
	g, errBuild := build(cfg, logger, logger)
	if err := errors.Join(err, errBuild); err != nil {
		return nil, err
	}
	return g.handlers()
}
