package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// worker is one call of Work: one destination, at most one connection at a time.
type worker struct {
	c     *Client
	set   *settings
	proto protocol
	dest  mail.Dest
	log   *slog.Logger

	// sess is an open connection that waits for the next message; route are the hosts of
	// its next hop, its own first, direct that it is named, and lastHop that no other next
	// hop comes after it.
	sess    *session
	route   []host
	direct  bool
	lastHop bool

	job job // the one under way
	// leaving ends when Work is to return: an attempt that has no connection yet goes no
	// further.
	leaving context.Context
	free    func() // gives back the slot of the last connection; nil: there was none
}

// work delivers what src has.
func (w *worker) work(ctx context.Context, src mail.Source) {
	defer w.hangUp()
	w.leaving = ctx
	for idle := time.Duration(0); ; {
		began := w.set.Now()
		a, ok := src.Next(ctx, idle)
		if !ok {
			if ctx.Err() == nil && w.c.ctx.Err() == nil {
				w.rest(w.set.Now().Sub(began))
			}
			return
		}
		if now := w.c.settings(w.dest); now != w.set {
			w.hangUp()
			w.use(now)
		}
		results, feedback := w.attempt(a)
		src.Done(a, results, feedback)
		if ctx.Err() != nil || w.c.ctx.Err() != nil {
			return
		}
		idle = 0
		if w.sess != nil {
			idle = max(min(w.set.CacheTime, w.set.ReuseTime), 0)
			if w.c.hosts.wanted(&w.sess.host) || w.set.NoCacheOnDemand {
				idle = 0 // others are to have its slot
			}
		}
	}
}

func (w *worker) use(set *settings) {
	w.set, w.log = set, set.Log.With(mail.KeyDaemon, set.agent(w.proto))
}

func (w *worker) hangUp() {
	if w.sess != nil {
		w.sess.end()
		w.sess = nil
	}
}

// attempt does one attempt. A panic ends this connection and no more; nobody is decided
// by it.
func (w *worker) attempt(a *mail.Attempt) (results []mail.Result, feedback mail.Feedback) {
	j := w.begin(a)
	defer func() {
		if p := recover(); p != nil {
			w.log.Error(fmt.Sprintf("panic: %v\n%s", p, debug.Stack()), mail.KeyQueueID, a.Env.ID.String())
			w.hangUp()
			if w.free != nil {
				w.free()
			}
			j.left, j.aside, j.why = undecided(j), nil, local(mail.Code(4, 3, 0), "internal error")
			results, feedback = j.finish()
		}
	}()
	if w.proto == protoNone {
		j.agent, j.why = "error", local(mail.Code(4, 3, 0), "mail transport unavailable")
		w.log.Warn("transport " + w.dest.Transport() + " is not known: check transport_maps and its relatives")
		return j.finish()
	}
	// The context is the Client's and not the caller's: an attempt under way is finished.
	ctx := w.c.ctx
	if a.Until != nil {
		var over func()
		ctx, over = j.until(ctx)
		defer over()
	}
	w.deliver(ctx, j)
	return j.finish()
}

// undecided are the positions without a result.
func undecided(j *job) []int {
	has := map[int]bool{}
	for _, r := range j.results {
		has[r.Rcpt] = true
	}
	var left []int
	for pos, n := range j.a.Rcpts {
		if !has[n] {
			left = append(left, pos)
		}
	}
	return left
}

// deliver sends a message over the connection that waited for it, or goes through the
// next hops.
func (w *worker) deliver(ctx context.Context, j *job) {
	if f := w.chooseSource(ctx, j); f != nil {
		j.note(f)
		return
	}
	// A server that speaks unasked is about to leave; and a reply that waits for no
	// command would be taken for the one to the next. Nor does a connection take what it is
	// not logged in for.
	if w.sess != nil && (!w.sess.mayServe() || !w.sess.maySend(j) || w.sess.conn.Moved() || w.sess.from != j.from || !w.sess.suits(ctx, j) || !w.isRight(ctx, j)) {
		w.hangUp()
	}
	if s := w.sess; s != nil {
		w.sess = nil
		r := &round{w: w, j: j, hosts: w.route, domain: s.domain, mayLoop: s.mayLoop, direct: w.direct, lastHop: w.lastHop, open: s, hop: s.hop}
		if stale := r.run(ctx); !stale && (len(j.left) == 0 || w.lastHop || r.full) {
			return
		}
	}
	hops, fallbacks, err := w.nextHops()
	if err != nil {
		w.log.Warn(err.Error())
		j.note(local(mail.Code(4, 3, 5), "mail system configuration error"))
		return
	}
	for i, hop := range hops {
		s := &search{settings: w.set, warn: w.log.Warn, mayLoop: w.proto == protoSMTP && hop.port == 25}
		r := &round{w: w, j: j, hosts: s.hostsFrom(ctx, hop, j.from), domain: hop.domain, mayLoop: s.mayLoop, direct: hop.direct, hop: hop}
		// Where we are a mail exchanger ourselves, and where mail would loop, other next
		// hops would only make it worse.
		r.lastHop = i == len(hops)-1 || s.amMX || len(r.hosts) == 0 && s.why.isLoop()
		if len(r.hosts) == 0 {
			w.unresolved(j, s.why, hop, i >= fallbacks)
		}
		r.run(ctx)
		if len(j.left) == 0 || r.lastHop {
			return
		}
	}
}

// nextHops are those of the destination, then the fallback relays, of which the first
// has the index that is returned.
func (w *worker) nextHops() ([]nextHop, int, error) {
	parse, port := parseNextHops, w.set.DefaultPort
	if w.proto == protoLMTP {
		parse, port = parseLMTP, w.set.LMTPPort
	}
	hops, err := parse(w.dest.NextHop(), port)
	if err != nil || len(w.set.FallbackRelay) == 0 {
		return hops, len(hops), err
	}
	fallback := strings.Join(w.set.FallbackRelay, ",")
	if hops[0].path != "" {
		w.log.Warn(fmt.Sprintf("ignoring \"lmtp_fallback_relay = %s\" setting for non-TCP connections", fallback))
		return hops, len(hops), nil
	}
	more, err := parse(fallback, port)
	return append(hops, more...), len(hops), err
}

// unresolved notes that a next hop has no host. Where the operator has named it, this is
// a mistake in the configuration, which no sender is to suffer from.
func (w *worker) unresolved(j *job, why *failure, hop nextHop, fallback bool) {
	param := ""
	switch relayhost := w.set.RelayHost; {
	case fallback:
		param = w.proto.String() + "_fallback_relay"
	case w.proto == protoSMTP && relayhost != "" && (hop.text == relayhost || w.dest.NextHop() == relayhost):
		param = "relayhost"
	}
	if param != "" && why.permanent() {
		w.log.Warn(param + " configuration problem")
		why.status.Enhanced = mail.Code(4, 3, 5)
	}
	if w.c.ctx.Err() != nil {
		why = stopping()
	}
	j.note(why)
}

func stopping() *failure { return local(mail.Code(4, 3, 2), errStopping.Error()) }
