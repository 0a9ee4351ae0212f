package fieldname_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

func TestFold(t *testing.T) {
	for name, want := range map[string]string{
		"":                  "",
		"x-auth-user":       "x-auth-user",
		"X-Auth-User":       "x-auth-user",
		"X_AUTH.USER":       "x-auth-user",
		"x!auth~user2":      "x-auth-user2",
		"x\x00auth\xffuser": "x-auth-user",
		"\u212a":            "---",
		"@[`{/:":            "------",
	} {
		require.Equal(t, want, fieldname.Fold(name), "%q", name)
		require.Equal(t, "a:"+want, string(fieldname.AppendFold([]byte("a:"), name)), "%q", name)
		require.True(t, fieldname.Equal(name, want), "%q", name)
	}
}

func TestEqualAndHasPrefix(t *testing.T) {
	for _, tt := range []struct {
		name, folded  string
		equal, prefix bool
	}{
		{"X_Host", "x-host", true, true},
		{"X_Hos", "x-host", false, false},
		{"X_Hosts", "x-host", false, true},
		{"X-Most", "x-host", false, false},
		{"a", "", false, true},
		{"", "a", false, false},
	} {
		require.Equal(t, tt.equal, fieldname.Equal(tt.name, tt.folded), "%q is %q", tt.name, tt.folded)
		require.Equal(t, tt.prefix, fieldname.HasPrefix(tt.name, tt.folded), "%q begins with %q", tt.name, tt.folded)
	}
}
