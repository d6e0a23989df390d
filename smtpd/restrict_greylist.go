package smtpd

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"aliasmx/internal/mail"
)

// check_greylist (ours): who writes to somebody from somewhere for the first time is asked to
// come again. It answers as postgrey's policy server does, and as there what stands in front
// of it in the list decides who is asked at all.

// Greylist is what check_greylist asks. All of it is safe for concurrent use.
type Greylist struct {
	List      GreylistTable
	Whitelist Networks // greylist_whitelist_clients; nil: nobody
	// SPFPasses tells whether a sender's own SPF record lets this client send for him
	// (greylist_spf_pass_exempt): it is asked about mail that would not be taken yet, and may
	// wait as long as ctx lives. nil: nobody knows.
	SPFPasses func(ctx context.Context, client mail.Client, sender mail.Address) bool
}

// GreylistTable is the table of who has written to whom: *greylist.List.
type GreylistTable interface {
	// Known tells whether mail would be taken now, and notes nothing.
	Known(client netip.Addr, sender, recipient mail.Address) bool
	// Check notes that mail came, and returns for how long it is not to be taken yet; 0: it is.
	Check(client netip.Addr, sender, recipient mail.Address) time.Duration
}

func (s *session) checkGreylist(ctx context.Context, _ *Restriction) outcome {
	g := s.o.Greylist
	if g == nil {
		return s.misconfigured()
	}
	j := &s.judged
	if !j.hasRcpt || !s.tx.active || !s.peer.Addr.IsValid() || s.login.username != "" {
		return dunno
	}
	if g.Whitelist != nil {
		listed, err := g.Whitelist.Match(ctx, s.peer.Name, s.peer.Addr)
		if err != nil {
			s.warn("greylist_whitelist_clients: " + err.Error())
			return s.unanswered(j.about.String())
		}
		if listed {
			return dunno
		}
	}
	rcpt := s.o.Recipients.Complete(j.rcpt)
	if g.SPFPasses != nil && !g.List.Known(s.peer.Addr, s.tx.from, rcpt) &&
		g.SPFPasses(ctx, mail.Client{Name: s.peer.Name, Addr: s.peer.Addr, Port: s.peer.Port, Helo: s.helo}, s.tx.from) {
		return dunno
	}
	wait := g.List.Check(s.peer.Addr, s.tx.from, rcpt)
	if wait <= 0 {
		return dunno
	}
	// Rounded up: whoever comes back after that many seconds is not too early.
	seconds := strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
	return s.deferLater(true, s.rcptSub(), 450, mail.Code(4, 2, 0), "Greylisted, try again in "+seconds+" seconds")
}
