package tlsrpt

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// What operators are shown.

// Count is what was counted of one policy of a domain on one day. Of a domain that wants
// no reports the policies are not kept: it has one Count, without a policy.
type Count struct {
	Day       string `json:"day"`              // UTC: "2026-01-31"
	Domain    string `json:"domain,omitempty"` // not there: all domains beyond the bound
	Reports   string `json:"reports"`          // whether it wants them: yes, no, unknown
	Policy    string `json:"policy-type,omitempty"`
	Of        string `json:"policy-domain,omitempty"`
	Successes uint64 `json:"total-successful-session-count"`
	Failures  uint64 `json:"total-failure-session-count"`
	// Results are the failures by result type.
	Results map[string]uint64 `json:"failures,omitempty"`
	Due     time.Time         `json:"due,omitzero"` // when it will be reported
}

var wishNames = [...]string{unknown: "unknown", wanted: "yes", unwanted: "no"}

// Counts is all that has been counted and not been reported yet, by day and domain.
func (r *Reporter) Counts() []Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []Count{}
	for d, c := range r.beyond {
		list = append(list, Count{Day: key{day: d}.start().Format(time.DateOnly), Reports: wishNames[unwanted], Successes: c.OK, Failures: c.Failed})
	}
	for _, t := range r.tallies {
		c := Count{Day: t.start().Format(time.DateOnly), Domain: t.domain, Reports: wishNames[t.wish]}
		if t.wish == unwanted {
			c.Successes, c.Failures = t.sessions.OK, t.sessions.Failed
			list = append(list, c)
			continue
		}
		c.Due = t.due.UTC()
		for _, p := range t.ordered() {
			o := t.policies[p]
			c.Policy, c.Of, c.Successes, c.Failures, c.Results = p.Type, p.Domain, o.ok, o.failures(), nil
			for d, n := range o.failed {
				if c.Results == nil {
					c.Results = map[string]uint64{}
				}
				c.Results[d.Result] += n
			}
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Of, b.Of))
	})
	return list
}

// Why there is no report.
var (
	ErrNoSessions = errors.New("no session with this domain is waiting to be reported")
	ErrNotWanted  = errors.New("this domain asks for no reports: it has no valid TLSRPT record")
)

// ReportOn is the report that would be sent now: about the latest day that something was
// counted on.
func (r *Reporter) ReportOn(domain string) (*Report, error) {
	domain, ok := aLabels(domain)
	if !ok {
		return nil, ErrNoSessions
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var latest *tally
	for k, t := range r.tallies {
		if k.domain == domain && (latest == nil || k.day > latest.day) {
			latest = t
		}
	}
	switch {
	case latest == nil:
		return nil, ErrNoSessions
	case latest.wish == unwanted:
		return nil, ErrNotWanted
	}
	return latest.report(&r.params), nil
}
