package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaryPath is the path of the program xenagate. The tests build the program once. If the tests
// run with the race detector, the program is built with the race detector too.
var binaryPath string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "xenagate")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binaryPath = filepath.Join(dir, "xenagate")
	args := []string{"build", "-o", binaryPath}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		fmt.Printf("%s", out)
		return 1
	}
	return m.Run()
}

// A process is a running xenagate, which a test has started.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	dir    string
	output programOutput
	exited chan struct{}

	addrMu sync.Mutex
	// addrs maps the name of a listener to its address
	addrs map[string]string

	secrets []string // the output of xenagate must not contain these texts
}

// A programOutput keeps the output of the program xenagate. A test can read it while the program
// writes.
type programOutput struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *programOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *programOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// startGateway writes files into a new folder and runs xenagate with the configuration config. In
// config, {dir} stands for the path of this folder.
func startGateway(t testing.TB, config string, files map[string]string) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir()}
	for name, content := range files {
		p.write(name, content)
	}
	p.write("xenagate.yaml", config)
	return startGatewayIn(t, p.dir)
}

// process.restart ends xenagate and starts it again with the same files. It returns the new process.
func (p *process) restart() *process {
	p.t.Helper()
	p.signal(syscall.SIGINT)
	<-p.exited
	return startGatewayIn(p.t, p.dir)
}

// startGatewayIn runs xenagate with the file xenagate.yaml in the folder dir.
func startGatewayIn(t testing.TB, dir string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, exited: make(chan struct{}), addrs: make(map[string]string)}
	config, err := os.ReadFile(filepath.Join(dir, "xenagate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binaryPath, "-config", filepath.Join(p.dir, "xenagate.yaml"))
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.output
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wanted := 0
	for _, key := range []string{"\nlisten:", "\nforward_auth:", "\next_authz:", "\nadmin:"} {
		wanted += strings.Count("\n"+string(config), key)
	}
	ready := make(chan struct{})
	go func() {
		defer close(p.exited)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			_, _ = p.output.Write(append(lines.Bytes(), '\n'))
			if wanted > 0 && p.listening(lines.Bytes()) == wanted {
				wanted = 0
				close(ready)
			}
		}
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.end)
	select {
	case <-ready:
	case <-p.exited:
		t.Fatalf("xenagate didn't start:\n%s", p.output.String())
	case <-time.After(maxWait):
		t.Fatalf("xenagate doesn't listen:\n%s", p.output.String())
	}
	return p
}

func (p *process) listening(line []byte) int {
	var l struct{ Msg, Door, Address string }
	p.addrMu.Lock()
	defer p.addrMu.Unlock()
	if json.Unmarshal(line, &l) == nil && l.Msg == "listening" {
		p.addrs[l.Door] = l.Address
	}
	return len(p.addrs)
}

func (p *process) write(name, content string) {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	if err := os.WriteFile(file+".new", []byte(strings.ReplaceAll(content, "{dir}", p.dir)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) addr(listener string) string {
	p.addrMu.Lock()
	defer p.addrMu.Unlock()
	return p.addrs[listener]
}

func (p *process) url(listener, path string) string { return "http://" + p.addr(listener) + path }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// process.end stops xenagate if it is still running, and checks its output.
func (p *process) end() {
	select {
	case <-p.exited:
	default:
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-p.exited:
		case <-time.After(maxWait):
			_ = p.cmd.Process.Kill()
			p.t.Error("xenagate doesn't end")
		}
	}
	written := p.output.String()
	for _, bad := range []string{"DATA RACE", "goroutine ", "panic"} {
		if strings.Contains(written, bad) {
			p.t.Errorf("xenagate wrote %q:\n%s", bad, written)
		}
	}
	for _, s := range p.secrets {
		if strings.Contains(written, s) {
			p.t.Errorf("xenagate wrote the secret %s…", s[:8])
		}
	}
	if p.t.Failed() {
		p.t.Logf("xenagate wrote:\n%s", written)
	}
}

// process.neverShow registers a text, for example a token, that the output of xenagate must not
// contain. It returns the text.
func (p *process) neverShow(s string) string {
	p.secrets = append(p.secrets, s)
	if parts := strings.Split(s, "."); len(parts) == 3 {
		p.secrets = append(p.secrets, parts[1], parts[2])
	}
	return s
}

// process.waitForLog waits until the log has a line that contains every string in words.
func (p *process) waitForLog(words ...string) {
	p.t.Helper()
	eventually(p.t, "a line with "+strings.Join(words, ", "), func() bool { return p.lines(words...) > 0 })
}

func (p *process) lines(words ...string) (n int) {
next:
	for line := range strings.Lines(p.output.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		n++
	}
	return n
}

// maxWait is how long a test waits for an event that must happen. This time is long because the
// machine may be busy.
const maxWait = 2 * time.Minute

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(maxWait); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
