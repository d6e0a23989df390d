package local

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"aliasmx/internal/mail"
)

// delivery is one attempt for one recipient. It is used by one goroutine.
type delivery struct {
	*settings
	ctx context.Context
	a   *mail.Attempt
	in  mail.Recipient

	delivered map[string]bool // the addresses in Delivered-To fields, folded
	seen      map[string]bool // what need not be done again
	done      map[string]bool // of that, what has been delivered to
	forwards  []*forward
	targets   []mail.Target
	// Where success is to be reported: the recipient is an alias, or it is a list.
	expanded, list bool

	// dry tells what would be done, and does nothing; tell hears of each step.
	dry  bool
	tell func(step string)
	// probing is dry and stops at an alias.
	probing bool
}

// source is where what is delivered to was written (postconf(5): allow_mail_to_commands).
type source string

const (
	fromNowhere source = ""
	fromAlias   source = "alias"
	fromInclude source = "include"
)

// state is what holds at one place of an expansion. It is passed by value, so that what
// one alias changes ends with it.
type state struct {
	level  int
	rcpt   mail.Address // the local address under way
	orig   mail.Address // the original recipient; null inside a list
	orcpt  string
	notify mail.Notify
	envID  string
	ret    string
	sender mail.Address // the reverse-path, or the owner of the list

	// Of rcpt, folded: local part, the same without extension, the extension and the
	// delimiter before it, the domain.
	local, user, extension, domain string
	delimiter                      byte
	unmatched                      string // the extension that results get

	owner     string       // who forwards: "" nobody, or a list's owner, or a file's name
	to        mail.Address // for Delivered-To; null: not known yet
	expanding string       // the name that is being expanded
	source    source
	rights    User // UID 0: none in particular
}

func newDelivery(s *settings, ctx context.Context, a *mail.Attempt, rcpt int) *delivery {
	return &delivery{settings: s, ctx: ctx, a: a, in: a.Env.Rcpts[rcpt], seen: map[string]bool{}, done: map[string]bool{}}
}

// first is the state at the recipient itself.
func (d *delivery) first() state {
	maps.Copy(d.done, d.seen)
	return state{
		rcpt: d.in.Final, orig: d.in.Orig, orcpt: d.in.ORcpt, notify: d.in.Notify &^ mail.NotifyExpanded,
		envID: d.a.Env.EnvID, ret: d.a.Env.Ret, sender: d.a.Env.Sender,
	}
}

// been tells whether something was seen before, and remembers it. Case makes no
// difference, as in Postfix.
func (d *delivery) been(format string, args ...any) (key string, before bool) {
	key = strings.ToLower(fmt.Sprintf(format, args...))
	if d.seen[key] {
		return key, true
	}
	d.seen[key] = true
	return key, false
}

// add reports on a target. It tells whether the recipient has to be tried again.
func (d *delivery) add(st state, is mail.State, code mail.Enhanced, reason string) (waits bool) {
	d.targets = append(d.targets, mail.Target{
		To: st.rcpt, Orig: st.orig, State: is,
		Status: mail.Status{Enhanced: code, Text: reason}, Reason: reason, At: d.Now(),
	})
	return is == mail.Deferred
}

func (d *delivery) sent(st state, format string, args ...any) bool {
	return d.add(st, mail.Delivered, mail.Code(2, 0, 0), fmt.Sprintf(format, args...))
}

func (d *delivery) fails(st state, code mail.Enhanced, format string, args ...any) bool {
	return d.add(st, stateOf(code), code, fmt.Sprintf(format, args...))
}

func stateOf(code mail.Enhanced) mail.State {
	if code[0] == 5 {
		return mail.Failed
	}
	return mail.Deferred
}

// misconfigured fails for what stands in an alias; why is for the log.
func (d *delivery) misconfigured(st state, format string, args ...any) bool {
	d.warn(format, args...)
	return d.fails(st, mail.Code(5, 3, 5), "mail system configuration error")
}

// warn writes a warning to the log, or to who asks for an explanation.
func (d *delivery) warn(format string, args ...any) {
	if d.tell != nil {
		d.tell("warning: " + fmt.Sprintf(format, args...))
		return
	}
	if !d.dry {
		d.warnf(format, args...)
	}
}

func (d *delivery) step(format string, args ...any) {
	if d.tell != nil {
		d.tell(fmt.Sprintf(format, args...))
	}
}

// failsForOwner fails; who hears of it is the owner of the list that the address is.
func (d *delivery) failsForOwner(st state, o outcome) bool {
	if !d.SplitOwnerRequest {
		owner, err := d.ownerOf(st)
		if err != nil {
			return d.fails(st, mail.Code(4, 3, 0), "alias database unavailable")
		}
		if !owner.IsNull() {
			d.fails(st, o.code, "%s", o.reason)
			last := &d.targets[len(d.targets)-1]
			last.Owner, last.Reply, last.ReplyType = owner, o.reply, o.replyType
			return last.State == mail.Deferred
		}
	}
	waits := d.fails(st, o.code, "%s", o.reason)
	last := &d.targets[len(d.targets)-1]
	last.Reply, last.ReplyType = o.reply, o.replyType
	return waits
}

// outcome is what became of a command or a file.
type outcome struct {
	code             mail.Enhanced
	reason           string
	reply, replyType string
}

func (o outcome) ok() bool { return o.code[0] == 2 }

func failure(code mail.Enhanced, format string, args ...any) outcome {
	return outcome{code: code, reason: fmt.Sprintf(format, args...)}
}

// sum makes the result of the recipient from those of its targets.
func (d *delivery) sum(r *mail.Result) {
	r.State, r.Status = mail.Delivered, mail.Status{Enhanced: mail.Code(2, 0, 0)}
	r.Reason, r.Expanded = "delivered before", d.expanded
	r.Targets = d.targets
	if len(d.targets) == 0 && len(d.done) == 0 {
		// An :include: file without members, or one that includes itself and nothing else.
		// Postfix takes that for delivered, and the message is gone.
		d.fails(state{rcpt: d.in.Final, orig: d.in.Orig}, mail.Code(5, 1, 1), "%q leads to nobody", d.in.Final.Local)
		r.Targets = d.targets
	}
	rank := map[mail.State]int{mail.Failed: 1, mail.Delivered: 2, mail.Deferred: 3}
	best := 0
	for i := range d.targets {
		t := &d.targets[i]
		if rank[t.State] > best {
			best = rank[t.State]
			r.State, r.Status, r.Reason = t.State, t.Status, t.Reason
		}
	}
	if r.State == mail.Delivered && (d.expanded || d.list) {
		r.Reason = "alias expanded" // which is the success to report
	}
}

// foldAddress is an address without regard to case.
func foldAddress(a mail.Address) string { return strings.ToLower(a.String()) }
