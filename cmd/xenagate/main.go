// Command xenagate is an API gateway for services behind Xena's access tokens: a reverse proxy that lets exactly those
// requests through that a table of routes allows, and the service that nginx, Traefik, Caddy, Envoy and HAProxy ask
// about theirs. README.md beside this file has the whole of it.
//
//	xenagate -config xenagate.yaml          serve
//	xenagate -config xenagate.yaml -check   tell every mistake in the configuration, and serve nothing
//	xenagate -version                       print the version
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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/xenaauth/xenaauth/cmd/xenagate/internal/config"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// logCloseWait is how long the end waits for an output that doesn't take the last lines of the log.
const logCloseWait = 5 * time.Second

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command is main with its exit status: 0 for an orderly end, 1 for an error, 2 for a wrong use.
func command(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("xenagate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("config", os.Getenv("XENAGATE_CONFIG"),
		"configuration `file`; the environment's XENAGATE_CONFIG unless set")
	check := flags.Bool("check", false, "tell what is wrong with the configuration, and serve nothing")
	strict := flags.Bool("strict", false, "with -check: fail for findings about routes as well")
	showVersion := flags.Bool("version", false, "print the version, and serve nothing")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout, flags)
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, err)
		usage(stderr, flags)
		return 2
	case *showVersion:
		_, _ = fmt.Fprintln(stdout, thisBuild())
		return 0
	case *path == "" || flags.NArg() > 0:
		usage(stderr, flags)
		return 2
	}
	output := stdout
	if *check {
		output = io.Discard
	}
	lines := newLogWriter(output)
	defer lines.close(logCloseWait)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	s, err := load(*path, lines)
	var findings []routes.Finding // about a table with mistakes there are none
	if s != nil {
		if t := s.table.Load(); t != nil {
			findings = t.Lint()
		}
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
	}
	if *check {
		for _, f := range findings {
			_, _ = fmt.Fprintln(stdout, f)
		}
	}
	switch {
	case err != nil, *check && *strict && len(findings) > 0:
		return 1
	case *check:
		return 0
	}
	for _, f := range findings {
		s.log.Warn("routes", slog.String("finding", f.String()))
	}
	if err := s.run(signals); err != nil {
		s.log.Error("ended", slog.String("error", err.Error()))
		return 1
	}
	return 0
}

func usage(to io.Writer, flags *flag.FlagSet) {
	_, _ = fmt.Fprint(to, `usage: xenagate -config file                     serve
       xenagate -config file -check [-strict]    tell every mistake in the configuration
       xenagate -version

`)
	flags.SetOutput(to)
	flags.PrintDefaults()
}

// load makes the gateway of a configuration. The error tells every mistake. Beside one, the servers only have the table
// of routes, if that is right.
func load(path string, lines *logWriter) (*servers, error) {
	cfg, err := config.Load(path)
	if cfg == nil {
		return nil, err
	}
	g, errBuild := build(cfg, lines)
	if g == nil {
		return nil, once(err, errBuild)
	}
	if err := once(err, errBuild); err != nil {
		return &servers{gateway: g}, once(err, g.checkAsked())
	}
	return g.handlers()
}

// once is errors joined, with each line once: of a file that is read again, mistakes are told again.
func once(errs ...error) error {
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}
