package screen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// The tests before the greeting. A client gets the first line of a greeting that has more
// (postscreen_greet_banner), and must wait for the last one; meanwhile the lists in the
// DNS are asked.

// past is a deadline that ends a wait.
func past() time.Time { return time.Unix(1, 0) }

// testEarly does these tests. It tells whether to hand the client on.
func (s *session) testEarly() bool {
	d := s.d
	s.start("tests before SMTP handshake")
	if s.todo.has(pregreet) && s.write("220-"+d.o.GreetBanner+"\r\n") != nil {
		return s.hangup()
	}
	var r *rank
	if s.todo.has(dnsbl) {
		r = d.rankOf(s.addr)
	}
	result, ok := s.await(r)
	if r != nil && result == nil {
		result = new(d.take(r))
	}
	switch {
	case s.hungUp:
		return s.hangup()
	case !ok && s.ctx.Err() != nil:
		return s.shutdown()
	case !ok: // dropped
		s.discard()
		return s.bye("521 5.5.1 Protocol error")
	}
	if s.todo.has(pregreet) && !s.failedAt.has(pregreet) && !s.done.has(pregreet) {
		s.pass(pregreet, d.o.GreetTTL)
	}
	if d.o.GreetAction == Ignore {
		s.failedAt.drop(pregreet) // and not passed: the next time it is tested again
	}
	if result != nil && !s.ranked(*result) {
		return false
	}
	if s.stays || s.passed&deepTests != s.todo&deepTests {
		return s.talk()
	}
	return s.conclude()
}

// await waits until the tests are over: for as long as a client has to hold its tongue, or
// else for the lists. ok is false for a client that is done with. The score is there if it
// has been taken.
func (s *session) await(r *rank) (result *score, ok bool) {
	d := s.d
	end := s.started.Add(under(d.clients, d.o.GreetWait, d.o.StressGreetWait))
	listed := context.Background() // never
	if r != nil {
		listed = r.done
	}
	for s.done&early != s.todo&early && d.now().Before(end) {
		if s.ctx.Err() != nil {
			return result, false
		}
		if result == nil && r != nil && listed.Err() != nil {
			result = new(d.take(r))
			s.allow(*result)
			s.done.add(dnsbl)
			continue
		}
		wake := listed
		if result != nil {
			wake = context.Background()
		}
		if !s.todo.has(pregreet) || s.done.has(pregreet) {
			s.sleep(wake, end)
			continue
		}
		switch said, err := s.listen(wake, end); {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			s.hungUp = true
			return result, false
		case !s.spoke(said):
			return result, false
		}
	}
	return result, true
}

// sleep waits until a time, for wake or for the end of the server.
func (s *session) sleep(wake context.Context, end time.Time) {
	t := time.NewTimer(end.Sub(s.d.now()))
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake.Done():
	case <-s.ctx.Done():
	}
}

// listen waits for words of the client, which stay to be read. Its other ends are those of
// sleep; they are os.ErrDeadlineExceeded.
func (s *session) listen(wake context.Context, end time.Time) (said []byte, err error) {
	nc := s.nc
	nc.SetReadDeadline(end)
	var mu sync.Mutex
	over := false // guarded by mu: a ring that comes late must not end a later wait
	ring := func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			nc.SetReadDeadline(past())
		}
	}
	stop1, stop2 := context.AfterFunc(wake, ring), context.AfterFunc(s.ctx, ring)
	said, s.nc, err = peek(nc)
	stop1()
	stop2()
	mu.Lock()
	over = true
	mu.Unlock()
	s.nc.SetReadDeadline(time.Time{})
	return said, err
}

// spoke is a client that did not wait for its turn. It tells whether to go on.
func (s *session) spoke(said []byte) bool {
	s.d.logf("PREGREET %d after %s from %s: %s", len(said), s.elapsed(), s.at, cut(escape(said)))
	s.failedAt.add(pregreet)
	s.done.add(pregreet)
	switch s.d.o.GreetAction {
	case Drop:
		return false
	case Enforce:
		s.enforce("550 5.5.1 Protocol error")
	}
	return true
}

// allow has a client with a good name pass the other tests (postscreen_dnsbl_allowlist_threshold).
func (s *session) allow(r score) {
	o := &s.d.o
	if o.AllowThreshold >= 0 || r.total > o.AllowThreshold || r.total >= o.DNSBLThreshold || s.failing() {
		return
	}
	c, end := s.d.clients, until(s.d.now(), r.ttl)
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range numTests {
		if t == dnsbl {
			continue
		}
		if s.todo.has(t) && !s.passed.has(t) {
			s.done.add(t)
			s.passed.add(t)
		}
		// Also where it is disabled: enabling it later does not concern this client.
		s.client.stamps.extend(t, end)
	}
}

// ranked is what comes of a rank. It is false when that was the end.
func (s *session) ranked(r score) bool {
	d := s.d
	if !s.done.has(dnsbl) {
		s.allow(r)
	}
	if r.total < d.o.DNSBLThreshold {
		s.pass(dnsbl, r.ttl)
		return true
	}
	d.logf("DNSBL rank %d for %s", r.total, s.at)
	reply := fmt.Sprintf(" 5.7.1 Service unavailable; client [%s] blocked using %s", s.addr, r.name)
	switch d.o.DNSBLAction {
	case Drop:
		s.failedAt.add(dnsbl)
		return s.bye("521" + reply)
	case Enforce:
		s.failedAt.add(dnsbl)
		s.enforce("550" + reply)
	}
	return true // and not passed: it is tested again
}
