// Package peers decides whether a request came from a trusted proxy. It compares the address of the
// peer, the host at the other end of the connection, with a list of networks.
package peers

import (
	"fmt"
	"net/netip"
)

// Networks contains the IP networks from which trusted proxies connect.
type Networks []netip.Prefix

// New returns Networks with the networks in list, and an error for each network that is invalid or
// contains all addresses. It converts IPv4 networks in IPv6 form to IPv4, because Contains does the
// same with the address of the peer.
func New(list []netip.Prefix) (networks Networks, wrong []error) {
	for _, p := range list {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		if !p.IsValid() || p.Bits() == 0 {
			wrong = append(wrong, fmt.Errorf("contains %v, which is no network or contains all addresses", p))
			continue
		}
		networks = append(networks, p)
	}
	return networks, wrong
}

// Contains reports whether peer, the address of the other end of a connection, is an IP address
// with a port, and the IP address is in one of the networks. It returns false for the peer of a
// Unix socket, which has no IP address.
func (n Networks) Contains(peer string) bool {
	if len(n) == 0 {
		return false
	}
	a, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	address := a.Addr().Unmap().WithZone("")
	for _, p := range n {
		if p.Contains(address) {
			return true
		}
	}
	return false
}
