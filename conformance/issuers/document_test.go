package issuers_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var updateIssuers = flag.Bool("update-issuers", false, "write the tables of docs/issuers.md anew")

// TestIssuersDocument compares the tables in docs/issuers.md with the recorded tokens. One line of
// the table of products shows the configuration for a product twice, as Go fields and as
// environment variables. Both must mean the same configuration.
func TestIssuersDocument(t *testing.T) {
	const file = "../../docs/issuers.md"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	document := string(text)
	document = replaceTable(t, document, "products", productTable(t))
	document = replaceTable(t, document, "unprotected", unprotectedTable(t))
	if *updateIssuers {
		require.NoError(t, os.WriteFile(file, []byte(document), 0o644))
		return
	}
	require.Equal(t, document, string(text), "go test -run TestIssuersDocument -update-issuers ./conformance/issuers writes the tables")
}

// replaceTable replaces a table in the text of docs/issuers.md and returns the new text. In this
// text, two HTML comments with the given name enclose the table.
func replaceTable(t *testing.T, document, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(document, begin)
	require.True(t, ok, begin)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, end)
	return before + begin + table + end + after
}

func productTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Product | `Issuer` | Defaults | Go: fields of `Config` | Environment | Tested | Remarks |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- |\n")
	issuer := harness.NewIssuer()
	for _, p := range readProducts(t) {
		var variables []string
		for name, value := range p.Settings {
			variables = append(variables, "`"+name+"="+value+"`")
		}
		slices.Sort(variables)
		settings := p.settingsInGo(t, issuer)
		if len(variables) == 0 {
			variables, settings = []string{"none"}, []string{"none"}
		}
		note := p.Note
		if note != "" && !strings.HasSuffix(note, ".") {
			note += "."
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s | %s |\n", p.Product, p.Issuer, p.defaultResults(),
			strings.Join(settings, "<br>"), strings.Join(variables, "<br>"), p.Tested, note)
	}
	return b.String()
}

// product.defaultResults returns a text for a table in docs/issuers.md. The text says what the
// default configuration does with the access tokens of the product: it accepts them or refuses them
// with 401.
func (p product) defaultResults() string {
	var results []string
	for _, token := range p.Tokens {
		result := token.Defaults
		if result != accepted {
			result = "401 `" + result + "`"
		}
		if token.Kind == "access token" && !slices.Contains(results, result) {
			results = append(results, result)
		}
	}
	return strings.Join(results, ", ")
}

// product.settingsInGo returns the settings of the product as lines of Go source for a table in
// docs/issuers.md. Each line sets one field of Config. The field product.Settings contains the same
// settings as environment variables.
func (p product) settingsInGo(t *testing.T, issuer *xenaauthtest.Issuer) []string {
	t.Helper()
	harness.ClearEnv(t)
	for name, value := range p.Settings {
		t.Setenv(name, value)
	}
	cfg, err := xenaauth.ConfigFromEnv()
	require.NoError(t, err)
	var fields []string
	v := reflect.ValueOf(cfg)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			fields = append(fields, "`"+v.Type().Field(i).Name+": "+inGo(t, v.Field(i).Interface())+"`")
		}
	}
	return fields
}

func inGo(t *testing.T, value any) string {
	t.Helper()
	switch value := value.(type) {
	case bool, string, []string:
		return fmt.Sprintf("%#v", value)
	case time.Duration:
		require.Zero(t, value%time.Hour)
		return fmt.Sprintf("%d * time.Hour", value/time.Hour)
	case xenaauth.Profile:
		require.Equal(t, xenaauth.ProfileRFC9068, value)
		return "xenaauth.ProfileRFC9068"
	}
	t.Fatalf("%T", value)
	return ""
}

func unprotectedTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Product | Token | What protects, and what doesn't |\n| --- | --- | --- |\n")
	for _, p := range readProducts(t) {
		for _, token := range p.Tokens {
			if token.Unprotected != "" {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", p.Product, token.Name, token.Unprotected)
			}
		}
	}
	return b.String()
}
