package queue

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
)

// The delivery agents that need no network: "error" returns mail to its sender,
// "retry" defers it (both are error(8)), "discard" says it is delivered (discard(8)).
// The next hop is the reason, which may begin with an enhanced status code.

// agents implements Transport for these three, by the name of the transport.
type agents struct{}

func (agents) serves(transport string) bool {
	return transport == "error" || transport == "retry" || transport == "discard"
}

// WithAgents is t, with these three for the destinations that are theirs: for who hands
// out work without a queue.
func WithAgents(t Transport) Transport { return withAgents{t} }

type withAgents struct{ Transport }

func (w withAgents) Work(ctx context.Context, dest mail.Dest, src mail.Source) {
	if (agents{}).serves(dest.Transport()) {
		agents{}.Work(ctx, dest, src)
		return
	}
	w.Transport.Work(ctx, dest, src)
}

// Work deals with all that src has.
func (agents) Work(ctx context.Context, dest mail.Dest, src mail.Source) {
	for a, ok := src.Next(ctx, 0); ok; a, ok = src.Next(ctx, 0) {
		result := verdictOf(dest)
		results := make([]mail.Result, len(a.Rcpts))
		for i, r := range a.Rcpts {
			results[i] = result
			results[i].Rcpt = r
		}
		src.Done(a, results, mail.FeedbackGood)
	}
}

// verdictOf is what a destination of these transports says about every recipient.
func verdictOf(dest mail.Dest) mail.Result {
	var (
		state = mail.Failed
		agent = "error"
		class = uint16(5)
	)
	switch dest.Transport() {
	case "retry":
		state, class = mail.Deferred, 4
	case "discard":
		state, agent, class = mail.Delivered, "discard", 2
	}
	if dest == mail.DestDoubleBounce {
		agent = "qmgr"
	}
	code, text := splitCode(dest.NextHop())
	code[0] = class
	return mail.Result{
		State:  state,
		Status: mail.Status{Enhanced: code, Text: text},
		Reason: text,
		Agent:  agent,
		Relay:  "none",
	}
}

// splitCode takes an enhanced status code (RFC 3463 section 2) off the front of a
// text; without one, the code is 0.0.0.
func splitCode(s string) (mail.Enhanced, string) {
	s = strings.TrimSpace(s)
	word, rest, _ := strings.Cut(s, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 {
		return mail.Enhanced{}, s
	}
	var code mail.Enhanced
	for i, p := range parts {
		n, ok := smallNumber(p)
		if !ok || i == 0 && n != 2 && n != 4 && n != 5 {
			return mail.Enhanced{}, s
		}
		code[i] = n
	}
	return code, strings.TrimSpace(rest)
}

// smallNumber reads one to three digits.
func smallNumber(s string) (uint16, bool) {
	if s == "" || len(s) > 3 {
		return 0, false
	}
	var n uint16
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + uint16(s[i]-'0')
	}
	return n, true
}

// expiredByHand is why mail that an operator made expire is not tried once more.
func expiredByHand() trouble {
	return trouble{
		status: mail.Status{Enhanced: mail.Code(4, 7, 0), Text: "message is administratively expired"},
		reason: "message is administratively expired",
	}
}

// heldByHand is why mail for a destination that an operator holds is not tried.
func heldByHand(reason string) *trouble {
	text := "destination is on hold"
	if reason != "" {
		text += ": " + reason
	}
	t := trouble{status: mail.Status{Enhanced: mail.Code(4, 3, 2), Text: text}, reason: text}.suspended()
	return &t
}

// suspended is why mail for a dead destination is not tried.
func (t trouble) suspended() trouble {
	const prefix = "delivery temporarily suspended: "
	t.reason = prefix + strings.TrimPrefix(t.reason, prefix)
	t.status.Enhanced[0] = 4
	return t
}
