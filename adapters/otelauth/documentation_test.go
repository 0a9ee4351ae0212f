package otelauth_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	attributeName  = regexp.MustCompile(`attribute\.Key\("([^"]+)"\)`)
	instrumentName = regexp.MustCompile(`(?:gauge|Gauge|Counter|Histogram)\("([^"]+)"`)
)

// The documentation of package otelauth must name every OpenTelemetry attribute and every metric
// that the package makes.
func TestDocumentationIsComplete(t *testing.T) {
	var code strings.Builder
	for _, name := range []string{"otelauth.go", "attributes.go", "status.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		code.Write(text)
	}
	documentation, _, _ := strings.Cut(code.String(), "\npackage otelauth")
	attributes := attributeName.FindAllStringSubmatch(code.String(), -1)
	instruments := instrumentName.FindAllStringSubmatch(code.String(), -1)
	require.Len(t, attributes, 12)
	require.Len(t, instruments, 13)
	for _, found := range attributes {
		require.Regexp(t, `(?m)^//\t`+regexp.QuoteMeta(found[1])+` `, documentation)
	}
	for _, found := range instruments {
		require.Regexp(t, `(?m)^//   - .*`+regexp.QuoteMeta(found[1])+`\b`, documentation)
	}
}
