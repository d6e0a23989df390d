package verify

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// bubble runs f with a Verifier in virtual time.
func bubble(t *testing.T, change func(*Options), f func(t *testing.T, w *world, v *Verifier)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := w.options()
		if change != nil {
			change(&o)
		}
		v := New(o)
		defer v.Close()
		f(t, w, v)
	})
}

// What is found for each kind of address, and that it is found only once.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct{ name, addr, says, want, asked string }{
		{"good", "good@virt.example", "", good, "good@dest.example"},
		{"no such user", "bad@virt.example", "no", refused, "bad@dest.example"},
		{"not now", "full@virt.example", "later", "deferred 4.2.0 (host said: 450 4.2.0 later)", "full@dest.example"},
		{"unreachable", "x@virt.example", "down", "deferred 4.4.1 (connect to h: Connection refused)", "x@dest.example"},
		{"unreported", "x@virt.example", "silent", "deferred 4.3.0 (unknown mail transport error)", "x@dest.example"},
		{"alias for several", "team@virt.example", "", "deliverable 2.0.0 (aliased to multiple recipients)", ""},
		{"no alias", "unknown@virt.example", "", "refused 5.1.1 (User unknown in virtual alias table)", "unknown@virt.example"},
		{"malformed", "malformed@virt.example", "", "refused 5.1.3 (Bad recipient address syntax)", ""},
		{"ourselves", "Double-Bounce@mx.example.com", "", "deliverable 2.0.0 (sender of address verification probes)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
				w.say(strings.Replace(c.addr, "virt", "dest", 1), c.says)
				want(t, "verdict", ask(t, v, c.addr), c.want)
				want(t, "again", ask(t, v, c.addr), c.want)
				want(t, "as a sender", ask(t, v, strings.Replace(c.addr, "virt.example", "VIRT.example", 1)), c.want)
				want(t, "probes", w.asked(), c.asked)
			})
		})
	}
}

// The next hop's own address is known with that of the alias.
func TestTargetIsKnownToo(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
		want(t, "alias", ask(t, v, "good@virt.example"), good)
		want(t, "target", ask(t, v, "good@dest.example"), good)
		want(t, "probes", w.asked(), "good@dest.example")
	})
}

// Tables that cannot answer say nothing about the address: the next question tries again.
func TestTablesFail(t *testing.T) {
	for addr, answer := range map[string]string{
		"loop@virt.example":  "deferred 4.6.0 (Alias expansion error)",
		"panic@virt.example": "deferred 4.3.0 (Temporary lookup failure)",
	} {
		bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
			want(t, addr, ask(t, v, addr), answer)
			synctest.Wait()
			if len(v.cache.entries) != 0 {
				t.Errorf("%s: is remembered", addr)
			}
		})
	}
}

// A question waits (poll_count-1) * poll_delay and no longer.
func TestPoll(t *testing.T) {
	for _, c := range []struct {
		count         int
		delay, takes  time.Duration
		want, waited  string
		afterThatSays string
	}{
		{3, 3 * time.Second, time.Second, good, "1s", good},
		{3, 3 * time.Second, 6*time.Second - 1, good, "5.999999999s", good},
		{3, 3 * time.Second, 7 * time.Second, "pending", "6s", good},
		{1, 3 * time.Second, time.Second, "pending", "0s", good},
		{0, 3 * time.Second, time.Second, "pending", "0s", good},
	} {
		t.Run(fmt.Sprintf("%d*%s takes %s", c.count, c.delay, c.takes), func(t *testing.T) {
			bubble(t, func(o *Options) { o.PollCount, o.PollDelay = c.count, c.delay }, func(t *testing.T, w *world, v *Verifier) {
				w.takes = c.takes
				begin := time.Now()
				want(t, "verdict", ask(t, v, "a@virt.example"), c.want)
				want(t, "waited", time.Since(begin).String(), c.waited)
				time.Sleep(10 * time.Second)
				want(t, "later", ask(t, v, "a@virt.example"), c.afterThatSays)
				want(t, "probes", w.asked(), "a@dest.example")
			})
		})
	}
}

// However many ask at once, there is one probe; who has no more patience leaves alone.
func TestOneProbeForAll(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
		var wg sync.WaitGroup
		begin := time.Now()
		for range 50 {
			wg.Go(func() { want(t, "verdict", ask(t, v, "a@virt.example"), good) })
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		wg.Go(func() {
			verdict, err := v.VerifySender(hasty, mail.SplitAddress("a@virt.example"))
			want(t, "who hung up", fmt.Sprint(short(verdict), err), "pending<nil>")
			want(t, "after", time.Since(begin).String(), "500ms")
		})
		wg.Wait()
		want(t, "probes", w.asked(), "a@dest.example")
	})
}

