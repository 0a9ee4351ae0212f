package proxies

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// upgradeValues lists values of the header field Upgrade. Each element contains the values of all
// Upgrade fields of one request.
var upgradeValues = [][]string{
	{"websocket"}, {"WebSocket"}, {"WEBSOCKET"}, {"h2c"}, {"H2C"}, {"h2"}, {"TLS/1.0"}, {""},
	{"h2c", "websocket"}, {"websocket", "h2c"}, {"H2c", "WebSocket"}, {"WebSocket", "H2c"},
	{"websocket, h2c"}, {"h2c, websocket"}, {"websocket,h2c"}, {"h2c ,\twebsocket"}, {"websocket h2c"}, {"h2c websocket"},
	{"websocket", "websocket"}, {"websocket, websocket"}, {"h2c", "h2c"}, {"h2c, h2c"},
	{"", "websocket"}, {"websocket", ""}, {"", "h2c"}, {"h2c", ""}, {"websocket", "", "h2c"}, {"", "websocket", "h2c"},
	{"websocket,"}, {",websocket"}, {"h2c,"}, {",h2c"}, {"websocket,", "h2c"}, {"h2c", ",websocket"}, {",", "h2c"},
	{"websocket", "h2c", "websocket"}, {"h2c", "websocket", "h2c"}, {"foo", "h2c"}, {"h2c", "foo"}, {"foo", "websocket", "h2c"},
	{"websocket/13"}, {"websocket;h2c"}, {"h2c;websocket"}, {"\"websocket\""}, {"websocket\x0bh2c"}, {"websocket\xa0"},
}

// connectionValues lists values of the header field Connection. Each element contains the values of
// all Connection fields of one request.
var connectionValues = [][]string{
	{"Upgrade"}, {"upgrade"}, {"Upgrade, HTTP2-Settings"}, {"HTTP2-Settings, Upgrade"}, {"Upgrade", "HTTP2-Settings"},
	{"HTTP2-Settings", "Upgrade"}, {"keep-alive, Upgrade"}, {"keep-alive", "Upgrade"}, {"Upgrade", "keep-alive"},
	{"Upgrade", "close"}, {"close", "Upgrade"}, {"Upgrade, close"}, {"Upgrade, Upgrade"}, {"Upgrade", "Upgrade"},
	{"HTTP2-Settings"}, {"keep-alive"}, {"close"}, {""}, {"", "Upgrade"}, nil,
}

