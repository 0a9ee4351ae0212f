// Package console is the input and output of the commands of xenaauth: the token on standard input,
// an answer as text or JSON, and the exit status.
package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Options say how a [Console] writes the answer of a command.
type Options struct {
	// JSON says whether the answer of a command is written as JSON.
	JSON bool
	// Color is "always", "never" or "auto". With "auto", the output has colours if it goes to a
	// terminal, NO_COLOR is not set, and TERM is not dumb.
	Color string
}

// Console reads the standard input of a command, and writes the command's answer.
type Console struct {
	input               io.Reader
	output, errorOutput io.Writer
	json                bool
	color               bool
}

// New returns a Console. It reads from input. It writes the answer of the command to output, in the
// form that opts says, and all other messages to errorOutput.
func New(input io.Reader, output, errorOutput io.Writer, opts Options) *Console {
	color := opts.Color == "always"
	if opts.Color == "auto" {
		color = isTerminal(output) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return &Console{input: input, output: output, errorOutput: errorOutput, json: opts.JSON, color: color}
}

// Answer is what a command has found out. With --json, it is written as JSON. Otherwise, its method
// Text writes it for people.
type Answer interface{ Text(t *Text) }

// Print writes the answer of a command. A command calls Print only once, because the output with
// --json must be one JSON value.
func (c *Console) Print(a Answer) error {
	if c.json {
		encoder := json.NewEncoder(c.output)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(a)
	}
	t := &Text{color: c.color}
	a.Text(t)
	return c.Write(t.b.String())
}

// Write writes text unchanged, for commands that print a whole document.
func (c *Console) Write(text string) error {
	_, err := io.WriteString(c.output, text)
	return err
}

// Attach connects the output of another program to the console.
func (c *Console) Attach(program *exec.Cmd) { program.Stdout, program.Stderr = c.output, c.errorOutput }

// JSON reports whether the answer of the command is written as JSON (--json).
func (c *Console) JSON() bool { return c.json }

// PrintNotice writes a line to standard error, for example a warning. The answer of the command
// goes to standard output, and PrintNotice is for all other messages.
func (c *Console) PrintNotice(format string, args ...any) {
	_, _ = fmt.Fprintln(c.errorOutput, escapeUnprintable(fmt.Sprintf(format, args...)))
}

// End prints the error of a command on standard error, and returns the exit status for it.
func (c *Console) End(err error) int {
	if err == nil {
		return StatusYes
	}
	status := StatusUnknown
	if end, ok := errors.AsType[*exitError](err); ok {
		status = end.status
	}
	if text := err.Error(); text != "" {
		for line := range strings.Lines(text) {
			c.PrintNotice("xenaauth: %s", strings.TrimSuffix(line, "\n"))
		}
	}
	return status
}

// isTerminal reports whether f is a terminal or another character device, except the null device.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && file.Name() != os.DevNull
}
