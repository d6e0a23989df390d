package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Who answers for a destination: the names of the hosts of its first next hop. The later
// ones, and the fallback relays, are where mail goes when these fail, and say nothing
// about what these bear.

const (
	// siteTime bounds the look for MX records. A destination that takes longer is a site
	// of its own until it is asked again.
	siteTime = 10 * time.Second
	// siteName is how long a name may be that spells its hosts out.
	siteName = 200
	smtpPort = 25
)

// Site returns who answers for dest. The name is made of the hosts' names in lower case
// and of the port, where that is not 25: the same for every domain with the same hosts, in
// whatever order it lists them. Hosts that are no better than ourselves are left out
// (RFC 5321 section 5.1). What is no next hop of SMTP or LMTP has no site, which is no
// error. It asks for MX records at most, never for longer than 10 s; a next hop that is a
// host, an address or a socket needs no question at all.
func (c *Client) Site(ctx context.Context, dest mail.Dest) (mail.Site, error) {
	set := c.settings(dest)
	hop, err := set.firstHop(dest)
	switch {
	case err != nil:
		return mail.Site{}, err
	case hop.path != "":
		return mail.Site{Name: hop.path}, nil
	case hop.domain == "":
		return mail.Site{}, nil
	case hop.direct || !set.DNSEnabled:
		return makeSite([]string{strings.ToLower(aLabels(hop.domain))}, hop.port), nil
	}
	ctx, cancel := context.WithTimeout(ctx, siteTime)
	defer cancel()
	s := &search{settings: set, mayLoop: hop.port == smtpPort}
	hosts, err := s.exchangers(ctx, hop.domain)
	if err != nil {
		return mail.Site{}, err
	}
	return makeSite(hosts, hop.port), nil
}

// FirstHop is the domain or host that the first next hop of dest names, and the port; ""
// where it has none.
func (c *Client) FirstHop(dest mail.Dest) (domain string, port uint16) {
	hop, err := c.settings(dest).firstHop(dest)
	if err != nil || hop.path != "" {
		return "", 0
	}
	return strings.ToLower(hop.domain), hop.port
}

// firstHop is the first next hop; a zero one where dest is not of SMTP or LMTP.
func (s *settings) firstHop(dest mail.Dest) (nextHop, error) {
	text := dest.NextHop()
	switch s.protocol(dest.Transport()) {
	case protoSMTP:
		return parseNextHop(firstOf(text), s.DefaultPort)
	case protoLMTP:
		if path, ok := strings.CutPrefix(text, "unix:"); ok {
			return nextHop{path: path}, nil
		}
		hop, err := parseNextHop(firstOf(strings.TrimPrefix(text, "inet:")), s.LMTPPort)
		hop.direct = true
		return hop, err
	}
	return nextHop{}, nil
}

// exchangers are the names of the hosts of a domain, best first and in lower case. Whether
// one is ourselves is known by its name alone; one that is so by its address is found out
// when mail is sent.
func (s *search) exchangers(ctx context.Context, domain string) ([]string, error) {
	domain = aLabels(domain)
	mxs, err := s.Resolver.MX(ctx, domain)
	if e, ok := errors.AsType[*dns.Error](err); ok && (e.Kind == dns.NoData || s.native && e.Kind == dns.NoName) {
		return []string{strings.ToLower(domain)}, nil // implicit MX
	}
	if err != nil {
		return nil, err
	}
	hosts := make([]string, 0, len(mxs))
	worst := -1
	for _, mx := range mxs {
		if s.mayLoop && s.isOwnName(mx.Host) && worst < 0 {
			worst = int(mx.Pref)
		}
	}
	for _, mx := range mxs {
		name := strings.ToLower(mx.Host)
		if (worst < 0 || int(mx.Pref) < worst) && !slices.Contains(hosts, name) {
			hosts = append(hosts, name)
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New(loop(5, domain).reason)
	}
	return hosts, nil
}

// firstOf is the first of a list of next hops.
func firstOf(s string) string {
	s = strings.TrimLeft(s, ", \t")
	if i := strings.IndexAny(s, ", \t"); i >= 0 {
		return s[:i]
	}
	return s
}

func makeSite(hosts []string, port uint16) mail.Site {
	name := hosts[0]
	if len(hosts) > 1 {
		name = siteOf(hosts)
	}
	if port != smtpPort {
		name = net.JoinHostPort(name, strconv.Itoa(int(port))) // brackets for IPv6
	}
	return mail.Site{Name: name, Hosts: hosts}
}

// siteOf is one name for several hosts. What is too long to be read is made short, and
// stays different for different hosts.
func siteOf(hosts []string) string {
	sorted := slices.Sorted(slices.Values(hosts))
	name := strings.Join(sorted, ",")
	if len(name) <= siteName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return sorted[0] + ",...,#" + hex.EncodeToString(sum[:8])
}
