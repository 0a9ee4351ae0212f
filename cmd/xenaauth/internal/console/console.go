// Package console is what the commands of xenaauth read and write: the token on standard input, an
// answer as text or JSON, and the exit status.
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

// Options say how a [Console] writes.
type Options struct {
	// JSON writes answers as JSON.
	JSON bool
	// Color is always, never, or auto: colours at a terminal, unless NO_COLOR is set.
	Color string
}

// Console reads what a command needs and writes its answer.
type Console struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	color    bool
}

// New returns a console.
func New(in io.Reader, out, err io.Writer, opts Options) *Console {
	color := opts.Color == "always"
	if opts.Color == "auto" {
		color = isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return &Console{in: in, out: out, err: err, json: opts.JSON, color: color}
}

// Answer is what a command found out. With --json the answer is written as its JSON. Otherwise Text
// writes it for people.
type Answer interface{ Text(t *Text) }

// Print writes an answer. A command prints one answer, because the output of --json is one value.
func (c *Console) Print(a Answer) error {
	if c.json {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(a)
	}
	t := &Text{color: c.color}
	a.Text(t)
	return c.Write(t.b.String())
}

// Write writes text as it is, for a document that a command prints.
func (c *Console) Write(text string) error {
	_, err := io.WriteString(c.out, text)
	return err
}

// Attach lets another program write to the console.
func (c *Console) Attach(program *exec.Cmd) { program.Stdout, program.Stderr = c.out, c.err }

// JSON reports whether --json is set.
func (c *Console) JSON() bool { return c.json }

// Notice writes a line to standard error. It is for what is not part of the answer.
func (c *Console) Notice(format string, args ...any) {
	_, _ = fmt.Fprintln(c.err, printable(fmt.Sprintf(format, args...)))
}

// End reports the error of a command on standard error, and returns the exit status.
func (c *Console) End(err error) int {
	if err == nil {
		return StatusYes
	}
	status := StatusUnknown
	if end, ok := errors.AsType[*ending](err); ok {
		status = end.status
	}
	if text := err.Error(); text != "" {
		for line := range strings.Lines(text) {
			c.Notice("xenaauth: %s", strings.TrimSuffix(line, "\n"))
		}
	}
	return status
}

// isTerminal reports whether f is a terminal, or another device that a person reads or writes.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && file.Name() != os.DevNull
}
