// Quickstart is an API that is protected by xenaauth, and a tour of what it answers.
//
//	go -C examples/quickstart run .          the tour, then an API to try with curl, until interrupted
//	go -C examples/quickstart run . -once    the tour alone; the exit status tells whether all was as expected
//
// It needs nothing else: the issuer of the tokens is an identity server of the test kit, in the same process. With
// XENA_ISSUER set (and XENA_AUDIENCE, and whatever else [xenaauth.ConfigFromEnv] reads) there is neither that issuer nor
// a tour, and the same routes are protected with the issuer that it names.
//
// ADDR is the address to listen on, localhost:8080 unless set.
//
// Read routes.go first: it is what a service of your own has. The rest is server.go, which runs it, demo.go and env.go,
// the two ways to configure it, and the tour.
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
	context.AfterFunc(ctx, stop) // a second interrupt doesn't wait for requests under way
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage is a wrong use of the command line.
var errUsage = errors.New("wrong usage")

// run is the program: it returns its exit status when ctx ends, or earlier with -once.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	once := flags.Bool("once", false, "exit after the tour, with status 1 unless every answer is as expected")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage // flags has told it
	}
	addr := cmp.Or(os.Getenv("ADDR"), "localhost:8080")
	switch {
	case flags.NArg() > 0:
		return status(stderr, fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0)))
	case os.Getenv("XENA_ISSUER") == "":
		return status(stderr, demo{addr: addr, once: *once, plan: plan, out: stdout}.run(ctx))
	case *once:
		return status(stderr, fmt.Errorf("%w: -once is for the tour, and there is none with XENA_ISSUER set", errUsage))
	default:
		return status(stderr, fromEnv(ctx, addr, stdout, stderr))
	}
}

// status reports an error and says which exit status it is.
func status(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "quickstart:", err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}