// The times of verify(8).
func TestTimes(t *testing.T) {
	const addr, to = "a@virt.example", "a@dest.example"
	type step struct {
		after      time.Duration
		says, want string
		probe      bool // whether this question sends one
	}
	deferredNow := "deferred 4.2.0 (host said: 450 4.2.0 later)"
	for _, c := range []struct {
		name   string
		change func(*Options)
		steps  []step
	}{
		{"good: refreshed after 7 days, at once known", nil, []step{
			{0, "", good, true}, {7*day - 10*time.Second, "", good, false}, {20 * time.Second, "", good, true}, {7*day - 10*time.Second, "", good, false},
		}},
		{"good: a failed probe does not change it before it expires", nil, []step{
			{0, "", good, true}, {8 * day, "no", good, true}, {time.Minute, "no", good, false}, {probeTTL, "no", good, true},
			{day, "later", good, true}, {22 * day, "no", refused, true},
		}},
		{"good: gone after 31 days", nil, []step{{0, "", good, true}, {31*day + 2*time.Second, "no", refused, true}}},
		{"bad: refreshed after 3 hours", nil, []step{
			{0, "no", refused, true}, {3*time.Hour - 10*time.Second, "no", refused, false}, {20 * time.Second, "", refused, true}, {2 * time.Second, "", good, false},
		}},
		{"deferred: is bad, too", nil, []step{
			{0, "later", deferredNow, true}, {3*time.Hour - 10*time.Second, "", deferredNow, false}, {20 * time.Second, "no", deferredNow, true}, {2 * time.Second, "", refused, false},
		}},
		{"bad: gone after 3 days", nil, []step{{0, "no", refused, true}, {3*day + 2*time.Second, "", good, true}}},
		{"without negative cache", func(o *Options) { o.NegativeCache = false }, []step{
			{0, "no", "pending", true}, {10 * time.Second, "no", "pending", true}, {10 * time.Second, "", good, true}, {time.Second, "no", good, false},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, c.change, func(t *testing.T, w *world, v *Verifier) {
				for i, s := range c.steps {
					time.Sleep(s.after)
					w.say(to, s.says)
					want(t, fmt.Sprintf("step %d", i), ask(t, v, addr), s.want)
					time.Sleep(2 * time.Second) // a refresh goes on behind the answer
					asked := ""
					if s.probe {
						asked = to
					}
					if s.want == "pending" { // each look is a probe
						asked = to + " " + to + " " + to
					}
					want(t, fmt.Sprintf("step %d, probes", i), w.asked(), asked)
				}
			})
		})
	}
}

// Shutdown: who waits is answered, probes under way are waited for, nothing is learnt of
// having been cut off.
func TestStop(t *testing.T) {
	bubble(t, func(o *Options) { o.DestConcurrency = 1 }, func(t *testing.T, w *world, v *Verifier) {
		var wg sync.WaitGroup
		for _, a := range []string{"a@virt.example", "b@virt.example", "slow@virt.example"} {
			wg.Go(func() { want(t, a, ask(t, v, a), "pending") })
		}
		time.Sleep(time.Second / 2)
		begin := time.Now()
		v.Close()
		wg.Wait()
		want(t, "shutdown took", time.Since(begin).String(), "0s")
		if len(v.cache.entries) != 0 || w.works != 0 {
			t.Errorf("%d entries, %d at work", len(v.cache.entries), w.works)
		}
		want(t, "after that", ask(t, v, "c@virt.example"), "error: "+ErrClosed.Error())
	})
}

func TestNullSender(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
		verdict, err := v.VerifySender(t.Context(), mail.Address{})
		if err != nil || verdict.State != mail.VerdictDeliverable {
			t.Errorf("%v, %v", verdict, err)
		}
		want(t, "probes", w.asked(), "")
	})
}

// The lines of a probe, as recorded from Postfix.
func TestLog(t *testing.T) {
	for _, c := range []struct{ addr, says, want string }{
		{"good@virt.example", "", `verify cache btree:/verify_cache full cleanup: retained=0 dropped=0 entries
cleanup message-id queue_id=000000000001 message_id=<20000101000000.000000000001@mx.example.com>
qmgr active queue_id=000000000001 from=double-bounce@mx.example.com size=235 nrcpt=1
smtp delivery queue_id=000000000001 to=good@dest.example orig_to=good@virt.example relay=dest.example[192.0.2.1]:25 delay=1s delays=[0s 0s 0s 1s] dsn=2.1.5 status=deliverable reason=250 2.1.5 Ok
qmgr removed queue_id=000000000001`},
		{"bad@dest.example", "no", `verify cache btree:/verify_cache full cleanup: retained=0 dropped=0 entries
cleanup message-id queue_id=000000000001 message_id=<20000101000000.000000000001@mx.example.com>
qmgr active queue_id=000000000001 from=double-bounce@mx.example.com size=235 nrcpt=1
smtp delivery queue_id=000000000001 to=bad@dest.example relay=dest.example[192.0.2.1]:25 delay=1s delays=[0s 0s 0s 1s] dsn=5.1.1 status=undeliverable reason=host said: 550 5.1.1 no (in reply to RCPT TO command)
qmgr removed queue_id=000000000001`},
	} {
		bubble(t, func(o *Options) { o.Now = func() time.Time { return time.Now().UTC() } }, func(t *testing.T, w *world, v *Verifier) {
			w.say(c.addr, c.says)
			ask(t, v, c.addr)
			want(t, c.addr, w.log(), c.want)
		})
	}
}

// New parameters hold from the next question on.
func TestUpdate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
		want(t, "before", ask(t, v, "a@virt.example"), good)
		p := w.options().Params
		p.PositiveExpire, p.Sender = time.Hour, "probe@us.example"
		v.Update(p)
		time.Sleep(2 * time.Hour)
		w.say("a@dest.example", "no")
		want(t, "after", ask(t, v, "a@virt.example"), refused)
		if got := w.senders[1]; got != "probe@us.example" {
			t.Errorf("probe from %s", got)
		}
	})
}

// Mail for the sender of probes is recognised as it is written; a bare name is not it.
func TestOwnSender(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
		for addr, own := range map[string]bool{
			"double-bounce@mx.example.com": true, "DOUBLE-bounce@MX.EXAMPLE.COM": true,
			"double-bounce": false, "double-bounce@virt.example": false, "": false,
		} {
			if _, got := v.ProbeSender(mail.SplitAddress(addr)); got != own {
				t.Errorf("%q: %v", addr, got)
			}
		}
	})
}
