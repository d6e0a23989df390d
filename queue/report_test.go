package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// ledger is a store that remembers which outcomes carried reports, and what they ended.
type ledger struct {
	*memstore.Store

	mu    sync.Mutex // guards what follows
	lines []string   // "failed recipients | reports born", of each outcome with either
}

func (l *ledger) Apply(o queue.Outcome, done func(queue.Applied)) {
	env, _, err := l.Load(context.Background(), o.Job.ID)
	l.mu.Lock()
	var failed, born []string
	for o := range o.Each {
		for _, r := range o.Results {
			if err == nil && r.State == mail.Failed {
				failed = append(failed, env.Rcpts[r.Rcpt].Final.Local)
			}
		}
	}
	for _, e := range o.Emit {
		_, body, _ := strings.Cut(string(e.Body), "\r\n\r\n")
		born = append(born, strings.TrimSpace(body))
	}
	if len(failed)+len(born) > 0 {
		l.lines = append(l.lines, strings.Join(failed, " ")+" | "+strings.Join(born, "; "))
	}
	l.mu.Unlock()
	l.Store.Apply(o, done)
}

func inLedger(t *testing.T, p queue.Params, f func(r *rig, l *ledger)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{Store: memstore.New(memstore.Options{})}
		defer l.Close()
		r := newRig(t, l.Store, l, p)
		r.run()
		f(r, l)
		r.stop()
	})
}

// Twelve recipients at four destinations, of which three fail at once, three when they
// are tried again, three when the message expires, and three never: each failure is told
// of once, those of one round together, and each report is born in the commit that ends
// those it tells of, and no others.
func TestEachFailureIsReportedOnceInItsRound(t *testing.T) {
	inLedger(t, queue.Params{MaximalQueueLifetime: 2 * time.Hour}, func(r *rig, l *ledger) {
		var rcpts []string
		for i := range 12 {
			to := fmt.Sprintf("r%d@d%d.example", i, i%4)
			rcpts = append(rcpts, to)
			r.hop.answer(to, []string{"550 no", "450 later", "450 for ever", ""}[i/3])
			r.hop.slow(to, time.Duration(1+i%4)*time.Second)
		}
		r.send(sender, rcpts...)
		r.wait(time.Minute)
		for i := 3; i < 6; i++ {
			r.hop.answer(rcpts[i], "550 no more")
		}
		r.wait(5 * time.Hour)
		r.wantQueued("")
		reports := strings.Split(r.notes.all(), "; ")
		told := map[string]int{}
		for _, report := range reports {
			for _, word := range strings.Fields(report) {
				if strings.Contains(word, "@") {
					told[word]++
				}
			}
		}
		for i, to := range rcpts {
			if want := map[bool]int{true: 1}[i < 9]; told[to] != want {
				t.Errorf("%s is in %d reports, want %d", to, told[to], want)
			}
		}
		// Those of a job that delivered to somebody as well come alone: it is recorded at once.
		if len(reports) > 8 {
			t.Errorf("%d reports:\n%s", len(reports), strings.Join(reports, "\n"))
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		var born []string
		for _, line := range l.lines {
			failed, notes, _ := strings.Cut(line, " | ")
			born = append(born, notes)
			if strings.Count(notes, "@") != len(strings.Fields(failed)) ||
				slices.ContainsFunc(strings.Fields(failed), func(local string) bool { return !strings.Contains(notes, local+"@") }) {
				t.Errorf("what is recorded and what is told are not the same: %s", line)
			}
		}
		slices.Sort(born)
		slices.Sort(reports)
		if !slices.Equal(born, reports) {
			t.Errorf("born with outcomes:\n%s\nwritten:\n%s", strings.Join(born, "\n"), strings.Join(reports, "\n"))
		}
	})
}

func elsewhere(_ mail.Address, r mail.Recipient) []mail.Recipient {
	r.Dest = "smtp:elsewhere"
	return []mail.Recipient{r}
}

// Rerouted by an operator while the old way is being tried, and that says no: the log says
// deferred, for the new way is still to be tried; what that says is reported, once.
func TestRequeuedDuringAnAttemptThatFails(t *testing.T) {
	for _, c := range []struct{ then, log, reports string }{
		{"", "status=sent", ""},
		{"550 not here either", "status=bounced", "failed a@dest.example 5.1.1"},
	} {
		t.Run(c.log, func(t *testing.T) {
			in(t, queue.Params{}, func(r *rig) {
				r.hop.slow("a@dest.example", time.Minute)
				r.hop.answer("a@dest.example", "550 no")
				id := r.send(sender, "a@dest.example")
				if err := r.q.Requeue(r.t.Context(), id, elsewhere); err != nil {
					t.Fatal(err)
				}
				r.wait(61 * time.Second)
				if r.log.count("status=bounced") != 0 || r.log.count("dsn=4.1.1 status=deferred reason=said: 550 no") != 1 {
					t.Errorf("log of the attempt:\n%s", strings.Join(r.log.take(), "\n"))
				}
				r.hop.answer("a@dest.example", c.then)
				r.wait(time.Hour)
				r.wantQueued("")
				attempts := slices.DeleteFunc(r.log.take(), func(line string) bool { return !strings.Contains(line, "to=a@dest.example") })
				if len(attempts) != 2 || !strings.Contains(attempts[1], c.log) {
					t.Errorf("attempts in the log:\n%s", strings.Join(attempts, "\n"))
				}
				if got := r.notes.all(); got != c.reports {
					t.Errorf("reports: %q, want %q", got, c.reports)
				}
			})
		})
	}
}

// A failure that is in the log and waits for the rest of its message is one, whatever an
// operator does then: it is told of once, and the recipient is not tried by the new way.
func TestRequeuedWithAFailureInHand(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("a@one.example", "550 no")
		r.hop.answer("b@two.example", "550 no")
		r.hop.slow("b@two.example", time.Minute)
		id := r.send(sender, "a@one.example", "b@two.example")
		if n := r.log.count("to=a@one.example relay=mx[192.0.2.1]:25 delay=0 delays=0/0/0/0 dsn=5.1.1 status=bounced"); n != 1 {
			t.Fatalf("log:\n%s", strings.Join(r.log.take(), "\n"))
		}
		if err := r.q.Requeue(r.t.Context(), id, elsewhere); err != nil {
			t.Fatal(err)
		}
		r.wait(59 * time.Second)
		r.hop.answer("b@two.example", "550 not by the old way")
		r.wait(2 * time.Second)
		r.hop.slow("b@two.example", 0)
		r.wait(time.Hour)
		r.wantQueued("")
		if got := r.notes.all(); got != "failed a@one.example 5.1.1; failed b@two.example 5.1.1" {
			t.Errorf("reports: %s", got)
		}
		if a, b := r.log.count("to=a@one.example"), r.log.count("to=b@two.example"); a != 1 || b != 2 {
			t.Errorf("%d and %d attempts, want 1 and 2:\n%s", a, b, strings.Join(r.log.take(), "\n"))
		}
	})
}