// TestUpgrades sends requests to a public route that ask for another protocol, with every
// combination of upgradeValues and connectionValues. The service would accept h2c (HTTP/2 without
// TLS) even without the field HTTP2-Settings, and after that upgrade the gateway would no longer
// see the client's requests. So the service must get no HTTP/2 request, and either no Upgrade field
// or a single one with the value websocket.
func TestUpgrades(t *testing.T) {
	more := [][]string{
		nil,
		{"HTTP2-Settings: AAMAAABkAAQAAP__"},
		{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"},
	}
	eachUpgradeProxy(t, func(t *testing.T, e *env) {
		websockets := 0
		for _, values := range upgradeValues {
			var requestLines [][]string
			for i, connection := range connectionValues {
				lines := append(named("Upgrade", values), named("Connection", connection)...)
				if i < 3 {
					for _, m := range more {
						requestLines = append(requestLines, append(slices.Clone(lines), m...))
					}
				} else {
					requestLines = append(requestLines, append(lines, more[i%len(more)]...))
				}
			}
			backwards := append([]string{"Connection: Upgrade"}, named("Upgrade", values)...)
			for i, lines := range append(requestLines, backwards) {
				e.sendUpgrade(t, "GET", i, lines)
			}
			for i, method := range []string{"OPTIONS", "POST", "HEAD", "QUERY"} {
				e.sendUpgrade(t, method, len(requestLines)+1+i, backwards)
			}
			websockets += e.checkUpgrades(t, append(requestLines, backwards, backwards, backwards, backwards, backwards))
		}
		if websockets == 0 {
			t.Error("no WebSocket has passed")
		}
		odd := [][]string{
			{"Upgrade : h2c", "Connection: Upgrade"}, {"Upgrade\t: h2c", "Connection: Upgrade"},
			{"Upgrade: websocket", "Connection: Upgrade", "Upgrade : h2c"},
			{"Upgrade:websocket", "Upgrade:\th2c", "Connection:Upgrade"},
			{"Upgrade: websocket\r\n h2c", "Connection: Upgrade"}, {"Upgrade: websocket\r\n\th2c", "Connection: Upgrade"},
			{"Upgrade:\r\n h2c", "Connection: Upgrade"}, {"uPGRADE: h2c", "UPGRADE: websocket", "connection: UPGRADE"},
			{"Upgrade: h2c", "Connection: Upgrade", "Content-Length: 0"},
			{"Upgrade: h2c", "Connection: Upgrade", "Transfer-Encoding: chunked\r\n\r\n0"},
		}
		for i, lines := range odd {
			e.sendUpgrade(t, "GET", i, lines)
		}
		e.checkUpgrades(t, odd)
	})
}

// TestUpgradeByHTTP2 asks for an upgrade in an HTTP/2 request (RFC 8441), if the proxy accepts
// HTTP/2 without TLS.
func TestUpgradeByHTTP2(t *testing.T) {
	eachUpgradeProxy(t, func(t *testing.T, e *env) {
		if !e.h2c {
			t.Skip("it takes no HTTP/2 without TLS")
		}
		requestLines := [][]string{
			{":method CONNECT", ":protocol h2c", ":scheme http", ":authority api.example"},
			{":method CONNECT", ":protocol H2C", ":scheme http", ":authority api.example"},
			{":method CONNECT", ":protocol websocket, h2c", ":scheme http", ":authority api.example"},
			{":method CONNECT", ":protocol websocket", ":scheme http", ":authority api.example", "upgrade h2c"},
			{":method GET", ":scheme http", ":authority api.example", "upgrade h2c"},
			{":method GET", ":scheme http", ":authority api.example", "connection upgrade", "upgrade h2c"},
			{":method GET", ":protocol h2c", ":scheme http", ":authority api.example"},
		}
		for i, lines := range requestLines {
			c := e.dial(t)
			lines = slices.Insert(slices.Clone(lines), 1, fmt.Sprintf(":path /open/x?%d", i))
			if _, err := io.WriteString(c, connectionPreface+headersFrame(1, true, lines...)); err != nil {
				t.Error(err)
			}
			readResponse(c, 1)
		}
		e.checkUpgrades(t, requestLines)
	})
}

func named(name string, values []string) (lines []string) {
	for _, value := range values {
		lines = append(lines, name+": "+value)
	}
	return lines
}

func (e *env) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", e.addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	return c
}

// env.sendUpgrade sends a request that asks for another protocol. The parameter number is in the
// URL, so that the test finds the request in the log of the service. If the server changes the
// protocol, sendUpgrade continues with the new protocol.
func (e *env) sendUpgrade(t *testing.T, method string, number int, lines []string) {
	t.Helper()
	c := e.dial(t)
	defer c.Close()
	_, _ = fmt.Fprintf(c, "%s /open/x?%d HTTP/1.1\r\nHost: api.example\r\n%s\r\n\r\n", method, number, strings.Join(lines, "\r\n"))
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	switch {
	case err != nil:
		t.Errorf("%s %q: %v", method, lines, err)
	case resp.StatusCode == http.StatusSwitchingProtocols && strings.EqualFold(resp.Header.Get("Upgrade"), "websocket"):
		checkEcho(t, c, in, lines)
	case resp.StatusCode == http.StatusSwitchingProtocols:
		t.Errorf("%s %q: the connection is a tunnel: %v", method, lines, resp.Header)
		_, _ = io.WriteString(c, connectionPreface+headersFrame(3, true,
			":method GET", ":scheme http", ":path /admin/x", ":authority api.example", "x-auth-user root"))
		readResponse(c, 3)
	default:
		_, err := io.Copy(io.Discard, resp.Body)
		// Java's HttpClient asks for an upgrade to h2c with a single Upgrade field, so the proxy
		// must not refuse such a request
		plain := lines[0] == "Upgrade: h2c" && !strings.Contains(lines[1], "Upgrade: ")
		if err != nil || resp.StatusCode >= 500 || plain && resp.StatusCode != 200 {
			t.Errorf("%s %q: %d, %v", method, lines, resp.StatusCode, err)
		}
	}
}

