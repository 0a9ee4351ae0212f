package walkthrough

import (
	"context"
	"log"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// pageTimeout is how long a test waits for a page. This time is long because the machines of CI are
// slow.
const pageTimeout = 2 * time.Minute

// All tests use one Chromium process. Each test opens its own pages, which have their own cookies.
var browser struct {
	once sync.Once
	ctx  context.Context
	err  error
}

// tempFolder is the folder for the files that all tests share: the walkthrough program and
// axe-core.
var tempFolder string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if tempFolder, err = os.MkdirTemp("", "walkthrough"); err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(tempFolder)
	ctx, stop := context.WithCancel(context.Background())
	browser.ctx = ctx
	code := m.Run()
	// If a test has started Chromium, startBrowser has stored another context in browser.ctx. Only
	// in this case is there a Chromium process to stop.
	if browser.ctx != ctx {
		_ = chromedp.Cancel(browser.ctx)
	}
	stop()
	return code
}

// startBrowser starts Chromium if no test has started it before. It returns the context of
// Chromium.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := needProgram(t, "chromium")
	browser.once.Do(func() {
		opts := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path),
			chromedp.DisableGPU,
			// With this flag, Chromium finds IP addresses only for localhost and 127.0.0.1. So even
			// the requests that Chromium makes for its own purposes reach no other machine.
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
			chromedp.Flag("hide-scrollbars", true),
		)
		if os.Getuid() == 0 {
			// if the user is root, Chromium cannot use its sandbox
			opts = append(opts, chromedp.NoSandbox)
		}
		allocator, _ := chromedp.NewExecAllocator(browser.ctx, opts...)
		ctx, _ := chromedp.NewContext(allocator)
		if browser.err = chromedp.Do(ctx); browser.err == nil {
			browser.ctx = ctx
		}
	})
	if browser.err != nil {
		t.Fatalf("chromium: %v", browser.err)
	}
	return browser.ctx
}

// needProgram returns the path of a program. If the program is missing, the test is skipped. In CI
// the test fails instead.
func needProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}
