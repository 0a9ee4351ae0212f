package main

import (
	"io"
	"strings"
	"testing"
)

// TestVersion calls command itself, so the whole program is a part of the test binary. The other
// tests start the program that they have built, and of that the Go command knows nothing: without
// this test, it would take their results from its cache after a change of the program.
func TestVersion(t *testing.T) {
	var out strings.Builder
	if status := command([]string{"-version"}, &out, io.Discard); status != 0 || !strings.HasPrefix(out.String(), "xenagate ") {
		t.Errorf("%d, %q", status, out.String())
	}
}
