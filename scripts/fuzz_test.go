// Package scripts_test tests the program fuzz in this folder, and the structure of the repository.
package scripts_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFuzzScript finds each fuzz target of each module, and requires that scripts/fuzz -list prints
// exactly these targets.
func TestFuzzScript(t *testing.T) {
	t.Parallel()
	out, err := scriptCommand(t, "fuzz", "-list").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	var want []string
	top := os.DirFS("..")
	err = fs.WalkDir(top, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := fs.ReadFile(top, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(name))
		if folder != "." {
			folder = "./" + folder
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				want = append(want, folder+" "+f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("scripts/fuzz runs\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	lastLine = "fuzz: elapsed: 10s, execs: 104 (0/sec), new interesting: 1 (total: 9)\n"
	// flawOutput shows a flaw of Go before 1.27 (https://go.dev/issue/75804). A fuzz test has found
	// nothing, but go test reports it as failed, because the time of -fuzztime is over.
	flawOutput = lastLine + "--- FAIL: FuzzIntrospection (10.15s)\n    context deadline exceeded\n" + failLines
	failLines  = "FAIL\nexit status 1\nFAIL\tgithub.com/xenaauth/xenaauth\t10.17s\n"
)

// TestFuzzScriptFailsForFindingsOnly runs scripts/fuzz with a fake program named go. For each run
// of a fuzz test, the fake program prints one of the texts below, and fails if the text has a line
// FAIL.
func TestFuzzScriptFailsForFindingsOnly(t *testing.T) {
	t.Parallel()
	const passed = lastLine + "PASS\nok  \tgithub.com/xenaauth/xenaauth\t10.1s\n"
	const input = "    \n    Failing input written to testdata/fuzz/FuzzIntrospection/771e938e4458e983\n"
	failure := func(text string) string {
		return "--- FAIL: FuzzIntrospection (10.15s)\n" + text + failLines
	}
	for name, c := range map[string]struct {
		fuzztime string
		outputs  []string
		runs     int
		fails    bool
	}{
		"passes":                      {"10s", []string{passed}, 1, false},
		"the flaw, once":              {"10s", []string{flawOutput, passed}, 2, false},
		"the flaw, twice":             {"10s", []string{flawOutput, flawOutput, passed}, 3, false},
		"the flaw, three times":       {"10s", []string{flawOutput, flawOutput, flawOutput, passed}, 3, true},
		"the flaw, then a finding":    {"10s", []string{flawOutput, failure("    a_test.go:7: accepted\n" + input)}, 2, true},
		"the flaw of a longer run":    {"0h0m10.1s", []string{flawOutput, passed}, 2, false},
		"before -fuzztime has passed": {"20s", []string{flawOutput, passed}, 1, true},
		"minutes":                     {"1m", []string{flawOutput, passed}, 1, true},
		"without a time to end":       {"100x", []string{flawOutput, passed}, 1, true},
		"an input": {"10s", []string{
			failure("    --- FAIL: FuzzIntrospection (0.00s)\n        a_test.go:7: context deadline exceeded\n" + input)}, 1, true},
		"an input without a second failure": {"10s", []string{failure("    context deadline exceeded\n" + input)}, 1, true},
		"an input before it": {"10s", []string{
			"    Failing input written to testdata/fuzz/FuzzIntrospection/7\n" + flawOutput}, 1, true},
		"a seed": {"10s", []string{
			failure("    --- FAIL: FuzzIntrospection/seed#3 (0.00s)\n        a_test.go:7: accepted\n")}, 1, true},
		"a test's own deadline": {"10s", []string{failure("    a_test.go:7: context deadline exceeded\n")}, 1, true},
		"another text":          {"10s", []string{failure("    fuzzing process hung or terminated unexpectedly\n")}, 1, true},
		"more text":             {"10s", []string{failure("    context deadline exceeded\n    and more\n")}, 1, true},
		"a panic":               {"10s", []string{"panic: nil map\n" + flawOutput}, 1, true},
		"another target":        {"10s", []string{strings.Replace(flawOutput, "Introspection", "Logout", 1)}, 1, true},
		"does not compile":      {"10s", []string{"FAIL\tgithub.com/xenaauth/xenaauth [build failed]\nFAIL\n"}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			programs := t.TempDir()
			write := func(name, text string, mode fs.FileMode) {
				if err := os.WriteFile(filepath.Join(programs, name), []byte(text), mode); err != nil {
					t.Fatal(err)
				}
			}
			for i, text := range c.outputs {
				write(fmt.Sprint(i+1), text, 0o600)
			}
			write("go", "#!/usr/bin/env bash\ncd '"+programs+"'\necho >>runs\nn=$(wc -l <runs)\ncat $((n))\n! grep -q ^FAIL $((n))\n", 0o700)
			cmd := scriptCommand(t, "fuzz", "^FuzzIntrospection$")
			cmd.Env = append(os.Environ(), "FUZZTIME="+c.fuzztime, "PATH="+programs+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if failed := err != nil; failed != c.fails {
				t.Errorf("failed is %v, want %v", failed, c.fails)
			}
			runs, err := os.ReadFile(filepath.Join(programs, "runs"))
			if got := len(runs); err != nil || got != c.runs {
				t.Errorf("%d runs, want %d: %v", got, c.runs, err)
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}

// scriptCommand returns the command that runs a script of this folder with the shell bash. If the
// machine has no bash, scriptCommand skips the test, except in CI.
func scriptCommand(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("bash is not installed, and CI runs the scripts with it")
		}
		t.Skip("bash is not installed")
	}
	return exec.Command("bash", append([]string{script}, args...)...)
}
