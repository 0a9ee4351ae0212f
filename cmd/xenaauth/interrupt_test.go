package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
)

// An endlessInput is a standard input that never ends. It closes its channel readBegan when a
// command begins to read.
type endlessInput struct {
	io.Reader
	readBegan chan struct{}
}

func (r endlessInput) Read(p []byte) (int, error) {
	close(r.readBegan)
	return r.Reader.Read(p)
}

// TestInterrupt interrupts a command that waits for standard input. The command must end.
func TestInterrupt(t *testing.T) {
	newService(t)
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	ctx, interrupt := context.WithCancel(t.Context())
	input := endlessInput{in, make(chan struct{})}
	go func() {
		<-input.readBegan
		interrupt()
	}()
	var text strings.Builder
	if status := run(ctx, []string{"explain"}, input, &text, &text); status != console.StatusUnknown || text.String() != "xenaauth: interrupted\n" {
		t.Errorf("status %d: %q", status, text.String())
	}
}

// TestEndlessFiles gives an endless file to each command that reads a file. The command must end
// nevertheless.
func TestEndlessFiles(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("this system has no /dev/zero")
	}
	s := newService(t)
	for _, args := range [][]string{
		{"explain", "--offline", "/dev/zero"}, {"explain", "-c", "/dev/zero"}, {"routes", "/dev/zero"},
		{"routes", "-c", "/dev/zero"}, {"can", "GET", "/", "-t", "/dev/zero"}, {"doctor", "-c", "/dev/zero"},
	} {
		want := console.StatusUsage
		if args[0] == "doctor" {
			want = console.StatusNo
		}
		if text, status := s.ask("", args...); status != want && args[1] != "--offline" {
			t.Errorf("%q: status %d: %s", args, status, text)
		}
		if text, status := s.ask("a.b.c", args...); status != want {
			t.Errorf("%q: status %d: %s", args, status, text)
		}
	}
}
