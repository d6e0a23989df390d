package queue_test

import (
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

const (
	sender = "sender@client.example"
	day    = 24 * time.Hour
)

func TestDelivered(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.slow("b@dest.example", 250*time.Millisecond)
		r.send(sender, "a@virt.example>b@dest.example", "c@dest.example")
		r.wait(time.Second)
		r.wantLog(
			"qmgr Q1: active from=sender@client.example size=38 nrcpt=2",
			"smtp Q1: delivery to=b@dest.example orig_to=a@virt.example relay=mx[192.0.2.1]:25 delay=0.25 delays=0/0/0/0.25 dsn=2.0.0 status=sent reason=250 Ok",
			"smtp Q1: delivery to=c@dest.example relay=mx[192.0.2.1]:25 delay=0.25 delays=0/0/0/0.25 dsn=2.0.0 status=sent reason=250 Ok",
			"qmgr Q1: removed",
		)
		r.wantQueued("")
		if n, _ := r.hop.connections(""); n != 0 {
			t.Errorf("%d connections after all work was done", n)
		}
		r.wait(2 * time.Second)
		if s := r.q.Status(10); s.Active != 0 || s.Destinations != 0 || s.Connections != 0 {
			t.Errorf("Status: %+v", s)
		}
	})
}

// Where much mail goes, a connection waits a while for more.
func TestConnectionLingersInABustle(t *testing.T) {
	in(t, queue.Params{Default: most(1)}, func(r *rig) {
		for range 12 {
			r.send(sender, "b@dest.example")
		}
		if n, _ := r.hop.connections(""); n != 1 {
			t.Errorf("%d connections, want the one that lingers", n)
		}
		r.log.take()
		r.wait(1500 * time.Millisecond)
		r.send(sender, "d@dest.example")
		r.wantLog(
			"qmgr Q13: active from=sender@client.example size=38 nrcpt=1",
			"smtp Q13: delivery to=d@dest.example relay=mx[192.0.2.1]:25 conn_use=3 delay=0 delays=0/0/0/0 dsn=2.0.0 status=sent reason=250 Ok",
			"qmgr Q13: removed",
		)
		r.wait(2 * time.Second)
		if n, _ := r.hop.connections(""); n != 0 {
			t.Errorf("%d connections after the linger", n)
		}
	})
}

// The order is that of a recorded Postfix (deliver-550).
func TestFailedIsReported(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("b@dest.example", "550 no such user")
		r.send(sender, "a@virt.example>b@dest.example")
		r.wantLog(
			"qmgr Q1: active from=sender@client.example size=38 nrcpt=1",
			"smtp Q1: delivery to=b@dest.example orig_to=a@virt.example relay=mx[192.0.2.1]:25 delay=0 delays=0/0/0/0 dsn=5.1.1 status=bounced reason=said: 550 no such user",
			"cleanup Q2: message-id message_id=<note@mx>",
			"bounce Q1: reported kind=failed new_id=Q2",
			"qmgr Q2: active from= size=84 nrcpt=1",
			"qmgr Q1: removed",
			"smtp Q2: delivery to=sender@client.example relay=mx[192.0.2.1]:25 delay=0 delays=0/0/0/0 dsn=2.0.0 status=sent reason=250 Ok",
			"qmgr Q2: removed",
		)
		r.wantQueued("")
	})
}

func TestNullSenderIsNotTold(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("b@dest.example", "550 no such user")
		r.send("", "b@dest.example")
		r.wantLog(
			"qmgr Q1: active from= size=38 nrcpt=1",
			"smtp Q1: delivery to=b@dest.example relay=mx[192.0.2.1]:25 delay=0 delays=0/0/0/0 dsn=5.1.1 status=bounced reason=said: 550 no such user",
			"qmgr Q1: removed",
		)
	})
}

