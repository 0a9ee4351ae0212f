// Command xenaauth answers questions about access tokens, routes and their configuration at the
// command line. README.md in this folder is its documentation.
//
// Its exit status is 0 if the answer is yes, 1 if the answer is no, 2 if the command line or a file
// that the command line names is wrong, and 3 if the answer could not be found out. There are two
// exceptions. The command "xenaauth doctor" answers no if its configuration file is wrong. The
// command "xenaauth token" can run a program, and then has the exit status of this program.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/can"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/doctor"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/explain"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/routes"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/token"
)

// commands describes the command line of the program xenaauth. Each command is a package with a
// type Cmd. Its method Run receives a [context.Context] and a [console.Console].
type commands struct {
	JSON  bool   `help:"Write the answer as JSON." short:"j"`
	Color string `help:"Colour the answer: auto, always or never. auto colours it at a terminal, unless NO_COLOR is set." enum:"auto,always,never" default:"auto"`

	Doctor  doctor.Cmd  `cmd:"" help:"Check the configuration of a service, and the issuer."`
	Explain explain.Cmd `cmd:"" help:"Show step by step how the token on standard input is checked."`
	Can     can.Cmd     `cmd:"" help:"Say which rule of a table decides about a request, and whether the request passes."`
	Routes  routes.Cmd  `cmd:"" help:"Check a table of routes for probable mistakes, or print it."`
	Token   token.Cmd   `cmd:"" help:"Make a test token, with an issuer that runs on this machine."`
}

const description = `Answer questions about access tokens, routes and their configuration.

Exit status: 0 the answer is yes, 1 the answer is no, 2 the command line or a file that it names is wrong, 3 the answer could not be found out.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program immediately
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run runs the program with the command-line arguments args, and returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	var line commands
	ended := false
	parser, err := kong.New(&line,
		kong.Name("xenaauth"), kong.Description(description), kong.Writers(out, errOut),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(int) { ended = true }), // kong, the parser, calls this function after --help
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		panic(err) // kong returns an error only if a struct tag of a command is wrong
	}
	parsed, err := parser.Parse(args)
	if ended {
		return console.StatusYes
	}
	c := console.New(in, out, errOut, console.Options{JSON: line.JSON, Color: line.Color})
	if err != nil {
		return c.End(console.NewUsageError(withoutTokens(err, args)))
	}
	err = runCommand(ctx, parsed, c)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = console.NewUnknownError(errors.New("interrupted"))
	}
	return c.End(err)
}

// runCommand runs a command. A command may wait for input or for a file. If ctx ends during this,
// runCommand returns immediately and leaves the command behind. The command "token" is the
// exception: it has to end the program that it runs, so runCommand waits until it returns.
func runCommand(ctx context.Context, parsed *kong.Context, c *console.Console) error {
	ended := make(chan error, 1)
	go func() { ended <- parsed.Run(c) }()
	interrupted := ctx.Done()
	if strings.HasPrefix(parsed.Command(), "token") {
		interrupted = nil
	}
	select {
	case err := <-ended:
		return err
	case <-interrupted:
		return ctx.Err()
	}
}
