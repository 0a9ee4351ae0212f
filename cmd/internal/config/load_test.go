package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// If a key has the value 0 or "", Load does not silently use the default of the key. It returns an
// error that contains the line and the key, unless the value has a meaning of its own.
func TestZeroIsNotTheDefault(t *testing.T) {
	const good = `listen: 127.0.0.1:0
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
routes: {rules: [{route: GET /a, access: user}]}
`
	const missing, text = "is 0: leave it out for the default", `""`
	for key, want := range map[string]string{
		"authorization": "is neither strip nor forward", "routes_interval": "is less than 10ms",
		"limits.header_bytes": "is not between 8192 and 1048576", "limits.body_bytes": "",
		"timeouts.header": missing, "timeouts.read": missing, "timeouts.write": missing,
		"timeouts.idle": missing, "timeouts.dial": missing, "timeouts.response_header": missing,
		"timeouts.drain_delay": "", "timeouts.drain": missing, "redis.timeout": missing,
		"tokens.clock_skew": missing, "tokens.max_token_length": missing, "tokens.cache_size": missing,
		"tokens.introspection.cache_ttl": missing, "tokens.introspection.stale_if_error": "",
		"possession.dpop.window": missing, "identity.max_bytes": missing,
		"identity.assertion.lifetime": missing, "identity.assertion.jwks_path": "want a plain path, and not /",
	} {
		value := "0s"
		switch name := key[strings.LastIndexByte(key, '.')+1:]; {
		case strings.HasSuffix(name, "_bytes"), strings.HasSuffix(name, "_length"), name == "cache_size":
			value = "0"
		case name == "authorization", name == "jwks_path":
			value = text
		}
		sections := strings.Split(key, ".")
		content := good + strings.Join(sections, ": {") + ": " + value + strings.Repeat("}", len(sections)-1) + "\n"
		_, err := loadText(t, content)
		var told string
		if err != nil {
			told = err.Error()
		}
		if want != "" && !strings.Contains(told, "gate.yaml:4: "+key+": "+want) {
			t.Errorf("%s: %s is accepted: %v", key, value, err)
		}
		if want == "" && strings.Contains(told, key) {
			t.Errorf("%s: %s is refused: %v", key, value, err)
		}
	}
	if _, err := loadText(t, strings.Replace(good, "{name: a,", `{name: a, path: "",`, 1)); err == nil ||
		err.Error() != "gate.yaml:2: upstreams.0.path: want a plain path" {
		t.Errorf("an empty path: %v", err)
	}
	c, err := loadText(t, good+"timeouts: {drain_delay: 0s}\n")
	if err != nil || c.Timeouts.DrainDelay != 0 || c.Timeouts.Read != 30*time.Second ||
		c.RoutesInterval != 2*time.Second || c.Authorization != "strip" || c.Upstreams[0].Path != "/" {
		t.Errorf("%v, %+v", err, c)
	}
}

// For many keys of the configuration file, an empty text is a mistake. Load does not silently use
// the default of such a key. It returns an error that contains the line and the key. A value may be
// empty because the file comes from a template with an empty variable.
func TestEmptyTextIsNotTheDefault(t *testing.T) {
	const good = `listen: 127.0.0.1:0
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
routes: {rules: [{route: GET /a, access: user}]}
`
	keys := []string{
		"challenge.realm", "challenge.resource_metadata", "redis.prefix",
		"tokens.introspection.client_secret_file",
	}
	for section, types := range map[string]map[string]reflect.Type{
		"tokens": typesOf(tokenKeys), "tokens.introspection": typesOf(introspectionKeys),
		"possession.dpop":               typesOf(dpopKeys),
		"possession.client_certificate": typesOf(clientCertificateKeys),
		"identity":                      typesOf(identityKeys),
		"identity.assertion":            typesOf(assertionKeys),
	} {
		for name, of := range types {
			if of.Kind() == reflect.String {
				keys = append(keys, section+"."+name)
			}
		}
	}
	if len(keys) != 19 {
		t.Errorf("%d keys: %v", len(keys), keys)
	}
	words := []string{"tokens.profile", "tokens.introspection.auth", "possession.dpop.use"}
	for _, key := range append(keys, words...) {
		want := "gate.yaml:4: " + key + ": is empty: leave it out for the default"
		switch key {
		case "identity.assertion.issuer", "identity.assertion.audience":
			want = "gate.yaml:4: " + key + ": is empty"
		case "tokens.profile", "tokens.introspection.auth", "possession.dpop.use":
			want = "gate.yaml:4: " + key + ": is neither "
		}
		sections := strings.Split(key, ".")
		for _, value := range []string{`""`, `''`} {
			line := strings.Join(sections, ": {") + ": " + value + strings.Repeat("}", len(sections)-1)
			_, err := loadText(t, good+line+"\n")
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s: got %v, want %q", key, value, err, want)
			} else if strings.HasSuffix(want, "empty") && strings.Contains(err.Error(), "leave it out") {
				t.Errorf("%s is required: %v", key, err)
			}
		}
	}
	// If the file has a list in place of the text for tokens.issuer, Load reports one mistake: the
	// wrong type. It does not also report an empty text.
	_, err := loadText(t, good+"tokens: {issuer: []}\n")
	if err == nil || err.Error() != "gate.yaml:4: want text" {
		t.Errorf("a list: %v", err)
	}
	if _, err := loadText(t, good+"challenge: {realm: a}\nproblem_types: ''\n"); err != nil {
		t.Error(err)
	}
}

// loadText writes a configuration file and reads it.
func loadText(t *testing.T, content string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}
