package main

import (
	"io"
	"strings"
	"testing"
)

// TestVersion calls the function command, which uses the whole program, so that the test binary
// depends on every file of it. The other tests run a program that TestMain builds, and the go
// command does not know this dependency. Without TestVersion, "go test" would return cached results
// after a change of the program.
func TestVersion(t *testing.T) {
	var out strings.Builder
	if status := command([]string{"-version"}, &out, io.Discard); status != 0 || !strings.HasPrefix(out.String(), "xenagate ") {
		t.Errorf("%d, %q", status, out.String())
	}
}
