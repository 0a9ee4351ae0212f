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

// patience is how long a test waits for a page. It is long because the machines of CI are slow.
const patience = 2 * time.Minute

// The browser is shared by all tests. Each test has pages with cookies of their own.
var browser struct {
	once sync.Once
	ctx  context.Context
	err  error
}

// temp is the folder for what all tests share: the program, and axe-core.
var temp string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if temp, err = os.MkdirTemp("", "walkthrough"); err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(temp)
	ctx, stop := context.WithCancel(context.Background())
	browser.ctx = ctx
	code := m.Run()
	if browser.ctx != ctx { // a test started Chromium
		_ = chromedp.Cancel(browser.ctx)
	}
	stop()
	return code
}

// startBrowser starts Chromium, once for all tests, and returns its context.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := needProgram(t, "chromium")
	browser.once.Do(func() {
		opts := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path),
			chromedp.DisableGPU,
			// Only names of this machine have an address, so Chromium itself can't call others either.
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
			chromedp.Flag("hide-scrollbars", true),
		)
		if os.Getuid() == 0 {
			opts = append(opts, chromedp.NoSandbox) // Chromium has no sandbox for root
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

// needProgram returns the path of a program. Without the program the test is skipped, but in CI the
// test fails.
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