// The order is that of a recorded Postfix (deliver-notify-bounce).
func TestPostmasterHasACopy(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.notes.copies = true
		r.hop.answer("b@dest.example", "550 no such user")
		r.send(sender, "b@dest.example")
		lines := r.log.take()
		want := []string{
			"cleanup Q2: message-id message_id=<note@mx>",
			"bounce Q1: reported kind=failed new_id=Q2",
			"qmgr Q2: active from= size=84 nrcpt=1",
			"cleanup Q3: message-id message_id=<copy@mx>",
			"bounce Q1: reported kind=postmaster failed new_id=Q3",
			"qmgr Q3: active from=double-bounce@mx size=25 nrcpt=1",
			"qmgr Q1: removed",
		}
		if got := strings.Join(lines[2:9], "\n"); got != strings.Join(want, "\n") {
			t.Errorf("log:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
		}
		r.wantQueued("")
	})
}

// A report that cannot be delivered ends there.
func TestReportOfAReport(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("b@dest.example", "550 no such user")
		r.hop.answer(sender, "550 nor this one")
		r.send(sender, "b@dest.example")
		r.wantQueued("")
		if got := r.notes.all(); got != "failed b@dest.example 5.1.1" {
			t.Errorf("reports: %s", got)
		}
	})
}

// Failures at several destinations make one report, when the last of the round is done.
func TestFailuresOfARoundAreOneReport(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("a@one.example", "550 no")
		r.hop.answer("b@two.example", "550 no")
		r.hop.answer("c@three.example", "450 later")
		r.hop.slow("b@two.example", time.Minute)
		r.hop.slow("c@three.example", 2*time.Minute)
		r.send(sender, "a@one.example", "b@two.example", "c@three.example")
		r.wait(90 * time.Second)
		if got := r.notes.all(); got != "" {
			t.Errorf("reported before the round is over: %s", got)
		}
		r.wait(40 * time.Second)
		if got := r.notes.all(); got != "failed a@one.example 5.1.1 b@two.example 5.1.1" {
			t.Errorf("reports: %s", got)
		}
		r.wantQueued("deferred <sender@client.example> c@three.example (said: 450 later)\n")
		r.hop.answer("c@three.example", "")
		r.wait(day)
		r.wantQueued("")
	})
}

// A job that was delivered to somebody is recorded at once, with its own failures.
func TestPartlyDeliveredIsRecordedAtOnce(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("b@one.example", "550 no")
		r.hop.slow("c@two.example", time.Minute)
		r.send(sender, "a@one.example", "b@one.example", "c@two.example")
		r.wantQueued("active <sender@client.example> c@two.example\n")
		if got := r.notes.all(); got != "failed b@one.example 5.1.1" {
			t.Errorf("reports: %s", got)
		}
		r.wait(time.Hour)
		r.wantQueued("")
		if n := len(r.hop.received()); n != 3 { // a, c and the report
			t.Errorf("delivered: %v", r.hop.received())
		}
	})
}

// The whole life of a message to a place that never takes it: attempts at doubling
// intervals for five days, then one report.
func TestRetriesUntilExpiry(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("b@dest.example", "450 later")
		began := time.Now()
		r.send(sender, "b@dest.example")
		r.wait(5*day + 2*time.Hour)
		r.wantQueued("")
		if got := r.notes.all(); got != "failed b@dest.example 4.2.0" {
			t.Errorf("reports: %s", got)
		}
		if got := r.hop.received(); len(got) != 1 || got[0] != sender {
			t.Errorf("delivered: %v", got)
		}
		attempts := r.hop.tried()
		attempts = attempts[:len(attempts)-1] // the last is the report's
		var gaps []time.Duration
		for i, at := range attempts[1:] {
			gaps = append(gaps, at.Sub(attempts[i]).Round(time.Second))
		}
		for i, want := range []time.Duration{300, 300, 600, 1200, 2400, 4000, 4000, 4000} {
			if gaps[i] != want*time.Second {
				t.Errorf("pause %d: %s, want %ds", i, gaps[i], want)
			}
		}
		last := attempts[len(attempts)-1].Sub(began)
		if last < 5*day || last > 5*day+4000*time.Second {
			t.Errorf("expired after %s", last)
		}
		if n := r.log.count("status=deferred"); n != len(attempts) {
			t.Errorf("%d lines of deferral, %d attempts", n, len(attempts))
		}
		if n := r.log.count("qmgr Q1: active"); n != len(attempts) {
			t.Errorf("active %d times, %d attempts", n, len(attempts))
		}
		lines := r.log.take()
		tail := strings.Join(lines[len(lines)-8:], "\n")
		for _, want := range []string{
			"qmgr Q1: expired from=sender@client.example status=expired\ncleanup Q2: message-id",
			"bounce Q1: reported kind=failed new_id=Q2\nqmgr Q2: active",
		} {
			if !strings.Contains(tail, want) {
				t.Errorf("the log ends:\n%s\nwant in it:\n%s", tail, want)
			}
		}
	})
}

