package queue_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
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

// stages are next hops that take their time at each step of a delivery, and note what they
// were sent whole. By the first recipient's address is set what is said; "" takes it.
type stages struct {
	connect, envelope, content, reply time.Duration

	mu    sync.Mutex // guards what follows
	says  map[string]string
	lost  map[string]bool // no reply to the end of the content, which was taken
	got   []string
	ended int // how often the end of the content was sent
	cut   int // attempts that were given up
	drop  func(a *mail.Attempt)
}

func (h *stages) take(ctx context.Context, dest mail.Dest, src mail.Source) bool {
	for {
		a, ok := src.Next(ctx, 0)
		if !ok {
			return true
		}
		results, f := h.attempt(a)
		src.Done(a, results, f)
	}
}

// pass waits a step's time; false: the attempt is given up.
func pass(a *mail.Attempt, d time.Duration) bool {
	if a.Until == nil {
		time.Sleep(d)
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return a.Until.Err() == nil
	case <-a.Until.Done():
		return false
	}
}

func (h *stages) attempt(a *mail.Attempt) ([]mail.Result, mail.Feedback) {
	given := func(why string, f mail.Feedback) ([]mail.Result, mail.Feedback) {
		var all []mail.Result
		for _, n := range a.Rcpts {
			all = append(all, mail.Result{Rcpt: n, Agent: "smtp", Relay: "none", Reason: why, Status: mail.Status{Enhanced: mail.Code(4, 4, 2)}})
		}
		return all, f
	}
	giveUp := func() ([]mail.Result, mail.Feedback) {
		h.mu.Lock()
		h.cut++
		h.mu.Unlock()
		return given("given up", mail.FeedbackBad)
	}
	h.mu.Lock()
	connect, envelope, content, reply := h.connect, h.envelope, h.content, h.reply
	h.mu.Unlock()
	if !pass(a, connect) {
		return giveUp()
	}
	h.mu.Lock()
	down := slices.ContainsFunc(a.Rcpts, func(n int) bool { return h.says[a.Env.Rcpts[n].Final.String()] == "down" })
	h.mu.Unlock()
	if down {
		return given("connect to mx: Connection refused", mail.FeedbackBad)
	}
	if !pass(a, envelope) {
		return giveUp()
	}
	body, err := a.Body.Open()
	if err != nil {
		return given(err.Error(), mail.FeedbackGood)
	}
	defer body.Close()
	half := make([]byte, 10)
	if _, err := io.ReadFull(body, half); err != nil {
		return given(err.Error(), mail.FeedbackGood)
	}
	if !pass(a, content) {
		return giveUp()
	}
	rest, err := io.ReadAll(body)
	if err != nil {
		return given(err.Error(), mail.FeedbackGood)
	}
	h.mu.Lock()
	var taken []int
	for _, n := range a.Rcpts {
		if says := h.says[a.Env.Rcpts[n].Final.String()]; says == "" || strings.HasPrefix(says, "dot ") {
			taken = append(taken, n)
		}
	}
	h.mu.Unlock()
	if len(taken) > 0 && a.Ending != nil && !a.Ending() {
		return giveUp()
	}
	if a.Env.Flags&mail.FlagNotice == 0 && !strings.HasPrefix(string(half)+string(rest), "Subject: test\r\n\r\nHello") {
		return given("wrong content", mail.FeedbackGood)
	}
	if len(taken) > 0 {
		h.mu.Lock()
		h.ended++
		h.mu.Unlock()
		time.Sleep(reply)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var results []mail.Result
	for _, n := range a.Rcpts {
		to := a.Env.Rcpts[n].Final.String()
		says, lost := strings.TrimPrefix(h.says[to], "dot "), h.lost[to]
		r := mail.Result{Rcpt: n, Agent: "smtp", Relay: "mx[192.0.2.1]:25", RemoteMTA: "mx", RemoteReply: says, Transmitted: reply, Relayed: true}
		switch {
		case says == "" && lost:
			r = mail.Result{Rcpt: n, Agent: "smtp", Relay: "mx[192.0.2.1]:25", Reason: "lost connection", Status: mail.Status{Enhanced: mail.Code(4, 4, 2)}}
			h.got = append(h.got, to)
			delete(h.lost, to)
		case says == "":
			r.State, r.Reason, r.Status = mail.Delivered, "250 Ok", mail.Status{Code: 250, Enhanced: mail.Code(2, 0, 0)}
			h.got = append(h.got, to)
		case says[0] == '4':
			r.State, r.Reason, r.Status = mail.Deferred, "said: "+says, mail.Status{Code: 450, Enhanced: mail.Code(4, 2, 0)}
		default:
			r.State, r.Reason, r.Status = mail.Failed, "said: "+says, mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1)}
		}
		results = append(results, r)
	}
	return results, mail.FeedbackGood
}

