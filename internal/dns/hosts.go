package dns

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// hosts is hosts(5).
type hosts struct {
	addrs map[string][]netip.Addr // by name in lower case
	names map[netip.Addr][]string
}

type hostsFile = watched[hosts]

func newHostsFile(path string, now func() time.Time) *hostsFile {
	return &hostsFile{path: path, now: now, parse: parseHosts}
}

func parseHosts(text []byte) hosts {
	h := hosts{addrs: map[string][]netip.Addr{}, names: map[netip.Addr][]string{}}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		a, err := netip.ParseAddr(f[0])
		if err != nil {
			continue
		}
		a = a.Unmap()
		for _, name := range f[1:] {
			name = strings.TrimSuffix(name, ".")
			key := strings.ToLower(name)
			if !slices.Contains(h.addrs[key], a) {
				h.addrs[key] = append(h.addrs[key], a)
			}
			h.names[a.WithZone("")] = append(h.names[a.WithZone("")], name)
		}
	}
	// RFC 6761 section 6.3; a container often has no such file.
	if len(h.addrs["localhost"]) == 0 {
		h.addrs["localhost"] = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return h
}

// lookup returns the addresses of a name, IPv4 first.
func (h hosts) lookup(name string, family Family) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, a := range h.addrs[strings.ToLower(strings.TrimSuffix(name, "."))] {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	switch family {
	case IPv4:
		return v4
	case IPv6:
		return v6
	}
	return append(v4, v6...)
}

// Native returns the addresses of a host as the system's programs find them: /etc/hosts
// first, then DNS, with the search domains of resolv.conf for a name with few dots.
func (r *Resolver) Native(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	if addrs := r.hosts.get().lookup(host, family); len(addrs) > 0 {
		return addrs, nil
	}
	c, err := r.config()
	if err != nil {
		return nil, &Error{Name: host, Type: "A", Cause: err}
	}
	names := []string{host}
	if !strings.HasSuffix(host, ".") && len(c.search) > 0 {
		searched := make([]string, 0, len(c.search)+1)
		for _, d := range c.search {
			searched = append(searched, host+"."+d)
		}
		if strings.Count(host, ".") >= c.ndots {
			names = append(names, searched...)
		} else {
			names = append(searched, host)
		}
	}
	var none error
	for _, name := range names {
		addrs, err := r.Addrs(ctx, name, family)
		switch {
		case err == nil:
			return addrs, nil
		case !errors.Is(err, ErrNotFound):
			return nil, err
		case none == nil || name == host:
			none = err
		}
	}
	return nil, none
}
