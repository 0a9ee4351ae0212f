package config

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A path in the configuration file is accepted only if net/http serves it as it is written. A path
// that servers read in different ways, or that must be encoded, would never match a request.
func TestPaths(t *testing.T) {
	for path, ok := range map[string]bool{
		"/a": true, "/a/b": true, "/a-b_c.d~e": true, "/a(1)!,x=1:2@3&4+5$6'7": true, "/...a": true,
		"//": false, "///": false, "//a": false, "/a//b": false, "/a//": false, "/.": false, "/./": false,
		"/./a": false, "/..": false, "/../": false, "/a/..": false, "/a/../b": false, "/a/.": false,
		"/...": false, "/a.": false, "/a./b": false, "/a%2Fb": false, "/a%2fb": false, "/%2F": false,
		"/%61": false, "/%2e%2e": false, "/a?b": false, "/a#b": false, "/a;b": false, `/a\\b`: false,
		"/a b": false, "/a|b": false, "/a^b": false, `/a\"b`: false, "/a<b>": false, "/a`b": false,
		"/{a}": false, "/a/*": false, "/ä": false, `/a\x7f`: false, "a": false, "*": false,
		"http://a/b": false,
	} {
		const config = `listen: 127.0.0.1:0
upstreams: [{name: a, url: "http://127.0.0.1:1", path: "PATH"}]
identity: {assertion: {jwks_path: "PATH"}}
logout: {client_ids: [a], path: "PATH"}
forward_auth: {listen: "127.0.0.1:1", endpoints: [{path: "PATH", dialect: nginx}]}
routes: {rules: []}
`
		file := filepath.Join(t.TempDir(), "gate.yaml")
		text := strings.ReplaceAll(config, "PATH", path)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file)
		if err == nil {
			t.Fatalf("%s: four keys with the same path are no mistake", path)
		}
		for _, key := range []string{
			"upstreams.0.path", "identity.assertion.jwks_path", "logout.path", "forward_auth.endpoints.0.path",
		} {
			if refused := strings.Contains(err.Error(), key+": want a plain path"); refused == ok {
				t.Errorf("%s: %s is refused: %v:\n%v", key, path, refused, err)
			}
		}
		if !ok {
			continue
		}
		served := false
		mux := http.NewServeMux()
		mux.HandleFunc(path, func(http.ResponseWriter, *http.Request) { served = true })
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if !served {
			t.Errorf("net/http does not serve %s as it is written", path)
		}
	}
}
