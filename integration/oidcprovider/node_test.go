package oidcprovider_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The variable scripts contains the path of a folder with the Node.js programs of testdata and the
// npm packages that they import. The folder is outside of the repository, because some tests read
// every folder of the repository.
var scripts struct {
	sync.Once
	folder string
	err    error
}

func TestMain(m *testing.M) {
	// the log is discarded, because xenaauth logs the refusals that the tests cause
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	if scripts.folder != "" {
		_ = os.RemoveAll(scripts.folder)
	}
	os.Exit(code)
}

// The function install returns the folder with the Node.js programs. If node or npm is missing, or
// if npm cannot fetch the packages, the test is skipped. In CI the test fails instead.
func install(t *testing.T) string {
	t.Helper()
	scripts.Do(func() {
		for _, program := range []string{"node", "npm"} {
			if _, scripts.err = exec.LookPath(program); scripts.err != nil {
				return
			}
		}
		if scripts.folder, scripts.err = os.MkdirTemp("", "oidcprovider"); scripts.err != nil {
			return
		}
		if scripts.err = os.CopyFS(scripts.folder, os.DirFS("testdata")); scripts.err != nil {
			return
		}
		// The lock file contains the hash of each npm package, so npm installs no other content.
		// npm runs no script of a package.
		npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
		npm.Dir = scripts.folder
		if out, err := npm.CombinedOutput(); err != nil {
			scripts.err = fmt.Errorf("npm ci: %w\n%s", err, out)
		}
	})
	if scripts.err != nil && os.Getenv("CI") != "" {
		t.Fatalf("CI has to run these tests: %v", scripts.err)
	}
	if scripts.err != nil {
		t.Skip(scripts.err)
	}
	return scripts.folder
}

// The function node returns a command that runs a program in Node.js. The program gets settings.
// authority is the path of a file with the certificate of an authority, which has signed the
// certificates that the program trusts.
func node(t *testing.T, script, authority string, settings map[string]any) *exec.Cmd {
	t.Helper()
	folder := install(t)
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(folder, script), string(text))
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+authority, "NODE_NO_WARNINGS=1")
	return cmd
}

// startIssuer starts the issuer, a program that uses oidc-provider, and returns its URL. The issuer
// sends logout tokens to the URL in the parameter logout.
func startIssuer(t *testing.T, logout string) string {
	t.Helper()
	f := files(t)
	cmd := node(t, "issuer.mjs", f.authority, map[string]any{
		"key": f.key, "certificate": f.certificate, "secret": secret, "logout": logout,
	})
	input, err := cmd.StdinPipe() // the issuer ends when this pipe is closed
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errors lockedBuffer
	cmd.Stderr = &errors
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the issuer said: %s", errors.String())
		}
	})
	lines := bufio.NewReader(output)
	port, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the issuer did not start: %v\n%s", err, errors.String())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return "https://127.0.0.1:" + strings.TrimSpace(port)
}

// runClient runs the program client.mjs until it ends, and returns what it printed.
func runClient(t *testing.T, settings map[string]any) (r results) {
	t.Helper()
	cmd := node(t, "client.mjs", files(t).authority, settings)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the client failed: %v\n%s", err, errors.String())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
