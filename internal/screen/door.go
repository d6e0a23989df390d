package screen

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"aliasmx/internal/mail"
)

// Door decides which clients of a service get to smtpd. It is safe for concurrent use.
type Door struct {
	o       Options
	tests   tests // that are enabled
	clients *Clients
	ranks   ranks
	log     *slog.Logger
	lists   *slog.Logger // of dnsblog(8), which asks the lists in Postfix
	now     func() time.Time
	ehlo    []string // the keywords of the engine
}

// New makes a Door. It is of use once it has joined Clients.
func New(o Options) (*Door, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.LogName == "" {
		o.LogName = "postscreen"
	}
	d := &Door{o: o, tests: o.enabled(), now: o.Now, ranks: ranks{byAddr: map[netip.Addr]*rank{}}}
	d.log, d.lists = o.Log.With(mail.KeyDaemon, o.LogName), o.Log.With(mail.KeyDaemon, "dnsblog")
	for i := range d.o.Sites {
		if err := d.nameSite(&d.o.Sites[i]); err != nil {
			return nil, err
		}
	}
	d.ehlo = d.keywords()
	return d, nil
}

// nameSite finds out what clients are told of a list.
func (d *Door) nameSite(s *Site) error {
	if d.o.ReplyMap == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	shown, found, err := d.o.ReplyMap.Lookup(ctx, s.Domain)
	if err != nil {
		return fmt.Errorf("%s: %w", d.o.ReplyMap.Name(), err)
	}
	if found {
		s.shown = shown
	}
	return nil
}

// Join tells a Door of the Clients that all Doors share. It comes before the first Admit.
func (d *Door) Join(c *Clients) {
	d.clients = c
	c.begin()
}

func (d *Door) logf(format string, args ...any) { d.log.Info(fmt.Sprintf(format, args...)) }

// session is one connection at the door.
type session struct {
	d      *Door
	ctx    context.Context // ends when the server does
	nc     net.Conn
	addr   netip.Addr
	at     string // [client]:port, as the log has it
	server netip.AddrPort
	client *client

	todo, passed, failedAt, done tests
	isNew                        bool // some test was never passed
	denied, vetoed               bool // the access list, postscreen_allowlist_interfaces
	stays                        bool // is not handed on
	hungUp                       bool

	phase   string // of the tests, for the log
	started time.Time

	final     string // the last words
	rcptReply string // how recipients are refused
}

// Admit sees to a client that has just connected, until it is clear what becomes of it.
// It returns the connection to go on with, or nil when there is nothing to go on with and
// the connection is closed. taken is to be called once smtpd has taken the client or let
// it go. ctx ends the wait of all clients, who are told so.
func (d *Door) Admit(ctx context.Context, nc net.Conn, client, server netip.AddrPort) (on net.Conn, taken func()) {
	s := &session{
		d: d, ctx: ctx, nc: nc, addr: client.Addr(), server: server,
		at:        fmt.Sprintf("[%s]:%d", client.Addr(), client.Port()),
		final:     "421 4.3.2 Service currently unavailable",
		rcptReply: "450 4.3.2 Service currently unavailable",
	}
	d.logf("CONNECT from %s to [%s]:%d", s.at, server.Addr(), server.Port())
	s.client = d.clients.enter(s.addr, d)
	if s.look() {
		d.clients.waiting(1)
		return s.nc, func() {
			d.clients.waiting(-1)
			d.clients.leave(s.addr, d)
		}
	}
	d.logf("DISCONNECT %s", s.at)
	d.clients.leave(s.addr, d)
	s.nc.Close()
	return nil, nil
}

// look goes through everything that is asked of a client. It tells whether to hand it on.
func (s *session) look() bool {
	d := s.d
	if reason, reply := s.crowded(); reason != "" {
		d.logf("NOQUEUE: reject: CONNECT from %s: %s", s.at, reason)
		return s.bye(reply)
	}
	switch d.judge(s.ctx, s.addr) {
	case reject:
		d.logf("%s %s", d.old("DENYLISTED", "BLACKLISTED"), s.at)
		switch d.o.Denylist {
		case Drop:
			s.denied = true
			return s.bye("521 5.3.2 Service currently unavailable")
		case Enforce:
			s.denied = true
			s.enforce("550 5.3.2 Service currently unavailable")
		}
	case permit:
		d.logf("%s %s", d.old("ALLOWLISTED", "WHITELISTED"), s.at)
		return s.conclude()
	}
	if s.known() {
		d.logf("PASS OLD %s", s.at)
		return s.conclude()
	}
	if !s.primary() {
		s.vetoed, s.stays = true, true
		d.logf("%s %s", d.old("ALLOWLIST VETO", "WHITELIST VETO"), s.at)
	}
	if s.full() {
		d.logf("reject: connect from %s: all screening ports busy", s.at)
		return s.bye("421 4.3.2 All screening ports are busy")
	}
	switch {
	case s.todo&early != 0:
		return s.testEarly()
	case s.todo&deepTests != 0 || s.stays:
		return s.talk()
	}
	return s.conclude()
}

