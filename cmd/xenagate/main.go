// Command xenagate is an API gateway for services that accept Xena's access tokens. It is a reverse
// proxy. It forwards a request if the table of routes lets the request pass. The gateway can also
// decide for other proxies: nginx, Traefik, Caddy, Envoy and HAProxy call it for each request.
// README.md in this folder is its documentation.
//
//	xenagate -config xenagate.yaml          serve
//	xenagate -config xenagate.yaml -check   report every mistake in the configuration, and serve nothing
//	xenagate -version                       print the version
//
// SIGHUP reloads routes, keys and certificate, and opens the audit log again. SIGTERM or SIGINT
// ends the gateway after the requests that are running have ended, or when timeouts.drain is over.
// A second signal ends the gateway immediately.
//
// A request passes through these files: listener.go, proxy.go, route.go, upstream.go, forward.go,
// clientfields.go, and at the end record.go, accesslog.go and requestmetrics.go. A call of another
// proxy passes through listener.go and forwardauth.go, or through extauthz.go.
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
	"time"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// logCloseWait limits the wait for the output of the log at the end of the program. If the output
// is blocked for longer, the last lines of the log are lost.
const logCloseWait = 5 * time.Second

func main() { os.Exit(runCommandLine(os.Args[1:], os.Stdout, os.Stderr)) }

// runCommandLine runs xenagate and returns its exit status: 0 after an orderly end, 1 after an
// error or for findings with -check -strict, 2 for wrong arguments.
func runCommandLine(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("xenagate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("config", os.Getenv("XENAGATE_CONFIG"),
		"configuration `file`; if not set, the environment variable XENAGATE_CONFIG")
	check := flags.Bool("check", false, "report every mistake in the configuration, and serve nothing")
	strict := flags.Bool("strict", false, "with -check: fail also for findings about routes")
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
		_, _ = fmt.Fprintln(stdout, currentBuild())
		return 0
	case *path == "" || flags.NArg() > 0:
		usage(stderr, flags)
		return 2
	}
	logTo := stdout
	if *check {
		logTo = io.Discard
	}
	output := newLogBuffer(logTo)
	defer output.close(logCloseWait)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	s, table, err := loadServers(*path, output)
	var findings []routes.Finding
	if table != nil {
		findings = table.Table.Lint()
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
		s.gateway.log.Warn("routes", slog.String("finding", f.String()))
	}
	if err := s.run(signals); err != nil {
		s.gateway.log.Error("ended", slog.String("error", err.Error()))
		return 1
	}
	return 0
}

func usage(to io.Writer, flags *flag.FlagSet) {
	_, _ = fmt.Fprint(to, `usage: xenagate -config file                     serve
       xenagate -config file -check [-strict]    report every mistake in the configuration
       xenagate -version

`)
	flags.SetOutput(to)
	flags.PrintDefaults()
}

// loadServers reads the configuration file and returns the servers for it. The error lists all
// mistakes in the configuration, in the order of their lines in the file. Do not use the servers
// together with an error. The table of routes is valid also together with an error; it is nil if it
// has a mistake.
func loadServers(path string, output *logBuffer) (*servers, *config.Routes, error) {
	cfg, err := config.Load(path)
	if cfg == nil {
		return nil, nil, err
	}
	g, errGateway := newGateway(cfg, output)
	if g == nil {
		return nil, cfg.Routes, cfg.JoinMistakes(err, errGateway)
	}
	if err := cfg.JoinMistakes(err, errGateway); err != nil {
		return nil, cfg.Routes, cfg.JoinMistakes(err, checkProxies(g))
	}
	s, err := newServers(g)
	return s, cfg.Routes, cfg.JoinMistakes(err)
}
