package harness

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// Base64 returns v in base64url without padding.
func Base64[T string | []byte](v T) string { return rawURL.EncodeToString([]byte(v)) }

// JSON returns the JSON encoding of v.
func JSON(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

// With returns a copy of the JSON object m with some changes. The members in changedMembers replace
// members of the copy, or are added to it. If a member in changedMembers has the value nil, the
// copy lacks the member.
func With(m map[string]any, changedMembers map[string]any) map[string]any {
	m = maps.Clone(m)
	for name, value := range changedMembers {
		if value == nil {
			delete(m, name)
		} else {
			m[name] = value
		}
	}
	return m
}

// RawJSON returns a value that json.Marshal writes as the JSON text v, without its white space.
func RawJSON(v string) json.RawMessage { return json.RawMessage(v) }
