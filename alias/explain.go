package alias

import (
	"context"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
)

// Explaining: the same code that decides, with somebody who takes notes.

// Explanation says what becomes of mail to an address, and why.
type Explanation struct {
	Address string
	Steps   []string         // in order, a line each
	Targets []mail.Recipient // where it goes; what a permitted client would reach, when refused as relaying
	Refusal *mail.Status     // what RCPT TO is refused with, nil when it is accepted
	// ExitStatus is that of the explain command: 0 accept, 1 reject, 75 defer.
	ExitStatus int
}

// Explain shows step by step what RCPT TO does with an address that a stranger names.
// addr is as in a message: quotes, <brackets> and comments are allowed.
func (r *Resolver) Explain(ctx context.Context, addr string) Explanation {
	return r.explain(ctx, addr, false)
}

// ExplainPermitted is Explain for a client that may relay.
func (r *Resolver) ExplainPermitted(ctx context.Context, addr string) Explanation {
	return r.explain(ctx, addr, true)
}

func (r *Resolver) explain(ctx context.Context, addr string, permitted bool) Explanation {
	tr := &trace{}
	x := Explanation{Address: addr}
	end := func(refusal *mail.Status) Explanation {
		x.Refusal = refusal
		switch {
		case refusal == nil:
			tr.note("accepted: %s%s", counted(len(x.Targets), "target"), returned(x.Targets))
		case refusal.Temporary():
			x.ExitStatus = 75
			tr.note("deferred: %v", refusal)
		default:
			x.ExitStatus = 1
			tr.note("rejected: %v", refusal)
		}
		x.Steps = tr.steps
		return x
	}
	if inner, ok := strings.CutPrefix(addr, "<"); ok && strings.HasSuffix(inner, ">") {
		addr = inner[:len(inner)-1]
	}
	parsed := parseList(addr)
	if len(parsed) != 1 {
		return end(badSyntaxStatus())
	}
	given := toAddress(parsed[0])
	full := r.Complete(given)
	if full != given {
		tr.note("%s is short for %s", external(given), external(full))
	}
	if r.isMalformed(full) {
		return end(badSyntaxStatus())
	}
	class, err := r.Class(ctx, full)
	if err != nil {
		tr.note("class of %s: a list could not be asked", full)
		return end(mail.StatusOf(err))
	}
	r.explainClass(ctx, tr, full, class)
	x.Targets, err = r.expandRequest(ctx, mail.RcptRequest{Addr: given, Copies: true}, tr)
	postmaster := given.Domain == "" && strings.EqualFold(given.Local, "postmaster")
	if class == mail.ClassDefault && !postmaster && !permitted {
		tr.note("%s is not ours: only a client that may relay (mynetworks, SASL) gets further than this", full)
		return end(&mail.Status{Code: 554, Enhanced: mail.Code(5, 7, 1), Text: "Relay access denied"})
	}
	return end(mail.StatusOf(err))
}

func (r *Resolver) explainClass(ctx context.Context, tr *trace, a mail.Address, class mail.Class) {
	rt, err := r.classify(ctx, a)
	if err != nil {
		return
	}
	if !rt.final.Equal(a) {
		tr.note("%s is %s: the rest of it only led here", a, rt.final)
	}
	if rt.routed && class != rt.class && !r.isReturn(a) {
		tr.note("%s: the local part names a way to elsewhere (allow_untrusted_routing = no)", a)
	}
	domain := rt.final.Domain
	var lists []string
	for _, l := range r.classLists() {
		if found, err := r.inList(ctx, l.list, l.name, domain); found && err == nil {
			lists = append(lists, l.name)
		}
	}
	switch {
	case rt.malformed:
	case len(lists) > 0:
		tr.note("class of %s: %s, by %s", domain, rt.class, lists[0])
	case r.holdsReturns(domain):
		tr.note("class of %s: %s, by srs_domain", domain, rt.class)
	case rt.class == mail.ClassLocal:
		tr.note("class of %s: local, it is an address of this machine (inet_interfaces)", domain)
	default:
		tr.note("class of %s: %s, it is in none of our lists", domain, rt.class)
	}
	if len(lists) > 1 {
		tr.note("warning: do not list domain %s in BOTH %s", domain, strings.Join(lists, " and "))
	}
}

