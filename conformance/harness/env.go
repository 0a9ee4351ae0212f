package harness

import (
	"os"
	"strings"
	"testing"
)

// ClearEnv makes all environment variables that ConfigFromEnv reads empty until the end of the
// test.
func ClearEnv(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "XENA_") {
			t.Setenv(name, "")
		}
	}
}
