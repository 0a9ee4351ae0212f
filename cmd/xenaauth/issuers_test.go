package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// gateFile writes a configuration file of xenagate whose issuer is the given one, and returns its
// path.
func gateFile(t *testing.T, name string, issuer *xenaauthtest.Issuer) string {
	t.Helper()
	dir := t.TempDir()
	text := "listen: 127.0.0.1:0\ntokens: {issuer: \"" + issuer.URL() + "\", audiences: [testapi]}\n" +
		"upstreams: [{name: a, url: \"http://127.0.0.1:1\"}]\nroutes: {rules: [{route: /a/, access: user}]}\n"
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSeveralIssuers compares the keys that two issuers publish. The cases are: different keys with
// different kids, different keys with the same kid, the same key with the same kid, the same key
// with two kids, and an issuer without a key.
func TestSeveralIssuers(t *testing.T) {
	newService(t) // newService removes XENA_ variables from the environment
	for _, name := range []string{"ISSUER", "METADATA_URL", "INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET"} {
		t.Setenv("XENA_"+name, "")
	}
	var issuers [3]*xenaauthtest.Issuer
	for i := range issuers {
		issuers[i] = xenaauthtest.StartIssuer(nil)
		t.Cleanup(issuers[i].Close)
	}
	first, second := issuers[0], issuers[1]
	keys := map[string]string{
		"own keys": string(second.JWKS()), "one key": string(first.JWKS()),
		"one kid":       strings.Replace(string(second.JWKS()), second.KeyID(), first.KeyID(), 1),
		"key, two kids": strings.Replace(string(first.JWKS()), first.KeyID(), "another", 1),
		"no key":        `{"keys":[]}`,
	}
	both := `"` + first.URL() + `" and "` + second.URL() + `" publish `
	for name, tt := range map[string]struct {
		status int
		want   []string
	}{
		"own keys": {0, []string{"✓ key ids  no two issuers publish the same key, or the same kid", "All is well"}},
		"one kid": {0, []string{"! key ids  " + both + "different keys with one kid", `kid "` + first.KeyID() + `"`,
			"→ xenaauth looks a key up among those of one issuer", "Tokens can be checked"}},
		"one key": {0, []string{"! key ids  " + both + "the same key", `kid "` + first.KeyID() + `"`,
			"→ Whoever can sign for one of the issuers can sign for the other"}},
		"key, two kids": {0, []string{"! key ids  " + both + "the same key", `" and kid "another"`}},
		"no key":        {1, []string{"- key ids  not compared for an issuer whose key set was not fetched"}},
	} {
		t.Run(name, func(t *testing.T) {
			second.SetJWKS([]byte(keys[name]))
			for _, args := range [][]string{
				{"doctor", "--config", gateFile(t, "one.yaml", first), "--config", gateFile(t, "two.yaml", second)},
				{"doctor", "--config", gateFile(t, "one.yaml", first), "--issuer", second.URL()},
			} {
				var out, errOut strings.Builder
				status := run(t.Context(), args, strings.NewReader(""), &out, &errOut)
				if status != tt.status {
					t.Errorf("exit status %d, want %d", status, tt.status)
				}
				for _, want := range append(tt.want, "one.yaml\n") {
					if !strings.Contains(out.String(), want) {
						t.Errorf("%q: %q is missing in\n%s%s", args, want, out.String(), errOut.String())
					}
				}
			}
		})
	}
	// Two configurations may name the same issuer. The command then does not warn that both have
	// the same keys.
	var out strings.Builder
	args := []string{"doctor", "--json", "-c", gateFile(t, "one.yaml", first), "-c", gateFile(t, "two.yaml", first)}
	if status := run(t.Context(), args, strings.NewReader(""), &out, &out); status != 0 || strings.Contains(out.String(), "warning") {
		t.Errorf("%d: %s", status, out.String())
	}
	// The third issuer has a mistake: its metadata contain the URL of another issuer.
	issuers[2].SetMetadata([]byte(`{"issuer": "https://third.example", "jwks_uri": "` + issuers[2].URL() + `/jwks"}`))
	out.Reset()
	args = []string{"doctor", "-c", gateFile(t, "one.yaml", first), "--issuer", issuers[2].URL()}
	status := run(t.Context(), args, strings.NewReader(""), &out, &out)
	if want := `→ Set --issuer "https://third.example"`; status != 1 || !strings.Contains(out.String(), want) {
		t.Errorf("%d: %q is missing in\n%s", status, want, out.String())
	}
}
