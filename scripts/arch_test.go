package scripts_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importFolders contains, for each dependency, the only folder that may import it. So a dependency
// can be replaced by changing only this folder.
var importFolders = map[string]string{
	"github.com/lestrrat-go/jwx":    "internal/jose",
	"github.com/patrickmn/go-cache": "internal/factcache",
	"github.com/sony/gobreaker":     "internal/breaker",
	"golang.org/x/sync":             ".",
	"github.com/stretchr/testify":   "conformance/harness",
}

// internalImports lists, for each internal package, which packages of this module it may import. A
// package that is not in the list may import none. None of them may import the root package.
var internalImports = map[string][]string{
	"internal/jose":     {"internal/claims"},
	"internal/rpcerror": {"internal/bearer"},
	"internal/target":   {"internal/fieldname"},
}

// gatewayImports lists, for each package of the gateway, which packages of this module it may
// import. Apart from these packages, a package of the gateway may import only the standard library.
// The root package and the internal packages must not import the gateway.
var gatewayImports = map[string][]string{
	"gateway/routes":      {"", "internal/target"},
	"gateway/identity":    {"", "internal/fieldname", "internal/jose"},
	"gateway/forwardauth": {"", "gateway/identity", "gateway/routes", "internal/peers", "internal/target"},
}

// TestImports checks the imports of all packages of this module, except those of test files.
func TestImports(t *testing.T) {
	t.Chdir("..")
	const module = "github.com/xenaauth/xenaauth"
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." {
				if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") {
					return filepath.SkipDir // this folder belongs to another module
				}
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(name))
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			checkImport(t, name, dir, imported, module)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkImport checks one import of a Go file. fileName is the path of the file, and folder is its
// folder.
func checkImport(t *testing.T, fileName, folder, imported, module string) {
	internal := strings.HasPrefix(folder, "internal/")
	if internal && (imported == "net/http" || imported == "log/slog" || imported == "net/url") {
		t.Errorf("%s imports %s: an internal package uses neither HTTP nor logging", fileName, imported)
	}
	if strings.HasPrefix(imported, module+"/conformance/") {
		t.Errorf("%s imports %s: only tests may import it", fileName, imported)
	}
	if !strings.Contains(strings.Split(imported, "/")[0], ".") {
		return // packages of the standard library are always allowed
	}
	if strings.HasPrefix(folder, "gateway/") {
		ours, ok := strings.CutPrefix(imported+"/", module+"/")
		if !ok || !slices.Contains(gatewayImports[folder], strings.TrimSuffix(ours, "/")) {
			t.Errorf("%s imports %s: gatewayImports does not list it", fileName, imported)
		}
		return
	}
	if (folder == "." || internal) && (imported == module+"/dpop" || imported == module+"/mtls") {
		t.Errorf("%s imports %s: proofs of possession are plugged into the root", fileName, imported)
	}
	if imported == module || strings.HasPrefix(imported, module+"/") {
		if strings.HasPrefix(imported, module+"/gateway/") && (folder == "." || internal) {
			t.Errorf("%s imports %s: the gateway wing imports the root, and not the other way round", fileName, imported)
		}
		if !internal {
			return
		}
		for _, allowed := range internalImports[folder] {
			if imported == module+"/"+allowed {
				return
			}
		}
		t.Errorf("%s imports %s: internalImports does not list it", fileName, imported)
		return
	}
	for prefix, home := range importFolders {
		if strings.HasPrefix(imported, prefix+"/") || imported == prefix {
			if folder != home {
				t.Errorf("%s imports %s: only %s may import it", fileName, imported, home)
			}
			return
		}
	}
	t.Errorf("%s imports %s, but importFolders has no folder for this dependency", fileName, imported)
}

// TestNoForeignTypeIsPublic checks that no public API contains a type of a dependency in
// dependencyTypes, or of an internal package of this module. It reads docs/api; CI checks that
// docs/api describes the packages as they are.
func TestNoForeignTypeIsPublic(t *testing.T) {
	t.Chdir("..")
	foreignTypes := regexp.MustCompile(`\b(` + strings.Join(append(internalTypes(t), dependencyTypes...), "|") + `)`)
	surfaces := 0
	err := filepath.WalkDir("docs/api", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		surfaces++
		surface, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for n, line := range strings.Split(string(surface), "\n") {
			code, _, _ := strings.Cut(line, "//")
			isCode := strings.HasPrefix(line, "func ") || strings.HasPrefix(line, "type ") || strings.HasPrefix(line, "\t")
			if foreign := foreignTypes.FindString(code); isCode && foreign != "" {
				t.Errorf("%s:%d shows %s: %s", name, n+1, foreign, line)
			}
		}
		return nil
	})
	if err != nil || surfaces < 10 {
		t.Errorf("%d files: %v", surfaces, err)
	}
}

