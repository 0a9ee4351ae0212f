package proxies

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// HAProxy runs a Lua script, which asks xenagate. TestBrokenLua makes this script fail while it
// handles a request. After this error HAProxy continues with the request, so the rules of HAProxy's
// configuration must refuse the request.
func TestBrokenLua(t *testing.T) {
	for _, c := range []struct{ name, at, wrong string }{
		{"before it asks", "\tstrip(txn)\n", "\tstrip(txn)\n\terror('broken')\n"},
		{"before it sets the user", "\t\tfor _, name in ipairs(identity) do\n\t\t\ttxn", "\t\terror('broken')\n" +
			"\t\tfor _, name in ipairs(identity) do\n\t\t\ttxn"},
		{"before it refuses", "\t\treturn outage(txn)\n", "\t\terror('broken')\n"},
		{"for ever", "\tstrip(txn)\n", "\twhile true do end\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &all[2]
			broken := *p
			broken.config = func(t *testing.T, dir string, e *env) []string {
				args := p.config(t, dir, e)
				cfg, err := os.ReadFile(filepath.Join(dir, "haproxy.cfg"))
				if err != nil {
					t.Fatal(err)
				}
				write(t, dir, "haproxy.cfg", strings.Replace(string(cfg), "global\n",
					"global\n    tune.lua.session-timeout 500ms\n", 1))
				write(t, dir, "xenagate.lua", readSample(t, "xenagate.lua", sampleGate, e.gate.addr, c.at, c.wrong))
				return args
			}
			program := p.find(t)
			e := newEnv(t, &broken)
			dir := tempDir(t)
			startProcess(t, dir, e.addr, program, broken.config(t, dir, e)...)
			token := bearer(e.issuer.JWT(xenaauthtest.Token{}))
			e.gate.stop()
			if c.name == "before it sets the user" {
				e.gate.start(t)
			}
			for _, target := range []string{"/api/a", "/open/a"} {
				if a := e.get(t, target, token); a.Status != 503 || a.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %d %v", target, a.Status, a.Header)
				}
			}
			if e.service.n.Load() > 0 {
				t.Error("it has reached the service")
			}
		})
	}
}
