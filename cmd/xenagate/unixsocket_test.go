package main_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// socketConfig returns the configuration of a gateway that Envoy calls on a Unix socket.
func socketConfig(t *testing.T, socket string) string {
	t.Helper()
	return commonConfig(newIssuer(t), newService(t)) + "ext_authz: {listen: \"unix:" + socket + "\"}\n"
}

// newSocketPath returns a path for a Unix socket. Such a path must be short.
func newSocketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// wantRefusedStart runs xenagate and fails the test unless it ends with an error that contains want.
func wantRefusedStart(t *testing.T, config, want string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gate.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), maxWait)
	defer cancel()
	written, err := exec.CommandContext(ctx, binaryPath, "-config", file).CombinedOutput()
	if err == nil || ctx.Err() != nil || !strings.Contains(string(written), want) {
		t.Errorf("%v, %q is missing in\n%s", err, want, written)
	}
}

func accepts(t *testing.T, socket string) bool {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// A gateway does not start on a Unix socket that another gateway uses, and the other gateway still
// serves. If a gateway was killed, the next gateway takes the place of its socket. A gateway that
// ends in order removes the file.
func TestUnixSocketInUse(t *testing.T) {
	socket := newSocketPath(t)
	config := socketConfig(t, socket)
	killed := startGateway(t, config, nil)
	wantRefusedStart(t, config, "ext_authz.listen: another program accepts connections on this Unix socket")
	if !accepts(t, socket) {
		t.Error("the first gateway does not accept connections any more")
	}
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-killed.exited
	if _, err := os.Lstat(socket); err != nil || accepts(t, socket) {
		t.Fatalf("the killed gateway should leave a file that nobody uses: %v", err)
	}
	next := startGateway(t, config, nil)
	if !accepts(t, socket) {
		t.Error("the next gateway does not accept connections")
	}
	next.signal(syscall.SIGINT)
	<-next.exited
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the file is left after an orderly end")
	}
}

// If somebody has removed the file of the Unix socket and a second gateway has created a new one,
// the end of the first gateway leaves the new file in place.
func TestUnixSocketOfAnother(t *testing.T) {
	socket := newSocketPath(t)
	config := socketConfig(t, socket)
	first := startGateway(t, config, nil)
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	startGateway(t, config, nil)
	first.signal(syscall.SIGINT)
	<-first.exited
	if !accepts(t, socket) {
		t.Error("the end of the first gateway has removed the socket of the second")
	}
}

// The configuration gives the path of a Unix socket on which the gateway should listen. If there is
// a regular file at this path, the gateway does not start, and does not remove the file. The same
// is true for a datagram socket, to which the gateway can't connect.
func TestUnixSocketIsAnotherFile(t *testing.T) {
	socket := newSocketPath(t)
	config := socketConfig(t, socket)
	datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	wantRefusedStart(t, config, "ext_authz.listen: the gateway can't learn whether a program uses this Unix socket")
	if _, err := os.Lstat(socket); err != nil {
		t.Error(err)
	}
	_ = datagrams.Close()
	_ = os.Remove(socket)
	if err := os.WriteFile(socket, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefusedStart(t, config, "ext_authz.listen: ")
	if text, err := os.ReadFile(socket); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
}
