package queue

import (
	"context"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// noted is a Source of one attempt and a Transport that notes what it is asked for.
type noted struct {
	given   bool
	results []mail.Result
	dests   []mail.Dest
}

func (n *noted) Next(context.Context, time.Duration) (*mail.Attempt, bool) {
	given := n.given
	n.given = true
	return &mail.Attempt{Rcpts: []int{3}}, !given
}

func (n *noted) Done(_ *mail.Attempt, r []mail.Result, _ mail.Feedback) { n.results = r }

func (n *noted) Work(_ context.Context, dest mail.Dest, _ mail.Source) {
	n.dests = append(n.dests, dest)
}

// What has an agent here does not get to the transport.
func TestWithAgents(t *testing.T) {
	for dest, want := range map[mail.Dest]string{
		"error:5.1.1 User unknown": "error failed 5.1.1 User unknown",
		"retry:4.3.2 not now":      "error deferred 4.3.2 not now",
		"discard:silently":         "discard delivered 2.0.0 silently",
		mail.DestDoubleBounce:      "qmgr delivered 2.0.0 undeliverable postmaster notification discarded",
		"smtp:dest.example":        "",
		"lmtp:unix:/x":             "",
	} {
		n := &noted{}
		WithAgents(n).Work(t.Context(), dest, n)
		got := ""
		if len(n.results) == 1 {
			r := n.results[0]
			got = r.Agent + " " + [...]string{"deferred", "delivered", "failed"}[r.State] + " " + r.Status.Enhanced.String() + " " + r.Reason
			if r.Rcpt != 3 {
				t.Errorf("%s: result for recipient %d", dest, r.Rcpt)
			}
		}
		if got != want || (want == "") != (len(n.dests) == 1) {
			t.Errorf("%s: %q, given to %q; want %q", dest, got, n.dests, want)
		}
	}
}
