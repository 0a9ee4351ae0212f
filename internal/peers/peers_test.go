package peers_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/peers"
)

func TestContains(t *testing.T) {
	networks, wrong := peers.New([]netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"),
		netip.MustParsePrefix("::ffff:192.0.2.0/120"),
		netip.MustParsePrefix("fe80::/10"),
	})
	require.Empty(t, wrong)
	for peer, want := range map[string]bool{
		"10.1.2.3:80":            true,
		"10.2.0.1:80":            false,
		"[::ffff:10.1.2.3]:80":   true,
		"192.0.2.7:1":            true,
		"[::ffff:192.0.2.7]:1":   true,
		"192.0.3.7:1":            false,
		"[fe80::1%eth0]:443":     true,
		"[::1]:443":              false,
		"10.1.2.3":               false,
		"":                       false,
		"@":                      false,
		"/run/proxy.sock":        false,
		"10.1.2.3:80, 1.1.1.1:1": false,
	} {
		require.Equal(t, want, networks.Contains(peer), peer)
	}
	require.False(t, peers.Networks(nil).Contains("10.1.2.3:80"))
}

func TestMistakes(t *testing.T) {
	networks, wrong := peers.New([]netip.Prefix{
		{}, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"),
		netip.MustParsePrefix("::ffff:0.0.0.0/96"),
	})
	require.Len(t, wrong, 4)
	for _, err := range wrong {
		require.ErrorContains(t, err, "no network or contains all addresses")
	}
	require.Len(t, networks, 1)
}
