package queue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// What the next hops say, and what becomes of the message.
func TestConnectedTable(t *testing.T) {
	for _, c := range []struct {
		name  string
		says  map[string]string
		rcpts string
		pass  bool

		answer, received, queued, reports string
	}{
		{name: "taken", rcpts: "a@virt.example>b@one.example", answer: "250 sent", received: "b@one.example"},
		{name: "taken by all", rcpts: "a@one.example b@one.example c@two.example",
			answer: "250 sent", received: "a@one.example b@one.example c@two.example"},
		{name: "refused", rcpts: "a@one.example", says: map[string]string{"a@one.example": "550 no"}, answer: "550 5.1.1"},
		{name: "refused at the end", rcpts: "a@one.example", says: map[string]string{"a@one.example": "dot 554 spam"}, answer: "550 5.1.1"},
		{name: "refused by all", rcpts: "a@one.example b@two.example",
			says: map[string]string{"a@one.example": "550 no", "b@two.example": "550 nor here"}, answer: "550 5.1.1"},
		{name: "put off", rcpts: "a@one.example", says: map[string]string{"a@one.example": "450 later"},
			answer: "250 queued", queued: "deferred <sender@client.example> a@one.example (said: 450 later)\n"},
		{name: "put off, passed on", rcpts: "a@one.example", pass: true, says: map[string]string{"a@one.example": "450 later"},
			answer: "450 4.2.0"},
		{name: "put off by all, passed on", rcpts: "a@one.example b@two.example", pass: true,
			says: map[string]string{"a@one.example": "450 later", "b@two.example": "450 later"}, answer: "450 4.2.0"},
		{name: "some put off, not passed on", rcpts: "a@one.example b@two.example", pass: true,
			says: map[string]string{"b@two.example": "450 later"}, answer: "250 queued", received: "a@one.example",
			queued: "deferred <sender@client.example> b@two.example (said: 450 later)\n"},
		{name: "put off and refused", rcpts: "a@one.example b@two.example", pass: true,
			says: map[string]string{"a@one.example": "550 no", "b@two.example": "450 later"}, answer: "250 queued",
			queued:   "deferred <sender@client.example> b@two.example (said: 450 later)\n",
			received: sender, reports: "failed a@one.example 5.1.1"},
		{name: "taken and refused", rcpts: "a@one.example b@two.example", says: map[string]string{"b@two.example": "550 no"},
			answer: "250 queued", received: "a@one.example sender@client.example", reports: "failed b@two.example 5.1.1"},
		{name: "taken and refused at one host", rcpts: "a@one.example b@one.example", says: map[string]string{"b@one.example": "550 no"},
			answer: "250 queued", received: "a@one.example sender@client.example", reports: "failed b@one.example 5.1.1"},
		{name: "all three", rcpts: "a@one.example b@one.example c@one.example d@two.example",
			says: map[string]string{"b@one.example": "550 no", "c@one.example": "450 later"}, answer: "250 queued",
			received: "a@one.example d@two.example sender@client.example",
			queued:   "deferred <sender@client.example> c@one.example (said: 450 later)\n",
			reports:  "failed b@one.example 5.1.1"},
		{name: "no connection", rcpts: "a@one.example", pass: true, says: map[string]string{"a@one.example": "down"}, answer: "250 queued",
			queued: "deferred <sender@client.example> a@one.example (connect to mx: Connection refused)\n"},
		{name: "no connection, another refuses", rcpts: "a@one.example b@two.example",
			says: map[string]string{"a@one.example": "down", "b@two.example": "550 no"}, answer: "250 queued", received: sender,
			queued: "deferred <sender@client.example> a@one.example (connect to mx: Connection refused)\n", reports: "failed b@two.example 5.1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
				for to, says := range c.says {
					h.say(to, says)
				}
				got := r.relayWith(mail.WhileConnected{Pass: c.pass}, sender, strings.Fields(c.rcpts)...)
				r.wantAnswer(got, c.answer)
				if (got.Heard != nil) != strings.HasPrefix(c.answer, "250") {
					t.Errorf("who hears of the reply: %v", got.Heard != nil)
				}
				r.wait(time.Second)
				r.wantReceived(h, c.received)
				r.wantQueued(c.queued)
				r.wantReports(c.reports)
				r.wantIdle()
				if n := r.log.count("status=bounced"); (n > 0) != (c.reports != "") {
					t.Errorf("%d lines of a bounce, reports %q", n, c.reports)
				}
				if n := r.log.count("relay while connected: "); n != 1 {
					t.Errorf("%d lines say that it was while connected", n)
				}
				if n := r.log.count("qmgr Q1: removed"); (n == 1) != (c.queued == "") {
					t.Errorf("removed %d times, queued %q", n, c.queued)
				}
				if n := r.log.count("qmgr Q1: active"); n != 1 {
					t.Errorf("active %d times", n)
				}
			})
		})
	}
}

