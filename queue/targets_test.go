package queue_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// targets are what a recipient of the transport local led to, a word each: "sent",
// "later" or "bad", with "@name" for who it is, and "^owner" for who hears of it.
func targets(words string) []mail.Target {
	var list []mail.Target
	for word := range strings.FieldsSeq(words) {
		what, owner, _ := strings.Cut(word, "^")
		what, name, _ := strings.Cut(what, "@")
		t := mail.Target{To: mail.Address{Local: name, Domain: "mx.example"}, Orig: mail.Address{Local: "list", Domain: "mx.example"}, Reason: what}
		switch what {
		case "sent":
			t.State, t.Status.Enhanced = mail.Delivered, mail.Code(2, 0, 0)
		case "later":
			t.Status.Enhanced = mail.Code(4, 3, 0)
		case "bad":
			t.State, t.Status.Enhanced = mail.Failed, mail.Code(5, 3, 0)
		}
		if owner != "" {
			t.Owner = mail.SplitAddress(owner + "@client.example")
		}
		list = append(list, t)
	}
	return list
}

// local answers for the transport "local" what answers say, one after the other, and
// leaves other destinations to the hop.
func (r *rig) local(expanded bool, answers ...string) {
	r.hop.set(func() {
		r.hop.work = func(ctx context.Context, dest mail.Dest, src mail.Source) bool {
			if dest.Transport() != "local" {
				return false
			}
			for {
				a, ok := src.Next(ctx, 0)
				if !ok {
					return true
				}
				var results []mail.Result
				for _, i := range a.Rcpts {
					res := mail.Result{Rcpt: i, Agent: "local", Relay: "local", Targets: targets(answers[0]), Expanded: expanded}
					res.State = mail.Failed
					for _, t := range res.Targets {
						if t.State == mail.Delivered && res.State == mail.Failed {
							res.State = mail.Delivered
						}
						if t.State == mail.Deferred {
							res.State, res.Reason = mail.Deferred, t.Reason
						}
					}
					results = append(results, res)
				}
				if len(answers) > 1 {
					answers = answers[1:]
				}
				src.Done(a, results, mail.FeedbackGood)
			}
		}
	})
}

func (r *rig) sendLocal(notify mail.Notify, names ...string) {
	env := &mail.Envelope{ID: r.q.NewID(), Arrived: time.Now(), Sender: mail.SplitAddress("a@client.example"), Prepend: []byte("Received: x\r\n")}
	for _, name := range names {
		a := mail.Address{Local: name, Domain: "mx.example"}
		env.Rcpts = append(env.Rcpts, mail.Recipient{Final: a, Orig: a, Notify: notify, Dest: "local:mx.example"})
	}
	r.sendEnv(env)
}

// Each target has its line and its entry; the recipient stays while one of them waits.
func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		name    string
		p       queue.Params
		notify  mail.Notify
		answers []string
		reports string
		attempt int
	}{
		{"all sent", queue.Params{}, 0, []string{"sent@list sent@one"}, "", 1},
		{"one failed", queue.Params{}, 0, []string{"sent@list bad@one"}, "failed one@mx.example 5.3.0", 1},
		{"two failed", queue.Params{}, 0, []string{"bad@one bad@two"}, "failed one@mx.example 5.3.0 two@mx.example 5.3.0", 1},
		{"one of an owner", queue.Params{}, 0, []string{"bad@one bad@two^boss bad@three"}, "failed one@mx.example 5.3.0 three@mx.example 5.3.0; failed two@mx.example 5.3.0", 1},
		{"one waits", queue.Params{}, 0, []string{"sent@one later@two", "sent@two"}, "", 2},
		{"one waits, one failed", queue.Params{}, 0, []string{"bad@one later@two", "sent@two"}, "failed one@mx.example 5.3.0", 2},
		{"expired", queue.Params{MaximalQueueLifetime: time.Second}, 0, []string{"later@one", "sent@one later@two"}, "failed two@mx.example 4.3.0", 2},
		{"late", queue.Params{DelayWarningTime: time.Second}, 0, []string{"later@one", "later@one", "sent@one"}, "delayed one@mx.example 4.3.0", 3},
		{"soft bounce", queue.Params{SoftBounce: true}, 0, []string{"sent@one bad@two", "sent@two"}, "", 2},
		{"success", queue.Params{}, mail.NotifySuccess, []string{"sent@one sent@two"}, "expanded list@mx.example 2.0.0", 1},
		{"success and failure", queue.Params{}, mail.NotifySuccess, []string{"sent@one bad@two"}, "failed two@mx.example 5.3.0; expanded list@mx.example 2.0.0", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, tt.p, func(r *rig) {
				r.local(true, tt.answers...)
				r.sendLocal(tt.notify, "list")
				r.wait(10 * time.Hour)
				r.wantQueued("")
				if got := r.notes.all(); got != tt.reports {
					t.Errorf("reports %q, want %q", got, tt.reports)
				}
				if n := r.log.count("qmgr Q1: active"); n != tt.attempt {
					t.Errorf("%d attempts, want %d: %v", n, tt.attempt, r.log.take())
				}
			})
		})
	}
}

func TestTargetLines(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.local(false, "sent@list bad@one later@two")
		r.sendLocal(0, "list")
		r.wantQueued("deferred <a@client.example> list@mx.example (later)\n")
		for _, want := range []string{
			"local Q1: delivery to=list@mx.example relay=local delay=0 delays=0/0/0/0 dsn=2.0.0 status=sent reason=sent",
			"local Q1: delivery to=one@mx.example orig_to=list@mx.example relay=local delay=0 delays=0/0/0/0 dsn=5.3.0 status=bounced reason=bad",
			"local Q1: delivery to=two@mx.example orig_to=list@mx.example relay=local delay=0 delays=0/0/0/0 dsn=4.3.0 status=deferred reason=later",
		} {
			if r.log.count(want) != 1 {
				t.Errorf("no line %q in\n%s", want, strings.Join(r.log.take(), "\n"))
			}
		}
	})
}

// A failure that cannot be reported is none yet.
func TestTargetsUnreported(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.notes.failWith(errors.New("no space"))
		r.local(false, "sent@list bad@one", "sent@one")
		r.sendLocal(0, "list")
		if r.queued() == "" {
			t.Fatal("the message is gone, and nobody was told")
		}
		r.notes.failWith(nil)
		r.wait(10 * time.Hour)
		r.wantQueued("")
	})
}

// Local recipients have jobs of their own: what one of them leads to may take long.
func TestLocalOneByOne(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		var most atomic.Int64
		r.hop.set(func() {
			r.hop.work = func(ctx context.Context, dest mail.Dest, src mail.Source) bool {
				for {
					a, ok := src.Next(ctx, 0)
					if !ok {
						return true
					}
					if n := int64(len(a.Rcpts)); n > most.Load() {
						most.Store(n)
					}
					src.Done(a, []mail.Result{{Rcpt: a.Rcpts[0], State: mail.Delivered, Agent: "local", Relay: "local"}}, mail.FeedbackGood)
				}
			}
		})
		r.sendLocal(0, "a", "b", "c")
		r.wait(time.Minute)
		r.wantQueued("")
		if n := most.Load(); n != 1 {
			t.Errorf("%d recipients in an attempt", n)
		}
	})
}
