package chaos

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/reliability.md anew")

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests mostly wait for timeouts and recoveries, so more tests than cores may run at the
	// same time.
	if err := flag.Set("test.parallel", "12"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	dir, err := os.MkdirTemp("", "chaos")
	if err == nil {
		err = trusted.makeTrusted(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	go measureStalls()
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