// What is not put off by a reply is retried as all mail is.
func TestConnectedPutOffIsRetried(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		h.say("b@two.example", "450 later")
		r.wantAnswer(r.relay("a@one.example", "b@two.example"), "250 queued")
		h.say("b@two.example", "")
		r.wait(4 * time.Minute)
		r.wantReceived(h, "a@one.example")
		r.wait(2 * time.Minute) // minimal_backoff_time
		r.wantReceived(h, "a@one.example b@two.example")
		r.wantQueued("")
		r.wantIdle()
	})
}

// The log is that of a queued message, and one line more.
func TestConnectedLog(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		h.reply = 250 * time.Millisecond
		r.relay("a@virt.example>b@one.example", "c@one.example")
		r.wantLog(
			"qmgr Q1: active from=sender@client.example size=38 nrcpt=2",
			"smtp Q1: delivery to=b@one.example orig_to=a@virt.example relay=mx[192.0.2.1]:25 delay=0.25 delays=0/0/0/0.25 dsn=2.0.0 status=sent reason=250 Ok",
			"smtp Q1: delivery to=c@one.example relay=mx[192.0.2.1]:25 delay=0.25 delays=0/0/0/0.25 dsn=2.0.0 status=sent reason=250 Ok",
			"qmgr Q1: removed",
			"qmgr Q1: relay while connected: sent",
		)
		h.say("b@one.example", "550 no")
		r.relay("a@virt.example>b@one.example")
		r.wantLog(
			"qmgr Q2: active from=sender@client.example size=38 nrcpt=1",
			"smtp Q2: delivery to=b@one.example orig_to=a@virt.example relay=mx[192.0.2.1]:25 delay=0 delays=0/0/0/0.25 dsn=5.1.1 status=undeliverable reason=said: 550 no",
			"qmgr Q2: removed",
			"qmgr Q2: relay while connected: refused",
		)
		h.say("b@one.example", "450 later")
		r.relay("a@virt.example>b@one.example", "c@two.example")
		r.wantLog(
			"qmgr Q3: active from=sender@client.example size=38 nrcpt=2",
			"smtp Q3: delivery to=c@two.example relay=mx[192.0.2.1]:25 delay=0.25 delays=0/0/0/0.25 dsn=2.0.0 status=sent reason=250 Ok",
			"qmgr Q3: relay while connected: queued: not taken by all next hops",
			"smtp Q3: delivery to=b@one.example orig_to=a@virt.example relay=mx[192.0.2.1]:25 delay=0.25 delays=0/0/0/0.25 dsn=4.2.0 status=deferred reason=said: 450 later",
		)
	})
}

// A message with the null sender goes this way, too: who cannot be told must not be.
func TestConnectedNullSender(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		h.say("b@one.example", "550 no")
		r.wantAnswer(r.relayWith(mail.WhileConnected{}, "", "b@one.example"), "550 5.1.1")
		r.wantAnswer(r.relayWith(mail.WhileConnected{}, "", "c@one.example"), "250 sent")
		r.wantReports("")
	})
}

// Reports of success are written although the message was never in the queue.
func TestConnectedReportsOfSuccess(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		env := r.envelope(sender, "a@virt.example>b@one.example", "c@two.example")
		env.Rcpts[0].Notify = mail.NotifyExpanded
		env.Rcpts[1].Notify = mail.NotifySuccess
		r.wantAnswer(r.relayEnv(context.Background(), mail.WhileConnected{}, env), "250 sent")
		r.wantReports("expanded a@virt.example 2.0.0; relayed c@two.example 2.0.0")
		h.say("b@one.example", "450 later")
		env = r.envelope(sender, "a@virt.example>b@one.example", "c@two.example")
		env.Rcpts[0].Notify = mail.NotifyExpanded
		env.Rcpts[1].Notify = mail.NotifySuccess
		r.wantAnswer(r.relayEnv(context.Background(), mail.WhileConnected{}, env), "250 queued")
		r.wait(time.Hour)
		want := "expanded a@virt.example 2.0.0; relayed c@two.example 2.0.0"
		r.wantReports(want + "; " + want)
	})
}

