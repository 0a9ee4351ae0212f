package setting

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// TestNames compares the names of environment variables that package setting calculates with those
// in the documentation of ConfigFromEnv.
func TestNames(t *testing.T) {
	source, err := os.ReadFile("../../../../env.go")
	if err != nil {
		t.Fatal(err)
	}
	// documentedVariable maps the name of each field to its environment variable
	documentedVariable := make(map[string]string)
	for line := range strings.Lines(string(source)) {
		words := strings.Fields(strings.TrimPrefix(line, "//"))
		if len(words) > 1 && strings.HasPrefix(words[0], "XENA_") {
			documentedVariable[strings.TrimRight(words[1], ",;:")] = words[0]
		}
	}
	check := func(of reflect.Type, prefix string) {
		for field := range of.Fields() {
			name := prefix + field.Name
			if want, ok := documentedVariable[name]; ok && (Names{}).SettingOf(name) != want {
				t.Errorf("%s: %s, want %s", name, Names{}.SettingOf(name), want)
			}
		}
	}
	check(reflect.TypeFor[xenaauth.Config](), "")
	check(reflect.TypeFor[xenaauth.Introspection](), "Introspection.")
	if len(documentedVariable) < 30 {
		t.Errorf("only %d variables are documented", len(documentedVariable))
	}
}

func TestMistakes(t *testing.T) {
	err := xenaauth.Config{Issuer: "http://login.example", AllowAnyAudience: true, Audiences: []string{"a"}}.Validate()
	got := strings.Join(Names{}.Mistakes(err), "\n")
	for _, want := range []string{"XENA_ISSUER is not an " +
		"https URL", "see XENA_ALLOW_HTTP", "XENA_AUDIENCE and XENA_ALLOW_ANY_AUDIENCE exclude each other"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
	var names Names
	if names.Mistakes(nil) != nil || len(names.Mistakes(errors.Join(err, err))) != 2*len(names.Mistakes(err)) {
		t.Error("joined errors are not counted")
	}
}