// dependencyTypes contains the beginnings of the names of types from other modules, on which this
// module depends. They are parts of a regular expression.
var dependencyTypes = []string{
	`jwk\.`, `jws\.`, `jwt\.`, `gocache\.`, `cache\.Cache`, `singleflight\.`, `gobreaker\.`,
}

// internalTypes returns regular expressions that find types from the internal packages of this
// module. The name of such a type begins with its package and a dot, for example "jose.Token". So
// each expression matches one package name and the dot. Each folder of internal/ is a package.
func internalTypes(t *testing.T) (names []string) {
	t.Helper()
	folders, err := os.ReadDir("internal")
	if err != nil || len(folders) < 10 {
		t.Fatalf("%d folders in internal/: %v", len(folders), err)
	}
	for _, folder := range folders {
		names = append(names, regexp.QuoteMeta(folder.Name()+"."))
	}
	return names
}

// CONTRIBUTING.md lists the methods that check a token, one after the other, and their files.
// TestWalkOfATokenExists requires that each method is in its file.
func TestWalkOfATokenExists(t *testing.T) {
	t.Chdir("..")
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, walk, _ := strings.Cut(string(text), "## A token's way through Validate\n")
	walk, _, _ = strings.Cut(walk, "\n## ")
	steps := regexp.MustCompile("`(\\w+)\\.(\\w+)` \\((\\w+\\.go)\\)").FindAllStringSubmatch(walk, -1)
	if len(steps) < 6 {
		t.Fatalf("the walk names %d methods", len(steps))
	}
	for _, step := range steps {
		source, err := os.ReadFile(step[3])
		if err != nil {
			t.Error(err)
			continue
		}
		method := regexp.MustCompile(`(?m)^func \(\w+ \*` + step[1] + `\) ` + step[2] + `\(`)
		if !method.Match(source) {
			t.Errorf("%s has no method %s.%s", step[3], step[1], step[2])
		}
	}
}

// These constants limit the number of entries in the root folder, the number of exported names in
// the root package, and the number of lines in a Go file, so that all of them stay short enough to
// read.
const (
	maxRootEntries = 60
	// maxRootExported is the largest number of exported types and functions in the root package;
	// methods are not counted
	maxRootExported = 36
	maxFileLines    = 400
)

// formNames contains names that a package must not have, because they do not say what the package
// is about.
var formNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared"}

func TestRootFolderIsShort(t *testing.T) {
	t.Chdir("..")
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".out") {
			shown = append(shown, name)
		}
	}
	if len(shown) > maxRootEntries {
		t.Errorf("the root folder shows %d entries, the bound is %d: %s", len(shown), maxRootEntries, strings.Join(shown, " "))
	}
}

func TestRootExportsFewNames(t *testing.T) {
	t.Chdir("..")
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var exported []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil && decl.Name.IsExported() {
					exported = append(exported, decl.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if spec, ok := spec.(*ast.TypeSpec); ok && spec.Name.IsExported() {
						exported = append(exported, spec.Name.Name)
					}
				}
			}
		}
	}
	if len(exported) > maxRootExported {
		slices.Sort(exported)
		t.Errorf("the root exports %d types and functions, the bound is %d: %s",
			len(exported), maxRootExported, strings.Join(exported, " "))
	}
}

// TestFilesAreShort checks the lengths of the Go files of all modules, and the names of their
// folders.
func TestFilesAreShort(t *testing.T) {
	t.Chdir("..")
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(formNames, d.Name()):
			t.Errorf("%s: the name of a package says what it is about", name)
			return nil
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		if n := bytes.Count(text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, the bound is %d", name, n, maxFileLines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("found %d Go files, want at least 100", files)
	}
}

// TestConformanceUsesThePublicSurface checks the imports of the conformance tests: they may use
// only packages that a user of the module can import. It also requires that only the folder harness
// has files that are not tests.
func TestConformanceUsesThePublicSurface(t *testing.T) {
	t.Chdir("..")
	files, err := filepath.Glob("conformance/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Errorf("found %d files in conformance/, want at least 50", len(files))
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if strings.Contains(spec.Path.Value, "/internal/") {
				t.Errorf("%s imports %s: black-box tests use public packages only", name, spec.Path.Value)
			}
		}
		inHarness := strings.HasPrefix(filepath.ToSlash(name), "conformance/harness/")
		if !inHarness && !strings.HasSuffix(name, "_test.go") && filepath.Base(name) != "doc.go" {
			t.Errorf("%s is no test: conformance/ holds tests, and conformance/harness what they share", name)
		}
	}
}
