package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"
)

var (
	namedFile    = regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```\\w+\n(.*?)```\n")
	loopbackPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	transcript   = regexp.MustCompile("(?s)<!-- tested -->\n```console\n(.*?)```\n")
)

// A shownCommand is one command in an example of README.md, and the output that README.md shows for
// it.
type shownCommand struct{ command, output string }

func readTranscript(text string) (steps []shownCommand) {
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, shownCommand{command: strings.TrimSuffix(command, "\n")})
		} else if len(steps) > 0 {
			steps[len(steps)-1].output += line
		}
	}
	return steps
}

// TestReadme runs the transcripts of README.md that are marked as tested, and compares the output.
// "echo $?" prints the exit status of the command before it. With UPDATE=1, the test writes the
// output of the commands into README.md.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	script := new(txtar.Archive)
	for _, file := range namedFile.FindAllStringSubmatch(string(page), -1) {
		script.Files = append(script.Files, txtar.File{Name: file[1], Data: []byte(file[2])})
	}
	var steps []shownCommand
	for _, one := range transcript.FindAllStringSubmatch(string(page), -1) {
		steps = append(steps, readTranscript(one[1])...)
	}
	for i, step := range steps {
		script.Comment = append(script.Comment, "step "+strconv.Itoa(i)...)
		if step.command != "echo $?" {
			script.Comment = append(script.Comment, " "+step.command...)
		}
		script.Comment = append(script.Comment, '\n')
	}
	file := filepath.Join(t.TempDir(), "readme.txtar")
	if err := os.WriteFile(file, txtar.Format(script), 0o600); err != nil {
		t.Fatal(err)
	}
	update := os.Getenv("UPDATE") != ""
	if update {
		// Package testing calls writeOutputs when the test ends. By then, the commands have run,
		// and their outputs are known.
		t.Cleanup(func() { writeOutputs(t, page, steps) })
	}
	last := ""
	testscript.Run(t, testscript.Params{
		Files: []string{file},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"step": func(ts *testscript.TestScript, _ bool, args []string) {
				i, err := strconv.Atoi(args[0])
				ts.Check(err)
				got := last + "\n"
				if len(args) > 1 {
					got, last = runProgram(ts, args[1:])
				}
				switch {
				case update:
					steps[i].output = got
				case got != steps[i].output:
					ts.Fatalf("%s prints\n%s\nREADME.md shows\n%s",
						steps[i].command, got, steps[i].output)
				}
			},
		},
	})
}

// writeOutputs writes the outputs of the commands into README.md. oldReadme is the text of
// README.md before that.
func writeOutputs(t *testing.T, oldReadme []byte, steps []shownCommand) {
	text := transcript.ReplaceAllStringFunc(string(oldReadme), func(block string) string {
		var b strings.Builder
		b.WriteString("<!-- tested -->\n```console\n")
		for range readTranscript(block) {
			b.WriteString("$ " + steps[0].command + "\n" + steps[0].output)
			steps = steps[1:]
		}
		return b.String() + "```\n"
	})
	if err := os.WriteFile("README.md", []byte(text), 0o600); err != nil {
		t.Error(err)
	}
}

// runProgram runs a program. It returns the exit status and the output, as a terminal shows it. A
// test issuer has another port in each run, so runProgram replaces the port by a fixed one.
func runProgram(ts *testscript.TestScript, command []string) (output, status string) {
	code := 0
	if err := ts.Exec(command[0], command[1:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	output = ts.ReadFile("stdout") + ts.ReadFile("stderr")
	return loopbackPort.ReplaceAllString(output, "127.0.0.1:8100"), strconv.Itoa(code)
}