// checkEcho sends a WebSocket message (RFC 6455, section 5.2) through the proxy and fails the test
// unless the message comes back.
func checkEcho(t *testing.T, c net.Conn, in *bufio.Reader, lines []string) {
	t.Helper()
	_, _ = io.WriteString(c, "\x81\x82\x00\x00\x00\x00hi") // this is a message whose mask is zero
	got := make([]byte, 4)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "\x81\x02hi" {
		t.Errorf("%q: the WebSocket echoes %q, %v", lines, got, err)
	}
	// this is the message that closes the WebSocket
	_, _ = io.WriteString(c, "\x88\x80\x00\x00\x00\x00")
}

// env.checkUpgrades gets the list of requests that have arrived at the service since the last call
// of checkUpgrades. The test fails if one of these requests asks for a protocol other than
// websocket, has the header field HTTP2-Settings, names a user, has another path than /open/x, or
// came over HTTP/2. The query of each request is the number with which the test sent it.
// requestLines[i] contains the header lines of the request with the query i, for the message of the
// failure. checkUpgrades returns how many of the requests opened a WebSocket.
func (e *env) checkUpgrades(t *testing.T, requestLines [][]string) (websockets int) {
	t.Helper()
	resp, err := http.Get("http://" + e.service.addr + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var seen []struct {
		Kind, Version, Method, Path, Query string
		Upgrade, Settings, User            []string
	}
	if err := json.NewDecoder(resp.Body).Decode(&seen); err != nil {
		t.Fatal(err)
	}
	for _, s := range seen {
		plain := len(s.Upgrade) == 0 || len(s.Upgrade) == 1 && strings.EqualFold(s.Upgrade[0], "websocket")
		if !plain || len(s.Settings) > 0 || strings.Join(s.User, "") != "" || s.Path != "/open/x" || s.Version == "2" {
			var lines []string
			if i, err := strconv.Atoi(s.Query); err == nil && i < len(requestLines) {
				lines = requestLines[i]
			}
			t.Errorf("%q: the service got %+v", lines, s)
		}
		if s.Kind == "websocket" {
			websockets++
		}
	}
	return websockets
}

// eachUpgradeProxy runs a test once with each proxy, and once with xenagate as a reverse proxy. The
// service behind them is Hypercorn, which accepts upgrades.
func eachUpgradeProxy(t *testing.T, test func(t *testing.T, e *env)) {
	hypercorn := proxy{name: "hypercorn"}
	server := hypercorn.find(t)
	app, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	proxies := append(slices.Clone(all), proxy{name: "xenagate"})
	for i := range proxies {
		p := &proxies[i]
		t.Run(p.name, func(t *testing.T) {
			e := &env{proxy: p, addr: freeAddr(t), service: &service{addr: freeAddr(t)}}
			dir := tempDir(t)
			if p.config != nil {
				program := p.find(t)
				gate := newEnv(t, p)
				e.gate = gate.gate
				startProcess(t, dir, e.addr, program, p.config(t, dir, e)...)
			} else {
				e.startXenagate(t, dir)
			}
			startProcess(t, app, e.service.addr, server, "--bind", e.service.addr, "upgrading:app")
			test(t, e)
		})
	}
}

// env.startXenagate builds the program xenagate and starts it as a reverse proxy in front of the
// service.
func (e *env) startXenagate(t *testing.T, dir string) {
	t.Helper()
	binary := filepath.Join(dir, "xenagate")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = "../../cmd/xenagate"
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	issuer := xenaauthtest.StartIssuer(nil)
	t.Cleanup(issuer.Close)
	write(t, dir, "xenagate.yaml", fmt.Sprintf(`
listen: %s
tokens: {issuer: %q, audiences: [testapi]}
upstreams: [{name: service, url: "http://%s"}]
routes:
  rules:
    - {route: /open/, access: public}
    - {route: /admin/, scopes: [admin]}
`, e.addr, issuer.URL(), e.service.addr))
	startProcess(t, dir, e.addr, binary, "-config", filepath.Join(dir, "xenagate.yaml"))
}
