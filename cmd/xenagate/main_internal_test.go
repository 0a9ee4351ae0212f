package main

import (
	"io"
	"strings"
	"testing"
)

// TestVersion calls command, so the test binary contains the whole program. Other tests run a
// program that TestMain builds, which the Go command does not know. Without this test, "go test"
// would return cached results after a change of the program.
func TestVersion(t *testing.T) {
	var out strings.Builder
	if status := command([]string{"-version"}, &out, io.Discard); status != 0 || !strings.HasPrefix(out.String(), "xenagate ") {
		t.Errorf("%d, %q", status, out.String())
	}
}
