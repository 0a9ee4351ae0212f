package walkthrough

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// axeCore contains the JavaScript source of axe-core, a program that checks pages for
// accessibility. npm installs it once for all tests.
var axeCore struct {
	once   sync.Once
	source string
	err    error
}

// axeSource returns the JavaScript source of axe-core.
func axeSource(t *testing.T) string {
	t.Helper()
	npm := needProgram(t, "npm")
	axeCore.once.Do(func() { axeCore.source, axeCore.err = installAxe(npm) })
	if axeCore.err != nil {
		t.Fatal(axeCore.err)
	}
	return axeCore.source
}

// installAxe installs axe-core into a folder outside of the repository, and returns its source.
func installAxe(npm string) (string, error) {
	dir := filepath.Join(tempFolder, "npm")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	return string(source), err
}

// A violation is a rule of axe-core that a page breaks, with the HTML elements that break it.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// page.violations returns the rules of axe-core that the page breaks. It also checks the size of
// buttons and links, which axe-core checks only on request. The debugger runs axe-core in the page,
// so the Content-Security-Policy of the page need not allow it.
func (p *page) violations() []violation {
	p.t.Helper()
	if source := axeSource(p.t); evaluate[bool](p, "!window.axe") {
		evaluate[bool](p, source+";\ntrue")
	}
	const run = `axe.run(document, {
		resultTypes: ['violations'],
		rules: {'target-size': {enabled: true}},
	}).then(r => r.violations)`
	return evaluate[[]violation](p, run)
}

// page.checkAccessible fails the test if the page breaks a rule of axe-core.
func (p *page) checkAccessible() {
	p.t.Helper()
	for _, v := range p.violations() {
		for _, n := range v.Nodes {
			p.t.Errorf("%s: %s (%s)\n%s\n%s", p.path(), v.Help, v.ID, n.HTML, n.Summary)
		}
	}
}

// TestViolationsAreFound opens a page with mistakes that make it hard to use for some people.
// axe-core must find these mistakes, although the Content-Security-Policy of the page forbids
// scripts.
func TestViolationsAreFound(t *testing.T) {
	site := serveHTML(t, `<!doctype html><html lang="en"><title>Test</title><main><h1>Test</h1>
		<p style="color: #bbb; background: #fff">pale</p><input name="q"></main>`,
		"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	p := newPage(t)
	p.open(site)
	var found []string
	for _, v := range p.violations() {
		found = append(found, v.ID)
	}
	for _, want := range []string{"color-contrast", "label"} {
		if !anyHasPrefix(found, want) {
			t.Errorf("axe-core found %q, but not %s", found, want)
		}
	}
	// The page of this test has an input field without a label. Chromium reports this mistake too,
	// and pageFaults collects the report. The report is expected here, so the test removes it from
	// the collected faults.
	p.faults.take()
}

// serveHTML serves an HTML page on the loopback interface and returns its URL. header contains
// header fields for the page: pairs of a name and a value.
func serveHTML(t *testing.T, html string, header ...string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, html)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// anyHasPrefix reports whether at least one string in texts begins with prefix.
func anyHasPrefix(texts []string, prefix string) bool {
	for _, text := range texts {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
