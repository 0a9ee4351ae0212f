package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// bench contains the processes and the addresses of the programs that are compared.
type bench struct {
	length  time.Duration
	clients int
	dir     string
	issuer  *xenaauthtest.Issuer
	started []*exec.Cmd

	// serviceAddr is the address of the service behind the proxies. bareAddr is the address of the
	// bare reverse proxy. emptyAddr is the address of a server that always responds with 200 and an
	// empty body.
	serviceAddr, bareAddr, emptyAddr string
	// endpointAddrs maps the name of an endpoint of xenagate, for example "forward_auth", to the
	// address on which xenagate listens for it
	endpointAddrs map[string]string
	tokens        []string
	// programs maps the name of each compared program to its process id
	programs map[string]int
}

func newBench(binary string, length time.Duration, clients int) (b *bench, err error) {
	b = &bench{length: length, clients: clients, endpointAddrs: make(map[string]string), programs: make(map[string]int)}
	if b.dir, err = os.MkdirTemp("", "xenagate-bench"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if binary == "" {
		binary = filepath.Join(b.dir, "xenagate")
		build := exec.Command("go", "build", "-o", binary, ".")
		build.Dir = filepath.Join("..", "cmd", "xenagate")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build in %s: %s", build.Dir, out)
		}
	}
	b.issuer = xenaauthtest.StartIssuer(nil)
	for range 16 {
		b.tokens = append(b.tokens, b.issuer.JWT(xenaauthtest.Token{Lifetime: time.Hour - time.Minute}))
	}
	if b.serviceAddr, err = b.startRole("service", ""); err != nil {
		return nil, err
	}
	if b.bareAddr, err = b.startRole("bare", "http://"+b.serviceAddr); err != nil {
		return nil, err
	}
	if b.emptyAddr, err = b.startRole("empty", ""); err != nil {
		return nil, err
	}
	return b, b.xenagate(binary)
}

// bench.startRole starts this benchmark program again, as a second process. The second process has
// the given role: it is one of the measured programs, or the service behind them. startRole returns
// the address on which the second process listens.
func (b *bench) startRole(role, target string) (addr string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(self, "-role", role, "-target", target)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := b.start(role, cmd); err != nil {
		return "", err
	}
	addr, err = bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(addr), err
}

// bench.start starts a program. The kernel ends that program when this benchmark process ends.
func (b *bench) start(name string, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.started = append(b.started, cmd)
	b.programs[name] = cmd.Process.Pid
	return nil
}

// bench.xenagate starts the program xenagate. The log of xenagate goes to a file, as it does in
// production.
func (b *bench) xenagate(binary string) error {
	config := `listen: 127.0.0.1:0
tokens: {issuer: "` + b.issuer.URL() + `", audiences: [testapi]}
upstreams: [{name: api, url: "http://` + b.serviceAddr + `"}]
admin: {listen: 127.0.0.1:0}
forward_auth:
  listen: 127.0.0.1:0
  endpoints: [{path: /verify, dialect: nginx, trusted_peers: [127.0.0.0/8]}]
ext_authz: {listen: 127.0.0.1:0}
routes:
  rules:
    - {route: GET /Api/User/FiscalSetup, scopes: [testapi]}
    - {route: GET /health, access: public}
`
	file := filepath.Join(b.dir, "xenagate.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(b.dir, "xenagate.log"))
	if err != nil {
		return err
	}
	// xenagate runs as a separate process, which has the log file open too. So the benchmark
	// process can close its own copy of the open file.
	defer func() { _ = log.Close() }()
	cmd := exec.Command(binary, "-config", file)
	cmd.Stdout, cmd.Stderr = log, os.Stderr
	if err := b.start("xenagate", cmd); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err := b.readEndpointAddrs(log.Name()); err != nil {
			return err
		}
		if len(b.endpointAddrs) == 4 {
			return nil
		}
	}
	return errors.New("xenagate doesn't listen")
}

// bench.readEndpointAddrs reads the log of xenagate. It stores the addresses on which xenagate
// listens in b.endpointAddrs.
func (b *bench) readEndpointAddrs(path string) error {
	log, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	for lines := bufio.NewScanner(io.LimitReader(log, 1<<20)); lines.Scan(); {
		var line struct{ Msg, Door, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			b.endpointAddrs[line.Door] = line.Address
		}
	}
	return nil
}

func (b *bench) close() {
	for _, cmd := range b.started {
		_ = cmd.Process.Signal(syscall.SIGINT)
	}
	for _, cmd := range b.started {
		ended := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		// the error of Wait is ignored, because it only says that a signal ended the program
		_ = cmd.Wait()
		ended.Stop()
	}
	if b.issuer != nil {
		b.issuer.Close()
	}
	_ = os.RemoveAll(b.dir)
}

// bench.processorTime returns the processor time that the running threads of a program have used.
// It returns 0 if the kernel does not report the time.
func (b *bench) processorTime(name string) time.Duration {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", b.programs[name]))
	var all time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			// the thread has ended in the meantime, so the file with its processor time no longer
			// exists
			continue
		}
		var ran, waited int64
		if _, err := fmt.Sscan(string(text), &ran, &waited); err == nil {
			all += time.Duration(ran)
		}
	}
	return all
}