// What is not for this way is queued at once, and says why.
func TestConnectedQueuedAsUsual(t *testing.T) {
	many := make([]string, 11)
	for i := range many {
		many[i] = "a@" + string(rune('a'+i)) + ".example"
	}
	for _, c := range []struct {
		name  string
		rcpts []string
		o     queue.Options
		env   func(*mail.Envelope)
		setup func(*rig)
		why   string
	}{
		{name: "many destinations", rcpts: many, why: "it has too many destinations"},
		{name: "many recipients", rcpts: []string{"a@one.example", "b@one.example"}, o: queue.Options{RecipientLimits: queue.RecipientLimits{Default: 1}},
			why: "it has too many recipients at one destination"},
		{name: "hold", rcpts: []string{"a@one.example"}, env: func(e *mail.Envelope) { e.Flags |= mail.FlagHold }, why: "it goes on hold"},
		{name: "error", rcpts: []string{"a@one.example", "b@one.example"}, env: func(e *mail.Envelope) { e.Rcpts[1].Dest = "error:5.1.1 no" },
			why: "not all of it leaves by SMTP or LMTP"},
		{name: "discard", rcpts: []string{"a@one.example"}, env: func(e *mail.Envelope) { e.Rcpts[0].Dest = "discard:" },
			why: "not all of it leaves by SMTP or LMTP"},
		{name: "local", rcpts: []string{"a@one.example"}, env: func(e *mail.Envelope) { e.Rcpts[0].Dest = "local:x" },
			why: "not all of it leaves by SMTP or LMTP"},
		{name: "destination on hold", rcpts: []string{"a@one.example"}, why: "no connection to spare",
			setup: func(r *rig) { r.q.HoldDest(context.Background(), "smtp:one.example", "") }},
		{name: "rate delay", rcpts: []string{"a@one.example"}, why: "no connection to spare",
			o:     queue.Options{Params: queue.Params{Default: queue.TransportParams{ConcurrencyLimit: 20, InitialConcurrency: 5, DestinationRateDelay: time.Minute}}},
			setup: func(r *rig) { r.send(sender, "x@one.example") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			connectedIn(t, c.o, func(r *rig, h *stages) {
				if c.setup != nil {
					c.setup(r)
				}
				r.log.take()
				env := r.envelope(sender, c.rcpts...)
				if c.env != nil {
					c.env(env)
				}
				got := r.relayEnv(context.Background(), mail.WhileConnected{}, env)
				r.wantAnswer(got, "250 queued")
				if got.took != 0 {
					t.Errorf("the client waited %v", got.took)
				}
				if n := r.log.count("relay while connected: queued: " + c.why); n != 1 {
					t.Errorf("log:\n%s", strings.Join(r.log.take(), "\n"))
				}
			})
		})
	}
}

// A dead site gets no attempt of a waiting client.
func TestConnectedDeadSite(t *testing.T) {
	connectedIn(t, queue.Options{Params: queue.Params{Default: queue.TransportParams{ConcurrencyLimit: 1, InitialConcurrency: 1, NegativeFeedback: queue.Feedback{Num: 1}, FailedCohortLimit: 0.5}}}, func(r *rig, h *stages) {
		h.say("a@one.example", "down")
		r.wantAnswer(r.relay("a@one.example"), "250 queued")
		if n := r.q.Status(1).Dead; n != 1 {
			t.Fatalf("%d dead destinations: the attempt says nothing of the site", n)
		}
		r.log.take()
		r.wantAnswer(r.relay("b@one.example"), "250 queued")
		if r.log.count("queued: no connection to spare") != 1 {
			t.Error("it was tried")
		}
		h.say("a@one.example", "")
		r.wait(time.Hour)
		r.wantReceived(h, "a@one.example b@one.example")
	})
}

// More than the share of connections is not lent, nor more than the site's window.
func TestConnectedLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		p    queue.Params
		dest func(i int) string
		want int
	}{
		{"share", queue.Params{ProcessLimit: 10, ConnectedLimit: 30}, func(i int) string { return "a@" + string(rune('a'+i)) + ".example" }, 3},
		{"window", queue.Params{}, func(int) string { return "a@one.example" }, 5},
		{"one at least", queue.Params{ProcessLimit: 1, ConnectedLimit: 1}, func(int) string { return "a@one.example" }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			connectedIn(t, queue.Options{Params: c.p}, func(r *rig, h *stages) {
				h.reply = 5 * time.Second
				answers := make(chan answer, 8)
				for i := range cap(answers) {
					go func() { answers <- r.client(c.dest(i)) }()
				}
				sent := 0
				for range cap(answers) {
					if a := <-answers; a.String() == "250 sent" {
						sent++
					}
				}
				if sent != c.want {
					t.Errorf("%d were relayed while connected, want %d", sent, c.want)
				}
				r.wait(time.Minute)
				if n := len(strings.Fields(h.received())); n != cap(answers) {
					t.Errorf("%d of %d arrived", n, cap(answers))
				}
				r.wantIdle()
			})
		})
	}
}
