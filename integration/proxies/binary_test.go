package proxies

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// buildGate builds the program xenagate and returns its path.
func buildGate(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "xenagate")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = "../../cmd/xenagate"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// TestBinary runs the program xenagate with its sample configuration. Each proxy asks it about the
// requests of clients. The test also kills xenagate and starts it again.
func TestBinary(t *testing.T) {
	binary := buildGate(t)
	table, err := routes.New([]routes.Rule{ // these are the rules of the sample configuration
		{Pattern: "GET /Api/User/FiscalSetup", Access: routes.Require(xenaauth.AllScopes("testapi"))},
		{Pattern: "/Api/Report/", Access: routes.Require(xenaauth.AllScopes("testapi", "reports"))},
		{Pattern: "GET /health", Access: routes.Public()},
	}, &routes.Options{IgnoreCase: true})
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.New(identity.Config{})
	if err != nil {
		t.Fatal(err)
	}
	issuer := xenaauthtest.StartIssuer(nil)
	t.Cleanup(issuer.Close)
	for i := range all {
		p := &all[i]
		t.Run(p.name, func(t *testing.T) {
			program := p.find(t)
			e := &env{
				proxy: p, addr: freeAddr(t), issuer: issuer, gate: &restartableServer{addr: freeAddr(t)},
				service: newService(t, p, table, id),
			}
			dir := tempDir(t)
			write(t, dir, "xenagate.yaml", readSample(t, "xenagate.yaml",
				"audiences: [testapi]", "audiences: [testapi]\n  issuer: "+issuer.URL(),
				"dialect: nginx", "dialect: "+string(p.dialect),
				sampleGate, e.gate.addr,
				"127.0.0.1:9091", freeAddr(t),
				"127.0.0.1:9092", freeAddr(t),
			))
			gate := startProcess(t, dir, e.gate.addr, binary, "-config", filepath.Join(dir, "xenagate.yaml"))
			startProcess(t, dir, e.addr, program, p.config(t, dir, e)...)

			const target = "/Api/User/FiscalSetup"
			token := bearer(issuer.JWT(xenaauthtest.Token{Subject: "me", ClientID: "shop", Scopes: []string{"testapi"}}))
			got := e.get(t, target, token, "X_Auth_User: admin").readArrivedRequest(t)
			if got.User != "me" || got.Client != "shop" || got.Scopes != "testapi" || got.Issuer != e.issuer.URL() {
				t.Errorf("%+v", got)
			}
			e.get(t, "/health").readArrivedRequest(t)
			malformed := 400
			if p.statusForMalformed != 0 {
				malformed = p.statusForMalformed
			}
			for _, c := range []struct {
				target string
				lines  []string
				status int
			}{
				{target, nil, 401},
				{"/Api/Report/1", []string{token}, 403},
				{"/api/report/1", []string{token}, 403},
				{"/nowhere", []string{token}, 403},
				{"/health/../Api/Report/1", []string{token}, malformed},
			} {
				a := e.get(t, c.target, c.lines...)
				if a.Status != c.status || a.Header.Get("Www-Authenticate") == "" {
					t.Errorf("%s: %d %v, want %d", c.target, a.Status, a.Header, c.status)
				}
			}

			gate.kill()
			if a := e.get(t, target, token); a.Status != p.statusIfUnreachable {
				t.Errorf("while xenagate is down: %d, want %d", a.Status, p.statusIfUnreachable)
			}
			startProcess(t, dir, e.gate.addr, binary, "-config", filepath.Join(dir, "xenagate.yaml"))
			e.get(t, target, token).readArrivedRequest(t)
			e.service.failOnViolations(t)
		})
	}
}
