package main

import (
	"io"
	"strings"
	"testing"
)

// TestVersion makes the test binary depend on every file of the program, because it calls
// runCommandLine. The other tests run the program that TestMain builds, and the go command does not
// know of this dependency. Without TestVersion, "go test" would return old results from its cache
// after a change of the program.
func TestVersion(t *testing.T) {
	var out strings.Builder
	if status := runCommandLine([]string{"-version"}, &out, io.Discard); status != 0 || !strings.HasPrefix(out.String(), "xenagate ") {
		t.Errorf("%d, %q", status, out.String())
	}
}
