// Quickstart is an API that xenaauth guards, and a tour of its responses.
//
//	go -C examples/quickstart run .          the tour, then an API to try with curl, until interrupted
//	go -C examples/quickstart run . -once    the tour alone; the exit status is 0 if each response was as expected
//
// The program needs no other server: the issuer of the tokens is an identity server of the test
// kit, in the same process. If XENA_ISSUER is set, the program starts no issuer and makes no tour:
// the routes accept tokens of the issuer that XENA_ISSUER names. In this case, set XENA_AUDIENCE
// too; [xenaauth.ConfigFromEnv] lists the other variables. With XENA_DPOP, the routes also accept
// tokens that are bound to a key of the client, or require such tokens: see [dpop.FromEnv].
//
// ADDR is the address to listen on. The default is localhost:8080.
//
// Read routes.go first: it contains what your own service needs. server.go runs the API. demo.go
// and env.go are the two ways to configure the API. The other files are for the tour.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from now on, a second interrupt ends the process immediately
	os.Exit(runProgram(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// These constants are the exit statuses of the program.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage is the error for wrong arguments on the command line.
var errUsage = errors.New("wrong usage")

// runProgram runs the quickstart, and returns its exit status. Without the flag -once, runProgram
// returns when ctx ends. With -once, it returns after the tour.
func runProgram(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	once := flags.Bool("once", false, "exit after the tour, with status 1 unless every answer is as expected")
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: quickstart [-once]\n\n")
		flags.PrintDefaults()
		fmt.Fprint(stderr, environmentHelp)
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage // the method Parse of the flags has already printed the error
	}
	addr := cmp.Or(os.Getenv("ADDR"), "localhost:8080")
	switch {
	case flags.NArg() > 0:
		return reportError(stderr, fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0)))
	case os.Getenv("XENA_ISSUER") == "":
		return reportError(stderr, demoProgram{addr: addr, tourOnly: *once, plan: planTour, out: stdout}.run(ctx))
	case *once:
		return reportError(stderr, fmt.Errorf("%w: -once needs the tour, and XENA_ISSUER turns the tour off", errUsage))
	default:
		return reportError(stderr, fromEnv(ctx, addr, stdout, stderr))
	}
}

// environmentHelp is the text about environment variables that the flag -help prints.
const environmentHelp = `
Environment variables:
  ADDR                 the address to listen on (localhost:8080)
  XENA_ISSUER          the issuer of the tokens; if not set, the program is its own issuer and makes a tour
  XENA_AUDIENCE        the name of the API in tokens of XENA_ISSUER
  XENA_DPOP            tokens that are bound to a key of the client: off, accepted or required (off)
  XENA_PUBLIC_ORIGINS  the origins in the URLs that clients use, such as https://api.example; needed for XENA_DPOP

The last three are only used with XENA_ISSUER. xenaauth.ConfigFromEnv lists further variables.
`

// reportError prints err, unless err is nil, and returns the exit status of the program.
func reportError(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "quickstart:", err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}