// set changes how long steps take.
func (h *stages) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// counts are how often the end of the content was sent, and how often an attempt was given up.
func (h *stages) counts() (ended, cut int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended, h.cut
}

func (h *stages) say(to, what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.says[to] = what
}

func (h *stages) received() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(h.got)), " ")
}

// connectedIn runs a test with a running queue whose next hops are stages.
func connectedIn(t *testing.T, o queue.Options, f func(r *rig, h *stages)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r, h := connectedRig(t, store, store, o)
		r.run()
		f(r, h)
		r.stop()
	})
}

func connectedRig(t *testing.T, store *memstore.Store, wrapped queue.Store, o queue.Options) (*rig, *stages) {
	r := newRigWith(t, store, wrapped, o)
	h := &stages{says: map[string]string{}, lost: map[string]bool{}}
	r.hop.work = h.take
	return r, h
}

var clientNet = netip.MustParsePrefix("192.0.2.0/24")

// answer is what a client hears: "250", "550 5.1.1", "error ...", with the state of Heard.
type answer struct {
	mail.Relayed
	err  error
	took time.Duration
	id   mail.QueueID
}

func (a answer) String() string {
	switch {
	case a.err != nil:
		return "error " + a.err.Error()
	case a.Refused != nil:
		return fmt.Sprint(a.Refused.Status.Code, " ", a.Refused.Status.Enhanced)
	case a.Reply != nil:
		return "250 sent"
	}
	return "250 queued"
}

// relay gives a message to the next hops while its client waits 20 seconds.
func (r *rig) relay(rcpts ...string) answer {
	return r.relayWith(mail.WhileConnected{}, sender, rcpts...)
}

func (r *rig) relayWith(with mail.WhileConnected, from string, rcpts ...string) answer {
	r.t.Helper()
	a := r.relayEnv(context.Background(), with, r.envelope(from, rcpts...))
	synctest.Wait()
	return a
}

// client is a client of several: it returns with the answer.
func (r *rig) client(rcpts ...string) answer {
	return r.relayEnv(context.Background(), mail.WhileConnected{}, r.envelope(sender, rcpts...))
}

func (r *rig) relayEnv(ctx context.Context, with mail.WhileConnected, env *mail.Envelope) answer {
	r.t.Helper()
	d, err := r.q.Stage(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	defer d.Abort()
	fmt.Fprintf(d, "Subject: test\r\n\r\nHello.\r\n")
	if with.Wait == 0 {
		with.Wait = 20 * time.Second
	}
	with.Network = clientNet
	began := time.Now()
	out, err := d.(relayer).Relay(ctx, env, with)
	return answer{out, err, time.Since(began), env.ID}
}

func (r *rig) wantAnswer(got answer, want string) {
	r.t.Helper()
	if got.String() != want {
		r.t.Errorf("the client hears %q, want %q", got, want)
	}
}

func (r *rig) wantReceived(h *stages, want string) {
	r.t.Helper()
	if got := h.received(); got != want {
		r.t.Errorf("delivered to %q, want %q", got, want)
	}
}

func (r *rig) wantReports(want string) {
	r.t.Helper()
	if got := r.notes.all(); got != want {
		r.t.Errorf("reports %q, want %q", got, want)
	}
}

// wantIdle: nothing is left of what was under way.
func (r *rig) wantIdle() {
	r.t.Helper()
	if s := r.q.Status(10); s.Active != 0 || s.Connections != 0 {
		r.t.Errorf("left over: %+v", s)
	}
}
