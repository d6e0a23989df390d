package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// NameStatus is what is known of a client's name.
type NameStatus uint8

// The states. What nobody has looked at is missing.
const (
	NameMissing   NameStatus = iota // the address has no name, or its name no address
	NameTemporary                   // nobody could say
	NameForged                      // the name has other addresses
	NameVerified
)

// Names are the names of a client.
type Names struct {
	Name          string // "unknown" unless Status is NameVerified
	Status        NameStatus
	Reverse       string // what the address is called, by itself worth nothing; "unknown"
	ReverseStatus NameStatus
}

// maxNames is how many names of one client are tried; an address can have thousands.
const maxNames = 10

// ClientName returns the name of a client for the log and the Received field: one that
// its address has and that has this address in turn. Anybody can write any name into
// the zone of his addresses, and so a name that is not confirmed is "unknown".
// /etc/hosts is asked before DNS, as by getnameinfo(3).
func (r *Resolver) ClientName(ctx context.Context, addr netip.Addr) string {
	return r.ClientNames(ctx, addr).Name
}

// ClientNames returns the name of a client as ClientName does, with what it is worth and
// the name that its address has.
func (r *Resolver) ClientNames(ctx context.Context, addr netip.Addr) Names {
	addr = addr.Unmap().WithZone("")
	n := Names{Name: "unknown", Reverse: "unknown"}
	h := r.hosts.get()
	names := h.names[addr]
	if len(names) > 0 {
		names = names[:1]
	} else {
		var err error
		if names, err = r.PTR(ctx, addr); err != nil {
			if !errors.Is(err, ErrNotFound) {
				n.Status, n.ReverseStatus = NameTemporary, NameTemporary
			}
			return n
		}
	}
	family := IPv6
	if addr.Is4() {
		family = IPv4
	}
	doubtful := false
	for _, name := range names[:min(len(names), maxNames)] {
		if !ValidName(name) {
			continue
		}
		if n.ReverseStatus != NameVerified {
			n.Reverse, n.ReverseStatus = name, NameVerified
		}
		if slices.Contains(h.lookup(name, family), addr) {
			n.Name, n.Status = name, NameVerified
			return n
		}
		switch addrs, err := r.Addrs(ctx, name, family); {
		case err == nil && slices.Contains(addrs, addr):
			n.Name, n.Status = name, NameVerified
			return n
		case err == nil:
			n.Status = NameForged
		case !errors.Is(err, ErrNotFound):
			doubtful = true
		}
	}
	if doubtful {
		n.Status = NameTemporary
	}
	return n
}

// NS returns the name servers of a domain, without dots at the end.
func (r *Resolver) NS(ctx context.Context, domain string) ([]string, error) {
	rrs, err := r.Lookup(ctx, domain, dns.TypeNS)
	if err != nil {
		return nil, err
	}
	hosts := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		hosts = append(hosts, strings.TrimSuffix(rr.(*dns.NS).Ns, "."))
	}
	return hosts, nil
}

// TXT returns the texts of a name, each with its parts joined.
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	rrs, err := r.Lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	texts := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		texts = append(texts, unescape(strings.Join(rr.(*dns.TXT).Txt, "")))
	}
	return texts, nil
}

// unescape takes the escapes of zone files out of a text (RFC 1035 section 5.1).
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}
