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

// nodeScripts contains the path of a folder with the Node.js programs of testdata and the npm
// packages that they import. The folder is outside of the repository, because some tests read every
// folder of the repository.
var nodeScripts struct {
	sync.Once
	folder string
	err    error
}

func TestMain(m *testing.M) {
	// the tests cause many refusals on purpose, and xenaauth logs each of them; TestMain discards
	// the log, so that these records do not hide the failures of tests
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	if nodeScripts.folder != "" {
		_ = os.RemoveAll(nodeScripts.folder)
	}
	os.Exit(code)
}

// installScripts returns the folder with the Node.js programs. If node or npm is missing, or if npm
// cannot fetch the packages, the test is skipped. In CI the test fails instead.
func installScripts(t *testing.T) string {
	t.Helper()
	nodeScripts.Do(func() {
		for _, program := range []string{"node", "npm"} {
			if _, nodeScripts.err = exec.LookPath(program); nodeScripts.err != nil {
				return
			}
		}
		if nodeScripts.folder, nodeScripts.err = os.MkdirTemp("", "oidcprovider"); nodeScripts.err != nil {
			return
		}
		if nodeScripts.err = os.CopyFS(nodeScripts.folder, os.DirFS("testdata")); nodeScripts.err != nil {
			return
		}
		// The lock file contains the hash of each npm package, so npm installs no other content.
		// npm runs no script of a package.
		npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
		npm.Dir = nodeScripts.folder
		if out, err := npm.CombinedOutput(); err != nil {
			nodeScripts.err = fmt.Errorf("npm ci: %w\n%s", err, out)
		}
	})
	if nodeScripts.err != nil && os.Getenv("CI") != "" {
		t.Fatalf("CI has to run these tests: %v", nodeScripts.err)
	}
	if nodeScripts.err != nil {
		t.Skip(nodeScripts.err)
	}
	return nodeScripts.folder
}

// nodeCommand returns a command that runs a program in Node.js. The program gets settings as JSON
// in its command line. authority is the path of a file that contains the certificate of an
// authority; the program trusts the certificates that this authority has signed.
func nodeCommand(t *testing.T, script, authority string, settings map[string]any) *exec.Cmd {
	t.Helper()
	folder := installScripts(t)
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(folder, script), string(text))
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+authority, "NODE_NO_WARNINGS=1")
	return cmd
}

// startIssuer starts the issuer, a program that uses oidc-provider, and returns its URL. The issuer
// sends logout tokens to logoutURL.
func startIssuer(t *testing.T, logoutURL string) string {
	t.Helper()
	f := writeCertificates(t)
	cmd := nodeCommand(t, "issuer.mjs", f.authority, map[string]any{
		"key": f.key, "certificate": f.certificate, "secret": secret, "logout": logoutURL,
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
func runClient(t *testing.T, settings map[string]any) (r clientResults) {
	t.Helper()
	cmd := nodeCommand(t, "client.mjs", writeCertificates(t).authority, settings)
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