// With the shortest lifetime mail is tried once (deliver-expired); that of reports is
// another one.
func TestLifetimes(t *testing.T) {
	in(t, queue.Params{MaximalQueueLifetime: 1, BounceQueueLifetime: time.Hour}, func(r *rig) {
		r.hop.answer("b@dest.example", "450 later")
		r.hop.slow("b@dest.example", time.Second)
		r.send(sender, "b@dest.example")
		r.wait(2 * time.Second)
		r.wantQueued("")
		r.send("", "b@dest.example")
		r.wait(40 * time.Minute)
		r.wantQueued("deferred <> b@dest.example (said: 450 later)\n")
		r.wait(2 * time.Hour)
		r.wantQueued("")
		if got := r.notes.all(); got != "failed b@dest.example 4.2.0" {
			t.Errorf("reports: %s", got)
		}
	})
}

func TestSoftBounce(t *testing.T) {
	in(t, queue.Params{SoftBounce: true}, func(r *rig) {
		r.hop.answer("b@dest.example", "550 no such user")
		r.send(sender, "b@dest.example")
		r.wantLog(
			"qmgr Q1: active from=sender@client.example size=38 nrcpt=1",
			"smtp Q1: delivery to=b@dest.example relay=mx[192.0.2.1]:25 delay=0 delays=0/0/0/0 dsn=4.1.1 status=SOFTBOUNCE reason=said: 550 no such user",
		)
		r.wantQueued("deferred <sender@client.example> b@dest.example (said: 550 no such user)\n")
		r.q.Update(queue.Params{MaximalQueueLifetime: 5 * day, BounceQueueLifetime: 5 * day})
		r.wait(time.Hour)
		r.wantQueued("")
		if got := r.notes.all(); got != "failed b@dest.example 5.1.1" {
			t.Errorf("reports: %s", got)
		}
	})
}

func TestDelayWarningOnce(t *testing.T) {
	for _, after := range []time.Duration{time.Minute, 4 * time.Hour, 4*time.Hour + 7*time.Second, day} {
		t.Run(after.String(), func(t *testing.T) {
			in(t, queue.Params{DelayWarningTime: after}, func(r *rig) {
				r.hop.answer("b@dest.example", "450 later")
				began := time.Now()
				id := r.send(sender, "b@dest.example")
				r.wait(after - time.Second)
				if got := r.notes.all(); got != "" {
					t.Errorf("warned after %s: %s", time.Since(began), got)
				}
				r.wait(10 * time.Minute)
				if got := r.notes.all(); got != "delayed b@dest.example 4.2.0" {
					t.Errorf("after %s: %q", time.Since(began), got)
				}
				if err := r.q.FlushID(r.t.Context(), id); err != nil {
					t.Error(err)
				}
				r.wait(2 * day)
				if got := r.notes.all(); got != "delayed b@dest.example 4.2.0" {
					t.Errorf("after two days more: %s", got)
				}
				if n := r.log.count("bounce Q1: reported kind=delayed"); n != 1 {
					t.Errorf("logged %d times", n)
				}
			})
		})
	}
}