// maxNotes is how many notes are worth reading: a loop could make thousands.
const maxNotes = 100

// trace takes notes. A nil trace takes none, which is how mail is handled.
type trace struct {
	steps  []string
	looked map[mail.Address]int // how often each was looked up
	full   bool                 // nothing more about lookups
}

func (tr *trace) note(format string, args ...any) {
	tr.steps = append(tr.steps, fmt.Sprintf(format, args...))
}

func (tr *trace) found(at mail.Address, h hit, results []mail.Address, propagated bool) {
	if tr == nil || tr.full {
		return
	}
	if tr.looked == nil {
		tr.looked = make(map[mail.Address]int)
	}
	if tr.looked[at]++; tr.looked[at] > 1 {
		if tr.looked[at] == 2 {
			tr.note("%s again, as above", external(at))
		}
		return
	}
	if tr.full = len(tr.steps) >= maxNotes; tr.full {
		tr.note("... and so on")
		return
	}
	names := make([]string, len(results))
	for i, a := range results {
		names[i] = external(a)
	}
	how := ""
	if h.key != external(at) {
		how = ", by the entry " + h.key
	}
	if h.extension != "" && propagated {
		how += ", " + h.extension + " added"
	}
	if len(results) == 0 {
		tr.note("%s is in %s%s, but the result %q holds no address", external(at), h.locate(), how, h.value)
		return
	}
	tr.note("%s -> %s  (%s%s)", external(at), strings.Join(names, ", "), h.locate(), how)
}

func (tr *trace) failed(at mail.Address) {
	if tr != nil {
		tr.note("%s: a table or list could not be asked; the log says which", external(at))
	}
}

func (tr *trace) limited(what, limit string) {
	if tr != nil {
		tr.note("unreasonable %s: %s is reached; do the aliases lead round in a circle?", what, limit)
	}
}

func (tr *trace) copied(a mail.Address, h hit, parameter string) {
	if tr != nil {
		tr.note("a copy of mail to %s goes to %s  (%s, %s)", external(a), h.value, parameter, h.locate())
	}
}

func (tr *trace) masqueraded(a mail.Address, parent string) {
	if tr != nil {
		tr.note("%s: the domain becomes %s (masquerade_domains)", external(a), parent)
	}
}

func (tr *trace) duplicate(a mail.Address) {
	if tr != nil {
		tr.note("%s is there already: once is enough", external(a))
	}
}

func (tr *trace) target(a mail.Address, rt route) {
	if tr == nil {
		return
	}
	where := "transport " + rt.dest.Transport() + ", next hop " + rt.dest.NextHop()
	if t := rt.dest.Transport(); t == "error" || t == "retry" {
		where = t + ": " + rt.dest.NextHop()
	}
	if rt.malformed {
		tr.note("target %s: %s", external(a), where)
		return
	}
	if rt.by != (hit{}) {
		where += "  (" + rt.by.locate() + ", by the entry " + rt.by.key + ")"
	}
	tr.note("target %s: %s class, %s", external(rt.final), rt.class, where)
}

func (tr *trace) dead(rt route, refusal *mail.Status) {
	if tr != nil && rt.dest.Transport() != "error" {
		tr.note("target %s leads nowhere: %s", external(rt.final), refusal.Text)
	}
}

// returned says how many of the targets only lead back to the sender.
func returned(targets []mail.Recipient) string {
	n := 0
	for _, t := range targets {
		if t.Dest.Transport() == "error" {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them returned to the sender", n)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
