package xenaauth_test

import (
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

// homes is which folder alone may import a dependency; replacing one is a change to that folder.
var homes = map[string]string{
	"github.com/lestrrat-go/jwx":    "internal/jose",
	"github.com/patrickmn/go-cache": "internal/factcache",
	"github.com/sony/gobreaker":     "internal/upstream",
	"golang.org/x/sync":             ".",
	"github.com/stretchr/testify":   "conformance/harness",
}

// leafImports is what the leaves may import of each other. They may never import the root.
var leafImports = map[string][]string{
	"internal/jose":   {"internal/claims"},
	"internal/target": {"internal/fieldname"},
}

// gatewayImports is what the packages of the gateway wing may import of this module. They may import
// nothing else but the standard library. The root and internal packages import none of them.
var gatewayImports = map[string][]string{
	"gateway/routes":      {"", "internal/target"},
	"gateway/identity":    {"", "internal/fieldname", "internal/jose"},
	"gateway/forwardauth": {"", "gateway/identity", "gateway/routes", "internal/target"},
}

func TestArrowsPointDown(t *testing.T) {
	const module = "github.com/xenaauth/xenaauth"
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." {
				if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") {
					return filepath.SkipDir // another module
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

func checkImport(t *testing.T, name, dir, imported, module string) {
	leaf := strings.HasPrefix(dir, "internal/")
	if leaf && (imported == "net/http" || imported == "log/slog" || imported == "net/url") {
		t.Errorf("%s imports %s: leaves know no HTTP and no logging", name, imported)
	}
	if strings.HasPrefix(imported, module+"/conformance/") {
		t.Errorf("%s imports %s: only tests may", name, imported)
	}
	if !strings.Contains(strings.Split(imported, "/")[0], ".") {
		return // the standard library
	}
	if strings.HasPrefix(dir, "gateway/") {
		ours, ok := strings.CutPrefix(imported+"/", module+"/")
		if !ok || !slices.Contains(gatewayImports[dir], strings.TrimSuffix(ours, "/")) {
			t.Errorf("%s imports %s: a gateway uses the public surface of the root", name, imported)
		}
		return
	}
	if imported == module || strings.HasPrefix(imported, module+"/") {
		if strings.HasPrefix(imported, module+"/gateway/") && (dir == "." || leaf) {
			t.Errorf("%s imports %s: arrows point down only", name, imported)
		}
		if !leaf {
			return
		}
		for _, allowed := range leafImports[dir] {
			if imported == module+"/"+allowed {
				return
			}
		}
		t.Errorf("%s imports %s: arrows point down only", name, imported)
		return
	}
	for prefix, home := range homes {
		if strings.HasPrefix(imported, prefix+"/") || imported == prefix {
			if dir != home {
				t.Errorf("%s imports %s: only %s may", name, imported, home)
			}
			return
		}
	}
	t.Errorf("%s imports %s, which is no dependency of this module", name, imported)
}

// TestNoForeignTypeIsPublic reads the golden copies of the public surfaces, which CI compares with the
// packages. None may show a type of an internal package or of a dependency that can be replaced.
func TestNoForeignTypeIsPublic(t *testing.T) {
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
			for _, foreign := range foreignTypes {
				if isCode && strings.Contains(code, foreign) {
					t.Errorf("%s:%d shows %s: %s", name, n+1, foreign, line)
				}
			}
		}
		return nil
	})
	if err != nil || surfaces < 10 {
		t.Errorf("%d files: %v", surfaces, err)
	}
}

// foreignTypes are the prefixes of types that no public surface may show.
var foreignTypes = []string{
	"jwk.", "jws.", "jwt.", "gocache.", "cache.Cache", "singleflight.", "gobreaker.", // dependencies
	"bearer.", "claims.", "factcache.", "jose.", "refresh.", "revocations.", "target.", "upstream.", // internal
}

// The walk in CONTRIBUTING.md names methods and the files that declare them. TestWalkOfATokenExists
// keeps it true.
func TestWalkOfATokenExists(t *testing.T) {
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
