package spf

import (
	"context"

	"aliasmx/internal/dns"
)

// Trail is the way to a result, for people.
type Trail struct {
	Steps     []Step
	Questions int // put to the resolver, those that its cache answered included
	// Local: a macro of the sender's local part was expanded on the way, and another sender of
	// the domain may have another result.
	Local bool
	depth int
}

// Step is one line of it: a record, or a term and what came of it. Depth counts the records
// that led there.
type Step struct {
	Depth int
	Text  string // printable ASCII
}

// Explain is Check, and tells how it came to its result.
func Explain(ctx context.Context, r *dns.Resolver, q Request) (Result, Trail) {
	c := newCheck(q)
	c.trail = new(Trail)
	res := c.run(ctx, r)
	c.trail.Questions = c.questions
	return res, *c.trail
}

// What follows does nothing for a check that nobody wants to follow.

func (t *Trail) add(text string) {
	if t != nil {
		t.Steps = append(t.Steps, Step{t.depth, printed(text)})
	}
}

func (t *Trail) record(domain, text string) {
	if t != nil {
		t.add("record of " + domain + ": " + text)
	}
}

func (t *Trail) term(term, outcome string) {
	if t != nil {
		t.add(term + ": " + outcome)
	}
}

func (t *Trail) expanded(term, target string) {
	if t != nil {
		t.add(term + " asks for " + target)
	}
}

func (t *Trail) in() {
	if t != nil {
		t.depth++
	}
}

func (t *Trail) out() {
	if t != nil {
		t.depth--
	}
}
