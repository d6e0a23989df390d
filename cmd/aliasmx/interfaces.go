package main

import (
	"net"
	"net/netip"
)

// machineAddresses are the addresses of this machine's interfaces, or only those of
// its loopback.
func machineAddresses(loopback bool) []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok && (!loopback || ip.Unmap().IsLoopback()) {
			addrs = append(addrs, ip.Unmap())
		}
	}
	return addrs
}
