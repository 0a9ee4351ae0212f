package docs_test

import (
	"go/ast"
	"go/build"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The Go snippets of the README that use only this module must compile. The test checks a complete
// program on its own. It puts all other snippets into one file, adds the declarations that the
// snippets leave out, and checks the types. A snippet of functions must also be in
// readme_example_test.go, where TestFiscalSetup runs it. The snippets for frameworks are examples in
// the modules of the adapters. The test needs no C compiler and leaves no file behind.
func TestReadmeSnippetsCompile(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("CC", "no-c-compiler")
	usesCgo := build.Default.CgoEnabled // with cgo, the check of the types would run the C compiler
	build.Default.CgoEnabled = false
	t.Cleanup(func() { build.Default.CgoEnabled = usesCgo })
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	tested, err := os.ReadFile("readme_example_test.go")
	require.NoError(t, err)
	var functions, statements string
	n := 0
	for i, block := range strings.Split(string(text), "```") {
		code, isGo := strings.CutPrefix(block, "go\n")
		if i%2 == 0 || !isGo {
			continue
		}
		if adapters := []string{"chi.", "*gin.", "echo.", "grpc.", "connect.", "ginauthtest.", "grpcauth.", "connectauth."}; containsAny(code, adapters) {
			continue
		}
		n++
		if strings.HasPrefix(code, "package ") {
			requireCompiles(t, code)
			continue
		}
		if strings.HasPrefix(code, "func ") {
			require.Contains(t, string(tested), code)
			functions += code
			continue
		}
		statements += code
	}
	require.GreaterOrEqual(t, n, 4)
	source := `package readme

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func main() {
	var w http.ResponseWriter
	var r *http.Request
` + statements + "}\n\n" + functions
	requireCompiles(t, source)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

// requireCompiles requires that source, the text of one Go file, has correct syntax and correct
// types.
func requireCompiles(t *testing.T, source string) {
	t.Helper()
	_, err := format.Source([]byte(source))
	require.NoError(t, err)
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "readme.go", source, 0)
	require.NoError(t, err)
	config := types.Config{Importer: importer.ForCompiler(files, "source", nil)}
	_, err = config.Check("readme", files, []*ast.File{file}, nil)
	require.NoError(t, err)
}

func containsAny(s string, of []string) bool {
	for _, one := range of {
		if strings.Contains(s, one) {
			return true
		}
	}
	return false
}