// old is the name that things have in the log.
func (d *Door) old(name, before string) string {
	if d.o.OldNames {
		return before
	}
	return name
}

// crowded tells why a client is not even looked at.
func (s *session) crowded() (reason, reply string) {
	c := s.d.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	switch o := &s.d.o; {
	case o.ClientConnections > 0 && s.client.open > o.ClientConnections:
		return "too many connections", "421 4.7.0 Error: too many connections"
	case o.PostQueueLimit > 0 && c.post >= o.PostQueueLimit:
		return "all server ports busy", "421 4.3.2 All server ports are busy"
	}
	return "", ""
}

func (s *session) full() bool {
	c := s.d.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.d.o.PreQueueLimit > 0 && c.check-c.post >= s.d.o.PreQueueLimit
}

// known finds out which tests there are to do, and tells whether the client has passed all
// of them lately. Only one connection at a time profits from the allow list.
func (s *session) known() bool {
	c, now := s.d.clients, s.d.now().Unix()
	c.mu.Lock()
	defer c.mu.Unlock()
	old, listed := c.allowed.entries[s.addr]
	switch {
	case !s.failing() && s.client.open == 1 && listed:
		s.client.stamps = old
		s.todo, s.isNew = old.todo(s.d.tests, now), old.isNew()
		return s.todo == 0
	case s.client.open > 1:
		s.todo, s.isNew = s.client.stamps.todo(s.d.tests, now), s.client.stamps.isNew()
	default:
		s.client.stamps = stamps{}
		s.todo, s.isNew = s.d.tests, true
	}
	return false
}

// primary tells whether the client has connected to an address where it may get onto the
// allow list (POSTSCREEN_README: "Postscreen as a backup MX"). If nobody can say: no.
func (s *session) primary() bool {
	if s.d.o.Interfaces == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
	defer cancel()
	ok, err := s.d.o.Interfaces.Match(ctx, "", s.server.Addr())
	if err != nil {
		s.d.log.Warn("postscreen_allowlist_interfaces: " + err.Error())
	}
	return ok && err == nil
}

// failing tells whether something is wrong with the client.
func (s *session) failing() bool { return s.denied || s.vetoed || s.failedAt != 0 }

// enforce has the engine refuse all recipients.
func (s *session) enforce(reply string) { s.rcptReply, s.stays = reply, true }

// bye ends the connection with last words.
func (s *session) bye(reply string) bool {
	s.final, s.stays = reply, true
	return s.conclude()
}

// hangup is a client that has gone.
func (s *session) hangup() bool {
	s.hungUp, s.stays = true, true
	s.d.logf("HANGUP after %s from %s in %s", s.elapsed(), s.at, s.phase)
	return s.conclude()
}

// shutdown is a server that is about to go.
func (s *session) shutdown() bool {
	return s.bye("421 4.3.2 " + s.d.o.MyHostname + " Service shutting down")
}

// conclude ends the tests: what was passed goes onto the allow list. It tells whether to
// hand the client on, and has said goodbye if not.
func (s *session) conclude() bool {
	if s.failing() {
		s.passed = 0
	}
	if s.passed != 0 {
		c := s.d.clients
		c.mu.Lock()
		pass := s.passed == s.todo
		word := "OLD"
		if pass && s.isNew {
			if s.client.passed == 0 {
				word = "NEW"
			}
			s.client.passed++
		}
		c.allowed.put(s.addr, s.client.stamps.kept(s.d.tests))
		c.changed()
		c.mu.Unlock()
		if pass {
			s.d.logf("PASS %s %s", word, s.at)
		}
	}
	if !s.stays {
		return true
	}
	if !s.hungUp {
		s.send(s.final)
	}
	return false
}

// pass and stamp change what is known of the client by a test.
func (s *session) pass(t test, ttl time.Duration) {
	s.passed.add(t)
	s.stamp(t, until(s.d.now(), ttl))
}

func (s *session) stamp(t test, end int64) {
	s.d.clients.mu.Lock()
	s.client.stamps[t] = end
	s.d.clients.mu.Unlock()
}

// start begins a phase of the tests.
func (s *session) start(phase string) { s.phase, s.started = phase, s.d.now() }
