package tlsrpt

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// What is counted: for each day and policy domain, by policy, and of failures what RFC
// 8460 section 4.4 wants to know. What goes over a bound is counted together with others
// of its kind, so that the numbers are right where details are missing.

// Bounds of what is kept.
const (
	maxDomains  = 10_000 // of a day; those beyond are only counted, all together
	maxPolicies = 32     // of a domain and day; beyond: one without lines for each type
	maxDetails  = 100    // likewise; beyond: one without details for each result type
	maxRoom     = 32 << 20
	perEntry    = 200 // what an entry costs beside its texts, about
	perSession  = 8   // policies of one session that count
)

// Policy types (RFC 8460 section 4.4).
const (
	policyTLSA = "tlsa"
	policySTS  = "sts"
	policyNone = "no-policy-found"
)

const resultOther = "validation-failure"

// results are the result types of section 4.3, and of the registry of section 6.6.
func results() []string {
	return []string{
		"starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", resultOther,
		"tlsa-invalid", "dnssec-invalid", "dane-required",
		"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid",
	}
}

// maxCount is what a number of JSON can say (RFC 7493 section 2.2).
const maxCount = 1<<53 - 1

const day = 24 * time.Hour

// key is one day of one policy domain.
type key struct {
	day    int64  // its beginning, UTC, in seconds since 1970
	domain string // as of aLabels
}

func (k key) start() time.Time { return time.Unix(k.day, 0).UTC() }
func (k key) end() time.Time   { return k.start().Add(day) }

func dayOf(t time.Time) int64 { return t.UTC().Truncate(day).Unix() }

// wish is whether a domain wants reports.
type wish uint8

const (
	unknown  wish = iota // nobody could say yet
	wanted               // it has a record
	unwanted             // it has none: nothing but totals is kept
)

// totals are sessions, each once.
type totals struct {
	OK     uint64 `json:"ok"`
	Failed uint64 `json:"failed"`
}

// count adds a session. It has failed when something about it is to be told.
func (c *totals) count(s *mail.TLSSession) {
	if s.Result != "" || slices.ContainsFunc(s.Policies, func(p mail.TLSPublished) bool { return p.Result != "" }) {
		c.Failed++
	} else {
		c.OK++
	}
}

// policy is one that was applied. Strings and Hosts have a LF between two.
type policy struct {
	Type, Domain, Strings, Hosts string
}

// detail is what failures have in common.
type detail struct {
	Result, Reason string
	Local, Remote  netip.Addr
	Host, Helo     string
}

// outcome is how sessions with a policy went. The number of failures is the sum of those
// in failed: so they agree.
type outcome struct {
	ok     uint64
	failed map[detail]uint64
}

func (o *outcome) failures() (n uint64) {
	for _, c := range o.failed {
		n += c
	}
	return n
}

// tally is all that is known of a key.
type tally struct {
	key
	wish     wish
	sessions totals
	policies map[policy]*outcome
	details  int // in all policies
	cost     int // of what is in policies

	due      time.Time // when it is to be reported next
	begun    time.Time // when that was tried first; zero: not yet, and sessions still count
	attempts int
	done     []string // endpoints that have it
	busy     bool     // somebody is at it

	untold []string // lines that are not in the log yet, since the wish is not known
}

// room is what all tallies together may still cost.
type room struct{ left int }

func (r *room) take(n int) bool {
	if n > r.left {
		return false
	}
	r.left -= n
	return true
}

// count adds a session.
func (t *tally) count(s *mail.TLSSession, r *room) {
	t.sessions.count(s)
	if t.wish == unwanted {
		return
	}
	published := s.Policies[:min(len(s.Policies), perSession)]
	if len(published) == 0 {
		published = []mail.TLSPublished{{Type: policyNone}}
	}
	var seen [perSession]policy
	for i := range published {
		p := policyOf(&published[i], t.domain)
		if slices.Contains(seen[:i], p) {
			continue
		}
		seen[i] = p
		t.add(p, t.detailOf(s, &published[i]), 1, r)
	}
}

// policyOf is a policy as reports have it.
func policyOf(p *mail.TLSPublished, domain string) policy {
	if p.Type != policyTLSA && p.Type != policySTS {
		return policy{Type: policyNone, Domain: domain}
	}
	if d, ok := aLabels(p.Domain); ok {
		domain = d
	}
	return policy{Type: p.Type, Domain: domain, Strings: cleanAll(p.Strings), Hosts: patterns(p.Hosts)}
}

// detailOf is how a session failed a policy; the zero detail: it did not. What is wrong
// with the policy itself comes first, as that is what its owner can mend.
func (t *tally) detailOf(s *mail.TLSSession, p *mail.TLSPublished) detail {
	result, reason := s.Result, s.Reason
	if p.Result != "" {
		result, reason = p.Result, p.Reason
	}
	if result == "" {
		return detail{}
	}
	if !slices.Contains(results(), result) {
		result, reason = resultOther, strings.TrimSuffix(result+": "+reason, ": ")
	}
	return detail{
		Result: result, Reason: clean(reason, maxReason),
		Local: address(s.Local), Remote: address(s.Remote),
		Host: clean(strings.TrimSuffix(s.Peer.Host, "."), maxName), Helo: clean(s.Helo, maxName),
	}
}

// add counts n sessions with a policy, which the zero detail says went well.
func (t *tally) add(p policy, d detail, n uint64, r *room) {
	o := t.policies[p]
	if o == nil {
		if cost := perEntry + len(p.Type) + len(p.Domain) + len(p.Strings) + len(p.Hosts); len(t.policies) < maxPolicies && r.take(cost) {
			t.cost += cost
		} else {
			p = policy{Type: p.Type, Domain: t.domain}
		}
		if o = t.policies[p]; o == nil {
			o = &outcome{}
			if t.policies == nil {
				t.policies = map[policy]*outcome{}
			}
			t.policies[p] = o
		}
	}
	if d.Result == "" {
		o.ok = min(o.ok+n, maxCount)
		return
	}
	if _, known := o.failed[d]; !known {
		if cost := perEntry + len(d.Reason) + len(d.Host) + len(d.Helo); t.details < maxDetails && r.take(cost) {
			t.cost += cost
			t.details++
		} else {
			d = detail{Result: d.Result}
		}
	}
	if o.failed == nil {
		o.failed = map[detail]uint64{}
	}
	o.failed[d] = min(o.failed[d]+n, maxCount)
}

// forget drops what is in the policies, and gives its room back.
func (t *tally) forget(r *room) {
	r.left += t.cost
	t.policies, t.details, t.cost, t.untold = nil, 0, 0, nil
}

// ordered are the policies in an order that does not change from one look to the next.
func (t *tally) ordered() []policy {
	return slices.SortedFunc(maps.Keys(t.policies), func(a, b policy) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Strings, b.Strings), cmp.Compare(a.Hosts, b.Hosts))
	})
}

// ordered are the failures, most frequent first.
func (o *outcome) ordered() []detail {
	return slices.SortedFunc(maps.Keys(o.failed), func(a, b detail) int {
		return cmp.Or(cmp.Compare(o.failed[b], o.failed[a]), cmp.Compare(a.Result, b.Result), cmp.Compare(a.Host, b.Host),
			a.Remote.Compare(b.Remote), a.Local.Compare(b.Local), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Helo, b.Helo))
	})
}
