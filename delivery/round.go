package delivery

import (
	"context"
	"errors"
	"fmt"

	"aliasmx/internal/mail"
)

// round is one message going from host to host of one next hop, until nobody is left or
// the limits are reached: smtp_mx_address_limit counts the hosts, smtp_mx_session_limit
// those of them that a conversation came about with.
type round struct {
	w       *worker
	j       *job
	hosts   []host
	domain  string // the next hop's
	mayLoop bool
	direct  bool     // the next hop is a host that the operator or sender has named
	lastHop bool     // no other next hop comes after this
	open    *session // to the first host, when it is there already
	hop     nextHop
	full    bool // there was no slot at a host: this is ours to bear, and no host's turn
	wasOpen bool // open was used
	anew    bool // a connection that waited was stale: no more of these
}

// run tells whether the connection that was there already turned out to be stale; then
// whoever is left is to be tried anew.
func (r *round) run(ctx context.Context) (stale bool) {
	j, set := r.j, r.w.set
	plain := false // this host once more, without TLS
	again := false // this host once more
	tried, talks := 0, 0
	from := 0
	if r.open != nil {
		from = 1
	}
	r.w.c.hosts.arrange(r.hosts, from, set.Now())
	for i := 0; i < len(r.hosts); {
		tried++
		end := i == len(r.hosts)-1 || tried == set.MXAddressLimit
		last := end || r.hosts[i+1].shunned && !r.hosts[i].shunned // those in penalty are for want of others
		s, ready := r.session(ctx, i, plain, again, r.lastHop && last)
		if r.full {
			r.lastHop = true
			return false
		}
		if ready {
			if talks++; talks == set.MXSessionLimit {
				last = true
			}
			s.final = r.lastHop && last
			s.transfer(ctx, j)
		}
		plain = s != nil && s.plainNext
		if again = s != nil && (s.plainNext || s.again); again {
			tried--
			if ready {
				talks--
			}
		}
		j.nextHost()
		done := len(j.left) == 0 || last && !again && (end || s != nil)
		switch {
		case s == nil:
		case ready && done && !again && s.mayServe() && ctx.Err() == nil:
			r.keep(s, i)
		default:
			s.end()
		}
		if s != nil && s.stale {
			if r.wasOpen {
				return true
			}
			r.anew, again = true, true
			tried--
			talks--
			continue
		}
		if done {
			return false
		}
		if !again {
			i++
		}
	}
	return false
}

// session gives a connection to a host, ready for mail or not: then the job has been
// told why. It is nil when there was none at all.
func (r *round) session(ctx context.Context, i int, plain, again, final bool) (s *session, ready bool) {
	if s, r.open = r.open, nil; s != nil {
		r.wasOpen = true
		s.heed(r.j)
		return s, true
	}
	r.wasOpen = false
	w := r.w
	if ctx.Err() != nil {
		r.j.note(stopping())
		return nil, false
	}
	if !plain && !again && !r.anew {
		if s := r.parked(ctx, i); s != nil {
			w.free = func() { s.conn.Close(); s.closed(); s.free() }
			s.heed(r.j)
			return s, true
		}
	}
	free, full := r.slot(ctx, i, again)
	if full != nil {
		r.full = true
		r.j.note(full)
		return nil, false
	}
	w.free = free // in case of a panic
	defer func() {
		if s == nil {
			free()
		}
	}()
	h := r.hosts[i]
	choice, f := r.choose(ctx, &h)
	if f != nil {
		w.reportNone(r.peer(&h), choice, &h, f)
		r.j.note(f)
		return nil, false
	}
	if plain {
		*choice = mail.TLSChoice{Level: mail.TLSNone, Asked: mail.TLSMay}
	}
	r.j.tls = tlsName(choice)
	if choice.Level != mail.TLSNone {
		r.j.tls += "?"
	}
	w.c.makeRoom(w.set.ConnectionLimit)
	nc, err := w.set.connect(ctx, &h, r.j.from)
	if err != nil {
		w.c.open.Add(-1)
		if isHosts(err) {
			w.c.hosts.failed(&h, w.set.Now())
		}
		f := w.connectFailed(&h, err)
		f.site = f.site && !(err == errNotBound && r.j.from.chosen()) // other classes may get through
		r.j.note(f)
		return nil, false
	}
	w.free = func() { nc.Close(); free() }
	w.c.hosts.worked(&h)
	s = newSession(w, h, r.hop, nc, free)
	s.mayLoop, s.final, s.peer, s.from = r.mayLoop, final, r.peer(&h), r.j.from
	w.free = func() { nc.Close(); s.closed(); free() }
	s.unreported = w.set.asksForNoPolicy(r.j.a)
	return s, s.hello(ctx, r.j, choice)
}

// peer is a host as whoever decides on its TLS sees it.
func (r *round) peer(h *host) mail.TLSPeer {
	return mail.TLSPeer{
		NextHop: r.hop.name(), Domain: r.domain, Host: h.name, Port: h.port,
		ByMX: !r.direct && r.w.set.DNSEnabled, LMTP: r.w.proto == protoLMTP,
	}
}

// choose says how a connection to a host is to be secured for this message; a failure,
// that there must be none. The choice is never nil.
func (r *round) choose(ctx context.Context, h *host) (*mail.TLSChoice, *failure) {
	w := r.w
	choice, err := w.tlsFor(ctx, r.peer(h))
	if (err != nil || choice.Level.Must()) && w.set.asksForNoPolicy(r.j.a) {
		choice, err = mail.TLSChoice{Level: mail.TLSMay}, nil
	}
	if err != nil {
		w.log.Warn("TLS policy lookup for " + r.hop.name() + "/" + h.name + ": " + err.Error())
		f := ofError(err, err.Error())
		if f.status.Enhanced == mail.Code(4, 3, 0) {
			f.status.Enhanced = mail.Code(4, 7, 5)
		}
		f.site = true
		if e, ok := errors.AsType[*mail.TLSError](err); ok {
			f.tls = e.Result
		}
		return &choice, f
	}
	if w.set.WrapperMode && !choice.Level.Must() {
		w.log.Warn(fmt.Sprintf("%[1]s_tls_wrappermode requires \"%[1]s_tls_security_level = encrypt\" (or stronger)", w.proto))
		return &choice, siteFailure(mail.Code(4, 3, 0), "server unavailable or unable to receive mail")
	}
	return &choice, w.enforce(&choice, r, h)
}

// keep leaves the connection open for the next message, which may find it refused here
// and then goes to the other hosts. Where another next hop is about to be tried, that one's
// connection is the one to keep.
func (r *round) keep(s *session, i int) {
	if len(r.j.left) > 0 && !r.lastHop {
		s.end()
		return
	}
	route := r.hosts
	if i > 0 {
		route = append(make([]host, 0, len(r.hosts)), r.hosts[i])
		route = append(append(route, r.hosts[:i]...), r.hosts[i+1:]...)
	}
	r.w.sess, r.w.route, r.w.direct, r.w.lastHop = s, route, r.direct, r.lastHop
}
