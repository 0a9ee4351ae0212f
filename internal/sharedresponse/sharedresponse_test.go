package sharedresponse_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/sharedresponse"
)

var (
	called = time.UnixMilli(1712345678901)
	active = sharedresponse.Response{
		Active: true, CallTime: called, Issuer: "https://a.example", Claims: `{"active":true}`,
	}
	inactive = sharedresponse.Response{CallTime: called, Issuer: "https://a.example"}
)

// Instances of different releases use one shared cache. If this encoding changes, Version must
// change too.
func TestFormat(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]sharedresponse.Response{
		"02" + "01" + "0000018eafc18435" + "0011" + hex.EncodeToString([]byte(`https://a.example{"active":true}`)): active,
		"02" + "00" + "0000018eafc18435" + "0011" + hex.EncodeToString([]byte(`https://a.example`)):                inactive,
	} {
		require.Equal(t, want, hex.EncodeToString(r.Encode()))
		got, ok := sharedresponse.Decode(r.Encode())
		require.True(t, ok)
		require.Equal(t, r, got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	change := func(f func([]byte) []byte) []byte { return f(active.Encode()) }
	for name, value := range map[string][]byte{
		"nothing":              nil,
		"only a version":       {2},
		"short header":         change(func(b []byte) []byte { return b[:11] }),
		"no claims":            change(func(b []byte) []byte { return b[:12+17] }),
		"half an issuer":       change(func(b []byte) []byte { return b[:12+5] }),
		"inactive with claims": change(func(b []byte) []byte { b[1] = 0; return b }),
		"active is 2":          change(func(b []byte) []byte { b[1] = 2; return b }),
		"version 1":            append([]byte{1, 1, 0, 0, 1, 0x8e, 0xaf, 0xc1, 0x84, 0x35}, `{"active":true}`...),
		"version 3":            change(func(b []byte) []byte { b[0] = 3; return b }),
		"junk":                 bytes.Repeat([]byte{0xa5}, 300),
	} {
		_, ok := sharedresponse.Decode(value)
		require.False(t, ok, name)
	}
}

func TestEncodeLongIssuer(t *testing.T) {
	t.Parallel()
	long := active
	long.Issuer = strings.Repeat("i", 1<<16)
	require.Nil(t, long.Encode())
	long.Issuer = long.Issuer[1:]
	got, ok := sharedresponse.Decode(long.Encode())
	require.True(t, ok)
	require.Equal(t, long, got)
}

func FuzzDecode(f *testing.F) {
	f.Add(active.Encode())
	f.Add(inactive.Encode())
	f.Add([]byte{2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, value []byte) {
		if r, ok := sharedresponse.Decode(value); ok {
			require.Equal(t, value, r.Encode())
		}
	})
}
