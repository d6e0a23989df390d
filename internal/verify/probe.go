package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aliasmx/internal/mail"
)

// A probe on its way: where does the address lead, and what does its destination say?

// resolveLimit bounds what a probe may spend with tables.
const resolveLimit = 100 * time.Second

// probe sends one and returns when it has its lane or its answer.
func (v *Verifier) probe(f *flight) {
	defer close(f.begun)
	v.mu.Lock()
	p := v.params
	v.mu.Unlock()
	now := v.now()
	id := v.newID()
	f.env = &mail.Envelope{ID: id, Arrived: now, Sender: p.probeSender(now), Client: mail.Client{UID: -1}}
	ctx, cancel := context.WithTimeout(v.ctx, resolveLimit)
	rcpts, err := resolve(ctx, &p, f)
	cancel()
	if err != nil {
		v.answer(f, refusal(err), f.key)
		return
	}
	f.env.Rcpts = rcpts
	if len(rcpts) > 1 {
		// An alias for several is good as it is: what each of them says would be about that
		// one alone (ADDRESS_VERIFICATION_README, "limitations"; cleanup(8)).
		f.active, f.started = now, now
		f.env.Rcpts = []mail.Recipient{{Final: f.addr, Orig: f.addr}}
		r := decided(mail.Delivered, "cleanup", mail.Code(2, 0, 0), "aliased to multiple recipients")
		v.logDelivery(f, &r)
		v.logMessageID(f, &p)
		v.logActive(f, 0)
		v.logRemoved(f)
		v.answer(f, verdictOf(&r), f.key)
		return
	}
	if p.SMTPUTF8 && (!ascii(f.env.Sender) || !ascii(rcpts[0].Final)) {
		f.env.Flags |= mail.FlagSMTPUTF8
	}
	v.logMessageID(f, &p)
	v.enter(f, rcpts[0].Dest)
}

// resolve asks where the address leads. A panic of a table is an error.
func resolve(ctx context.Context, p *Params, f *flight) (rcpts []mail.Recipient, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	rcpts, err = p.Resolve(ctx, mail.RcptRequest{Addr: f.addr, Sender: f.env.Sender})
	if err == nil && len(rcpts) == 0 {
		err = errors.New("the address leads nowhere")
	}
	return rcpts, err
}

// refusal is the verdict when our own tables give no destination.
func refusal(err error) mail.Verdict {
	s := *mail.StatusOf(err)
	v := mail.Verdict{State: mail.VerdictDeferred, Status: s, Reason: s.Text}
	if !s.Temporary() {
		v.State = mail.VerdictRefused
	}
	return v
}

// decided is a result that no server had a part in.
func decided(state mail.State, agent string, code mail.Enhanced, reason string) mail.Result {
	return mail.Result{State: state, Agent: agent, Relay: "none", Status: mail.Status{Enhanced: code, Text: reason}, Reason: reason}
}

func verdictOf(r *mail.Result) mail.Verdict {
	v := mail.Verdict{State: mail.VerdictDeferred, Status: r.Status, Reason: r.Reason}
	switch r.State {
	case mail.Delivered:
		v.State = mail.VerdictDeliverable
	case mail.Failed:
		v.State = mail.VerdictRefused
	}
	return v
}

// result takes what came of a probe that had a lane.
func (v *Verifier) result(f *flight, r *mail.Result) {
	v.logDelivery(f, r)
	v.logRemoved(f)
	v.answer(f, verdictOf(r), f.key, keyOf(f.env.Rcpts[0].Final))
}

// answer ends a probe. What it found is about the address that was asked about and about
// the one that it led to.
func (v *Verifier) answer(f *flight, verdict mail.Verdict, keys ...string) {
	verdict.Reason, verdict.Status.Text = cut(verdict.Reason), cut(verdict.Status.Text)
	v.mu.Lock()
	defer v.mu.Unlock()
	p, now := &v.params, v.now()
	// A probe that was cut off says nothing about the address, and one that our own tables
	// could not answer will do better next time.
	cutOff := v.stopped && verdict.State != mail.VerdictDeliverable
	noRoute := verdict.State == mail.VerdictDeferred && f.dest == ""
	switch {
	case cutOff:
	case noRoute:
		f.untold = verdict
	default:
		for i, key := range keys {
			if i > 0 && key == keys[0] {
				continue
			}
			if v.cache.learn(key, verdict, p, now) && v.dirty.IsZero() {
				v.dirty = now
				v.poke()
			}
		}
	}
	delete(v.flights, f.key)
	close(f.done)
}

func cut(s string) string {
	if len(s) > maxReason {
		return s[:maxReason]
	}
	return s
}

func ascii(a mail.Address) bool {
	for _, s := range [...]string{a.Local, a.Domain} {
		for i := range len(s) {
			if s[i] >= 0x80 {
				return false
			}
		}
	}
	return true
}
