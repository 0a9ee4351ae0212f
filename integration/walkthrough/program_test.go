package walkthrough

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// builtProgram contains the path of the walkthrough program. The program is built once for all
// tests.
var builtProgram struct {
	once sync.Once
	path string
	err  error
}

// startProgram starts the walkthrough on a free port and returns the URL that the program prints.
// env contains additional environment variables. The program is stopped at the end of the test.
func startProgram(t *testing.T, env ...string) string {
	t.Helper()
	needProgram(t, "chromium") // without Chromium the test is skipped, so it need not start the walkthrough
	builtProgram.once.Do(func() {
		builtProgram.path = filepath.Join(tempFolder, "walkthrough-program")
		cmd := exec.Command("go", "build", "-o", builtProgram.path, ".")
		cmd.Dir = filepath.Join("..", "..", "examples", "walkthrough")
		if out, err := cmd.CombinedOutput(); err != nil {
			builtProgram.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if builtProgram.err != nil {
		t.Fatal(builtProgram.err)
	}
	cmd := exec.Command(builtProgram.path)
	cmd.Env = append(append(os.Environ(), "ADDR=127.0.0.1:0"), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(pageTimeout, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		stop.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the walkthrough wrote:\n%s", stderr.String())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url := strings.TrimSpace(lines.Text()); strings.HasPrefix(url, "http://") {
			stop.Stop()
			return url
		}
	}
	_ = cmd.Wait()
	t.Fatalf("the walkthrough ended:\n%s", stderr.String())
	return ""
}
