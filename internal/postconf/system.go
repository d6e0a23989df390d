package postconf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// System is what is asked of the machine for defaults such as myhostname. A field that
// is zero is asked of the real one.
type System struct {
	Hostname   string
	Interfaces []netip.Prefix // own addresses, each with the length of its network
	ReadFile   func(name string) ([]byte, error)
	LookupHost func(ctx context.Context, name string) ([]netip.Addr, error)
}

// lookupTimeout bounds the look-up of a name in inet_interfaces or master.cf.
const lookupTimeout = 10 * time.Second

// maxFile bounds the size of a configuration file.
const maxFile = 4 << 20

// machine is a System with every field set. It is safe for concurrent use.
type machine struct {
	System

	mu    sync.Mutex // guards hosts and ports
	hosts map[string][]netip.Addr
	ports map[string]int // of services(5); nil: not read yet
}

func newMachine(s System) *machine {
	if s.Hostname == "" {
		s.Hostname, _ = os.Hostname()
	}
	if s.Hostname == "" {
		s.Hostname = "localhost"
	}
	if s.Interfaces == nil {
		s.Interfaces = interfaces()
	}
	if s.ReadFile == nil {
		s.ReadFile = readRegular
	}
	if s.LookupHost == nil {
		s.LookupHost = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	return &machine{System: s, hosts: make(map[string][]netip.Addr)}
}

// interfaces are the addresses of this machine; without any, those of a loopback.
func interfaces() []netip.Prefix {
	var own []netip.Prefix
	list, err := net.InterfaceAddrs()
	if err != nil || len(list) == 0 {
		return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}
	}
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		ones, bits := n.Mask.Size()
		if !ok || bits == 0 {
			continue
		}
		ip = ip.Unmap()
		if ip.Is4() && bits == 128 {
			ones -= 96
		}
		own = append(own, netip.PrefixFrom(ip, ones))
	}
	return own
}

func (m *machine) hasIPv4() bool { return m.has(netip.Addr.Is4) || !m.has(netip.Addr.Is6) }
func (m *machine) hasIPv6() bool { return m.has(netip.Addr.Is6) }

func (m *machine) has(kind func(netip.Addr) bool) bool {
	for _, p := range m.Interfaces {
		if kind(p.Addr()) {
			return true
		}
	}
	return false
}

// host returns the addresses of a name, or the address that it is.
func (m *machine) host(name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.hosts[name]; known != nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	addrs, err := m.LookupHost(ctx, name)
	if err != nil {
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	m.hosts[name] = addrs
	return addrs, nil
}

// read returns a file of the configuration.
func (m *machine) read(name string) ([]byte, error) {
	data, err := m.ReadFile(name)
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data, err
}

// services are the TCP ports of services(5) by every name. The file is read once: many
// parameters may name a port.
func (m *machine) services() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ports != nil {
		return m.ports
	}
	m.ports = make(map[string]int)
	data, err := m.read("/etc/services")
	if err != nil {
		return m.ports
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := words(line)
		if len(fields) < 2 {
			continue
		}
		digits, tcp := strings.CutSuffix(fields[1], "/tcp")
		number, err := strconv.ParseUint(digits, 10, 16)
		if !tcp || err != nil || number == 0 {
			continue
		}
		for _, name := range append(fields[2:], fields[0]) {
			if _, known := m.ports[name]; !known {
				m.ports[name] = int(number)
			}
		}
	}
	return m.ports
}

// readRegular reads a file. A pipe would be waited for without end.
func readRegular(name string) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	return os.ReadFile(name)
}