// An outcome that is on its way to the store when an operator reroutes the message gets
// there first: its failure stands, with its report.
func TestRequeueWaitsForTheRecord(t *testing.T) {
	inFaulty(t, func(r *rig, s *faulty) {
		s.slow.Store(int64(time.Second))
		r.hop.answer("a@dest.example", "550 no")
		id := r.send(sender, "a@dest.example")
		err := r.q.Requeue(r.t.Context(), id, elsewhere)
		if err == nil {
			t.Error("rerouted, though it has failed already")
		}
		s.slow.Store(0)
		r.wait(time.Hour)
		r.wantQueued("")
		if got := r.notes.all(); got != "failed a@dest.example 5.1.1" {
			t.Errorf("reports: %s", got)
		}
	})
}

// A message for two destinations that both are late: one warning, of both, and none again
// when an operator has it tried anew.
func TestDelayWarningOnceForAllDestinations(t *testing.T) {
	for name, meddle := range map[string]func(r *rig, id mail.QueueID) error{
		"left alone": func(*rig, mail.QueueID) error { return nil },
		"flushed":    func(r *rig, id mail.QueueID) error { return r.q.FlushID(r.t.Context(), id) },
		"requeued":   func(r *rig, id mail.QueueID) error { return r.q.Requeue(r.t.Context(), id, elsewhere) },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, queue.Params{DelayWarningTime: 4 * time.Hour}, func(r *rig) {
				r.hop.answer("a@one.example", "450 later")
				r.hop.answer("b@two.example", "450 later")
				r.hop.slow("b@two.example", 40*time.Second)
				r.hop.slow("a@one.example", 10*time.Second)
				id := r.send(sender, "a@one.example", "b@two.example")
				const both = "delayed a@one.example 4.2.0 b@two.example 4.2.0"
				r.wait(4 * time.Hour)
				for range 3 {
					r.wait(time.Minute)
					if err := meddle(r, id); err != nil {
						t.Error(err)
					}
				}
				r.wait(5 * time.Minute)
				if got := r.notes.all(); got != both {
					t.Errorf("told: %q, want %q", got, both)
				}
				for range 3 {
					if err := meddle(r, id); err != nil {
						t.Error(err)
					}
					r.wait(2 * time.Minute)
				}
				r.wait(day)
				if got := r.notes.all(); got != both {
					t.Errorf("told in the end: %q, want %q", got, both)
				}
			})
		})
	}
}

// Jobs of one message that are tried at different times warn together: those that would be
// tried soon after the time for it wait for each other.
func TestDelayWarningsMeet(t *testing.T) {
	in(t, queue.Params{DelayWarningTime: 305 * time.Second}, func(r *rig) {
		r.hop.answer("a@one.example", "450 later")
		r.hop.answer("b@two.example", "450 later")
		r.hop.slow("a@one.example", time.Second)
		r.hop.slow("b@two.example", 40*time.Second)
		r.send(sender, "a@one.example", "b@two.example")
		r.wait(day)
		if got, want := r.notes.all(), "delayed a@one.example 4.2.0 b@two.example 4.2.0"; got != want {
			t.Errorf("told: %q, want %q", got, want)
		}
	})
}

// The time for a warning passes while the queue is down, or the queue is started anew
// after it: one warning.
func TestDelayWarningOverRestarts(t *testing.T) {
	for name, up := range map[string]time.Duration{"before": time.Hour, "after": 6 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New(memstore.Options{})
				defer store.Close()
				p := queue.Params{DelayWarningTime: 4 * time.Hour}
				r := newRig(t, store, store, p)
				r.run()
				r.hop.answer("b@dest.example", "450 later")
				r.send(sender, "b@dest.example")
				r.wait(up)
				r.stop()
				first := r.notes.all()
				time.Sleep(12 * time.Hour)
				r = newRig(t, store, store, p)
				r.hop.answer("b@dest.example", "450 later")
				r.run()
				r.wait(day)
				r.stop()
				told := strings.TrimPrefix(first+"; "+r.notes.all(), "; ")
				if told = strings.TrimSuffix(told, "; "); told != "delayed b@dest.example 4.2.0" {
					t.Errorf("told: %q", told)
				}
			})
		})
	}
}
