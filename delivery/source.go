package delivery

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Where connections are made from, by the class of mail: what receivers think of one address
// is then no trouble of the other's. A connection of one class never carries mail of another
// one that is to leave from elsewhere.

// The classes of mail (ours: smtp_bind_address_maps).
const (
	ClassUnauthenticated = "unauthenticated" // looked at, and nothing says who it is from
	ClassNotice          = "notice"          // reports of our own
	ClassSubmitted       = "submitted"       // of our own users: by sendmail(1), logged in, or as one of ours from mynetworks
	ClassForwarded       = "forwarded"       // all other mail
)

// Classes are all of them.
func Classes() []string {
	return []string{ClassUnauthenticated, ClassNotice, ClassSubmitted, ClassForwarded}
}

// classOf is the class of a message.
func classOf(env *mail.Envelope) string {
	// RFC 3848: the A behind ESMTP and ESMTPS is for a client that has logged in.
	login := strings.HasSuffix(env.Client.Protocol, "A")
	// A submission is not judged, and may be vouched for all the same.
	login = login || env.Auth.Vouched && env.Auth.DMARC == ""
	switch {
	case env.Flags&mail.FlagNotice != 0:
		return ClassNotice
	case env.Auth.Unauthenticated():
		return ClassUnauthenticated
	case env.Flags&mail.FlagSubmitted != 0 || login:
		return ClassSubmitted
	}
	return ClassForwarded
}

// Source is the addresses to connect from. A family without one is not used. The zero
// Source is none: connections are made from where all others are.
type Source struct{ IPv4, IPv6 netip.Addr }

func (f Source) chosen() bool { return f != Source{} }

// of is the address to connect to an address from.
func (f Source) of(to netip.Addr) netip.Addr {
	if to.Unmap().Is4() {
		return f.IPv4
	}
	return f.IPv6
}

// chooseSource says where the connections for a message are made from; a failure, that
// nobody knows.
func (w *worker) chooseSource(ctx context.Context, j *job) *failure {
	if w.set.Sources == nil {
		return nil
	}
	hops, _, err := w.nextHops()
	if err != nil {
		return nil // it is said when they are needed
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTime)
	defer cancel()
	class := classOf(j.a.Env)
	from, _, err := w.set.Sources(ctx, class, hops[0].names())
	if err != nil {
		w.log.Warn(err.Error(), mail.KeyQueueID, j.a.Env.ID.String())
		return local(mail.Code(4, 3, 0), "cannot tell which address to connect from")
	}
	j.from = from
	return nil
}

// names are what the tables of sources may know a next hop by, in lower case: as it is
// written, without the port, and the bare domain or host.
func (h *nextHop) names() []string {
	written := strings.ToLower(h.name())
	portless := written
	if end := strings.IndexByte(written, ']'); h.path == "" && end >= 0 {
		portless = written[:end+1]
	} else if h.path == "" && strings.Count(written, ":") == 1 {
		portless, _, _ = strings.Cut(written, ":")
	}
	return slices.Compact([]string{written, portless, strings.ToLower(h.domain)})
}

// sourceTime is how long a table may take to say it.
const sourceTime = 30 * time.Second

// hostsFrom are the hosts of a next hop that can be connected to from there.
func (s *search) hostsFrom(ctx context.Context, hop nextHop, from Source) []host {
	all := s.hosts(ctx, hop)
	if !from.chosen() || len(all) == 0 {
		return all
	}
	some := slices.DeleteFunc(all, func(h host) bool { return h.path == "" && !from.of(h.addr).IsValid() })
	if len(some) == 0 {
		s.why = local(mail.Code(4, 4, 4), hop.domain+": no address to connect from for this class of mail")
	}
	return some
}

// localAddr is our end of a connection; not valid where it is none of IP.
func localAddr(nc net.Conn) netip.Addr {
	if a, ok := nc.LocalAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// nameOurselves chooses the name for EHLO: the one that the address belongs to, for a server
// may compare. When nobody knows it has told the job.
func (s *session) nameOurselves(ctx context.Context, j *job) bool {
	s.helo = s.set.HeloName
	if s.set.HeloNames == nil || !s.local.IsValid() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTime)
	defer cancel()
	name, found, err := s.set.HeloNames(ctx, s.local)
	if err != nil {
		s.log.Warn(err.Error(), mail.KeyQueueID, j.a.Env.ID.String())
		j.fail(local(mail.Code(4, 3, 0), "cannot tell which name to use from "+s.local.String()), s)
		return false
	}
	if found {
		s.helo = name
	}
	return true
}
