package routesfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth/gateway/routesfile"
)

// routesNode returns the YAML node at the key "routes" of a YAML file.
func routesNode(t *testing.T, file string) *yaml.Node {
	t.Helper()
	var document struct{ Routes yaml.Node }
	require.NoError(t, yaml.Unmarshal([]byte(file), &document))
	return &document.Routes
}

// If the table is a part of a larger file, the lines in errors and in the Source of rules are lines
// of the larger file.
func TestParseNode(t *testing.T) {
	table, err := routesfile.ParseNode("gate.yaml", routesNode(t,
		"listen: x\nroutes:\n  ignore_case: true\n  rules:\n    - {route: /a, access: public}\nadmin: {}\n"))
	require.NoError(t, err)
	require.True(t, table.IgnoresCase())
	require.Equal(t, "gate.yaml:5: rule 1", find(t, table, "GET", "", "/A").Source)

	for name, tt := range map[string]struct{ file, want string }{
		"a mistake in a rule": {"a: 1\nroutes: {rules: [\n  {route: /a, acces: public}]}\n", `gate.yaml:3: rule 1 (/a): unknown key "acces"`},
		"no mapping":          {"a: 1\nroutes: [1]\n", "gate.yaml:2: want a mapping"},
		"an alias":            {"a: &x {rules: []}\nroutes: *x\n", "gate.yaml:2: anchors and aliases are not supported"},
		"an alias inside":     {"a: &x []\nroutes:\n  rules: *x\n", "gate.yaml:3: anchors and aliases are not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			table, err := routesfile.ParseNode("gate.yaml", routesNode(t, tt.file))
			require.EqualError(t, err, tt.want)
			require.Nil(t, table)
		})
	}
}
