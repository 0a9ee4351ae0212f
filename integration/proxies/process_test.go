package proxies

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// freeAddr returns a loopback address on which no program listens. Its port is outside the range
// that the system uses for outgoing connections, so that no connection of the tests can take the
// port first.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(17000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// outputBuffer collects what a process prints.
type outputBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *outputBuffer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *outputBuffer) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// A process is a running program that a test has started.
type process struct {
	cmd   *exec.Cmd
	out   *outputBuffer
	ended chan struct{}
}

// startProcess starts a program and waits until it listens on addr. At the end of the test, the
// program is killed.
func startProcess(t *testing.T, dir, addr, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), out: new(outputBuffer), ended: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			text := p.out.String()
			t.Logf("%s wrote:\n%s", program, text[max(0, len(text)-4000):])
		}
	})
	waitUntil(t, program+" listens", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s has ended:\n%s", program, p.out)
		default:
		}
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
	return p
}

// process.kill ends the process and its children, and waits until the process has ended.
func (p *process) kill() {
	select {
	// after the end of the process, another process may have got its id, so no signal may be sent
	// to this id
	case <-p.ended:
		return
	default:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// tempDir returns a directory that the worker processes of nginx can read, although they do not run
// as root.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// waitUntil calls checkCondition repeatedly until it returns true. If that takes too long, the test
// fails.
func waitUntil(t *testing.T, what string, checkCondition func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !checkCondition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 2 minutes: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// readSample returns the text of a file in cmd/xenagate/deploy, after it has replaced some parts.
// The parameter replacements contains pairs of an old and a new text. The file must contain every
// old text.
func readSample(t *testing.T, name string, replacements ...string) string {
	t.Helper()
	data, err := os.ReadFile("../../cmd/xenagate/deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			t.Fatalf("%s has no %q", name, replacements[i])
		}
		text = strings.ReplaceAll(text, replacements[i], replacements[i+1])
	}
	return text
}
