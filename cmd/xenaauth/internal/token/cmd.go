// Package token implements the command "token", which makes a test token. The identity server of
// the test kit signs the token. This server runs on a loopback port until the command ends.
package token

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
)

// Cmd is the command "token", which makes a test token.
type Cmd struct {
	Scope     []string      `short:"s" help:"Scopes of the token, separated by commas. Without --scope: openid, profile, testapi and offline_access."`
	NoScope   bool          `help:"Make a token without scopes."`
	Subject   string        `help:"The user (sub)."`
	ClientID  string        `help:"The client (client_id)."`
	Lifetime  time.Duration `default:"1h" help:"How long the token is valid. A negative duration makes a token that has expired."`
	Machine   bool          `help:"Make a token of the client credentials grant, without a user."`
	Opaque    bool          `help:"Make an opaque token: a service must introspect it."`
	Audience  string        `default:"testapi" help:"Name of the API: the audience of the token."`
	Algorithm string        `default:"RS256" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA,Ed25519" help:"Algorithm of the signature: ${enum}."`
	Command   []string      `arg:"" optional:"" passthrough:"" help:"Run a command while the issuer runs, and end with its exit status. It gets the token on standard input and as the variable ACCESS_TOKEN. The environment configures it for the issuer."`
}

// Help returns the help text of the command "token".
func (*Cmd) Help() string {
	return `An issuer for tests runs on a loopback port until the command ends. It has a new key each time, so a
token is valid only as long as its issuer runs. Without COMMAND the token is written to standard
output, and standard error shows the environment for a service that accepts it.`
}

// Run runs the command "token".
func (cmd *Cmd) Run(ctx context.Context, c *console.Console) error {
	if cmd.NoScope && len(cmd.Scope) > 0 {
		return console.NewUsageError(errors.New("--scope and --no-scope exclude each other"))
	}
	// Package kong parses the command line. It leaves the argument "--" at the beginning of
	// cmd.Command.
	if len(cmd.Command) > 0 && cmd.Command[0] == "--" {
		cmd.Command = cmd.Command[1:]
	}
	if cmd.Opaque && len(cmd.Command) == 0 {
		return console.NewUsageError(errors.New("--opaque needs a COMMAND, which gets the secret for introspection"))
	}
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{
		API: cmd.Audience, Algorithm: cmd.Algorithm,
	})
	defer issuer.Close()
	token := cmd.makeToken(issuer)
	if len(cmd.Command) > 0 {
		return cmd.runProgram(ctx, c, issuer, token)
	}
	if err := c.Print(answer{token, serviceEnvironment(issuer)}); err != nil {
		return err
	}
	c.PrintNotice("A service accepts the token with this environment:")
	for _, v := range serviceEnvironment(issuer) {
		c.PrintNotice("  %s", v)
	}
	c.PrintNotice("The issuer runs until it is interrupted (Ctrl-C).")
	<-ctx.Done()
	return nil
}

// Cmd.makeToken makes a test token with the claims that the flags of the command set.
func (cmd *Cmd) makeToken(issuer *xenaauthtest.Issuer) string {
	t := xenaauthtest.Token{
		Subject: cmd.Subject, ClientID: cmd.ClientID, Scopes: cmd.Scope,
		Lifetime: cmd.Lifetime, Machine: cmd.Machine,
	}
	if cmd.NoScope {
		t.Scopes = []string{}
	}
	if cmd.Opaque {
		return issuer.Opaque(t)
	}
	return issuer.JWT(t)
}

// serviceEnvironment returns the environment variables that make a service accept the tokens of the
// test issuer.
func serviceEnvironment(issuer *xenaauthtest.Issuer) []string {
	return []string{
		"XENA_ISSUER=" + issuer.URL(), "XENA_ALLOW_HTTP=true", "XENA_AUDIENCE=" + issuer.API(),
	}
}

// Cmd.runProgram runs the program that follows the command "token" on the command line. The program
// gets the environment of the command, but none of its variables of xenaauth. In their place it
// gets variables that configure a service for the test issuer.
func (cmd *Cmd) runProgram(
	ctx context.Context, c *console.Console, issuer *xenaauthtest.Issuer, token string,
) error {
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "XENA_") || strings.HasPrefix(v, "XENAGATE_CONFIG=")
	})
	environment = append(environment, serviceEnvironment(issuer)...)
	environment = append(environment, "ACCESS_TOKEN="+token)
	if cmd.Opaque {
		environment = append(environment, "XENA_INTROSPECTION_CLIENT_ID="+issuer.API(),
			"XENA_INTROSPECTION_CLIENT_SECRET="+issuer.APISecret())
	}
	child := exec.CommandContext(ctx, cmd.Command[0], cmd.Command[1:]...)
	child.Env, child.Stdin = environment, strings.NewReader(token+"\n")
	c.Attach(child)
	child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
	err := child.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case ok && exit.ExitCode() >= 0:
		return console.NewExitError(exit.ExitCode())
	case ok:
		return console.NewUnknownError(errors.New(cmd.Command[0] + ": a signal ended the program"))
	case errors.Is(err, exec.ErrNotFound):
		return console.NewUsageError(errors.New(cmd.Command[0] + ": the program is not found"))
	}
	return console.NewUsageError(errors.New(cmd.Command[0] + ": the program can't be run"))
}

// An answer is the output of the command "token".
type answer struct {
	Token       string   `json:"token"`
	Environment []string `json:"environment"`
}

// Text prints the token and nothing else, so that the output can go to a file or a pipe.
func (a answer) Text(t *console.Text) { t.Line("%s", a.Token) }