func TestTransportsInside(t *testing.T) {
	for _, c := range []struct{ dest, log, queued, report string }{
		{
			"error:5.1.1 User unknown in virtual alias table",
			"error Q1: delivery to=b@dest.example relay=none delay=0 delays=0/0/0/0 dsn=5.1.1 status=bounced reason=User unknown in virtual alias table",
			"", "failed b@dest.example 5.1.1",
		},
		{
			"error:no mail here",
			"error Q1: delivery to=b@dest.example relay=none delay=0 delays=0/0/0/0 dsn=5.0.0 status=bounced reason=no mail here",
			"", "failed b@dest.example 5.0.0",
		},
		{
			"retry:4.3.5 not now",
			"error Q1: delivery to=b@dest.example relay=none delay=0 delays=0/0/0/0 dsn=4.3.5 status=deferred reason=not now",
			"deferred <sender@client.example> b@dest.example (not now)\n", "",
		},
		{
			"discard:silently",
			"discard Q1: delivery to=b@dest.example relay=none delay=0 delays=0/0/0/0 dsn=2.0.0 status=sent reason=silently",
			"", "",
		},
	} {
		t.Run(c.dest, func(t *testing.T) {
			in(t, queue.Params{}, func(r *rig) {
				to := mail.SplitAddress("b@dest.example")
				r.sendEnv(&mail.Envelope{
					ID: r.q.NewID(), Arrived: time.Now(), Sender: mail.SplitAddress(sender),
					Rcpts: []mail.Recipient{{Final: to, Orig: to, Dest: mail.Dest(c.dest)}},
				})
				if lines := r.log.take(); len(lines) < 2 || lines[1] != c.log {
					t.Errorf("log:\n%s\nwant second:\n%s", strings.Join(lines, "\n"), c.log)
				}
				r.wantQueued(c.queued)
				if got := r.notes.all(); got != c.report {
					t.Errorf("reports: %q, want %q", got, c.report)
				}
			})
		})
	}
}

// Who asked to hear of success hears of the alias, and of the delivery only where the
// next hop cannot tell (the recorded dsn-success cases).
func TestSuccessReports(t *testing.T) {
	rcpt := func(orig, final string, n mail.Notify) mail.Recipient {
		f := mail.SplitAddress(final)
		return mail.Recipient{Orig: mail.SplitAddress(orig), Final: f, Notify: n, Dest: mail.MakeDest("smtp", f.Domain)}
	}
	alias := mail.NotifyNever | mail.NotifyExpanded
	for _, c := range []struct {
		name  string
		dsn   bool
		rcpts []mail.Recipient
		want  string
	}{
		{"alias", true, []mail.Recipient{rcpt("a@virt", "b@dest", alias)}, "expanded a@virt 2.0.0"},
		{"two targets of one alias at two destinations", true,
			[]mail.Recipient{rcpt("a@virt", "b@dest", alias), rcpt("a@virt", "c@other", alias)}, "expanded a@virt 2.0.0"},
		{"direct, DSN passed on", true, []mail.Recipient{rcpt("b@dest", "b@dest", mail.NotifySuccess)}, ""},
		{"direct, no DSN there", false, []mail.Recipient{rcpt("b@dest", "b@dest", mail.NotifySuccess)}, "relayed b@dest 2.0.0"},
		{"not asked for", false, []mail.Recipient{rcpt("b@dest", "b@dest", 0)}, ""},
		{"refused alias", true, []mail.Recipient{rcpt("a@virt", "bad@dest", mail.NotifyFailure|mail.NotifyExpanded)},
			"failed bad@dest 5.1.1; expanded a@virt 2.0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, queue.Params{}, func(r *rig) {
				r.hop.set(func() { r.hop.dsn = c.dsn })
				r.hop.answer("bad@dest", "550 no")
				r.sendEnv(&mail.Envelope{
					ID: r.q.NewID(), Arrived: time.Now(), Sender: mail.SplitAddress(sender), Rcpts: c.rcpts,
				})
				r.wait(time.Minute)
				if got := r.notes.all(); got != c.want {
					t.Errorf("reports: %q, want %q", got, c.want)
				}
				r.wantQueued("")
			})
		})
	}
}

// What was deferred before is not a new expansion.
func TestExpansionIsReportedOnce(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("b@dest", "450 later")
		final := mail.SplitAddress("b@dest")
		r.sendEnv(&mail.Envelope{
			ID: r.q.NewID(), Arrived: time.Now(), Sender: mail.SplitAddress(sender),
			Rcpts: []mail.Recipient{{Orig: mail.SplitAddress("a@virt"), Final: final, Notify: mail.NotifyExpanded, Dest: "smtp:dest"}},
		})
		r.wait(time.Hour)
		r.hop.answer("b@dest", "")
		r.wait(2 * time.Hour)
		r.wantQueued("")
		if got := r.notes.all(); got != "expanded a@virt 2.0.0" {
			t.Errorf("reports: %q", got)
		}
	})
}
