package harness

import (
	"os"
	"strings"
	"testing"
)

// ClearEnv empties all variables that ConfigFromEnv reads until the test ends.
func ClearEnv(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "XENA_") {
			t.Setenv(name, "")
		}
	}
}
