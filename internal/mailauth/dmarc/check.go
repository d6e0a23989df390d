package dmarc

import (
	"context"
	"fmt"

	mdns "github.com/miekg/dns"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// maxIdentities bounds how many domains of signatures are compared with the author's: each
// may take a walk of its own.
const maxIdentities = 10

// Identity is a domain that SPF or DKIM has looked at: the MAIL FROM domain (never that of
// HELO beside a sender), or the d= of a signature.
type Identity struct {
	Domain string
	Result mail.AuthResult
}

// Result is what DMARC says of a message.
type Result struct {
	// Result is pass, fail, none (no record applies) or temperror.
	Result mail.AuthResult
	// Disposition is what the policy asks for: none, quarantine or reject, after t, np, sp
	// and psd. It is none unless Result is fail.
	Disposition string
	// Policy is what the domain has published for names like the author's, before t. Of a
	// message that passes it is not asked whether the name exists. "" without a record.
	Policy string
	// OrgDomain is the organizational domain of the author, "" when it could not be found.
	// RecordDomain is where the record stands.
	OrgDomain, RecordDomain string
	Testing                 bool   // t=y
	SPFAligned, DKIMAligned bool   // passes, and is aligned
	Reason                  string // for the log, and for the reason= of the result
}

// Check evaluates DMARC for a message of one author domain. It asks for the record of the
// author, and for those of the names above it where it must: never more than eight names for
// the author and each identity that passes, and one name more for whether the author exists.
func Check(ctx context.Context, r *dns.Resolver, author string, spf Identity, dkim []Identity) Result {
	return Find(ctx, r, author).Check(spf, dkim)
}

// Evaluation is a Check of which the first half is done: what the author alone tells. It is
// used by one goroutine at a time.
type Evaluation struct {
	c     check
	found bool // a record applies
}

// Find does the first half of Check. What SPF and DKIM have found need not be known yet.
func Find(ctx context.Context, r *dns.Resolver, author string) *Evaluation {
	e := &Evaluation{c: check{res: &Result{Result: mail.AuthNone, Disposition: None}}}
	domain, err := normal(author)
	if err != nil {
		e.c.res.Reason = "no author domain: " + err.Error()
		return e
	}
	e.c.walker, e.c.author = newWalker(ctx, r), domain
	e.found = e.c.findRecord()
	return e
}

// Check does the second half, once. It asks for names within the context of Find.
func (e *Evaluation) Check(spf Identity, dkim []Identity) Result {
	if e.found {
		e.c.align(spf, dkim)
		e.c.conclude()
	}
	return *e.c.res
}

// check is one evaluation under way.
type check struct {
	*walker
	author string
	res    *Result

	record  Record
	own     bool  // the record is the author's own
	trouble error // that may have hidden an alignment
}

// findRecord finds the record that applies. It is false where none does, or where nobody
// could say; the result is then complete.
func (c *check) findRecord() bool {
	d, err := c.discover(c.author)
	c.res.OrgDomain = d.OrgDomain
	switch {
	case err != nil:
		c.temporary(err)
		return false
	case d.Record == nil && len(d.Several) > 0:
		s := d.Several[0]
		c.res.Reason = fmt.Sprintf("_dmarc.%s has %d DMARC records, of which none counts", s.Domain, s.Records)
		return false
	case d.Record == nil:
		c.res.Reason = "no DMARC record"
		return false
	}
	record, ok := d.Record.Usable()
	if !ok {
		c.res.Reason = "the DMARC record of " + d.Domain + " has no valid policy"
		return false
	}
	c.record, c.own = record, d.Domain == c.author
	c.res.RecordDomain, c.res.Testing = d.Domain, record.Testing
	return true
}

// align compares the identities that pass with the author (section 4.10.2).
func (c *check) align(spf Identity, dkim []Identity) {
	c.res.SPFAligned = c.isAligned(spf, c.record.StrictSPF)
	tried := map[string]bool{}
	for _, same := range []bool{true, false} { // the author's own first: that asks for nothing
		for _, id := range dkim {
			d, err := normal(id.Domain)
			key := d + " " + string(id.Result)
			if err != nil || same != (d == c.author) || tried[key] || len(tried) >= maxIdentities || !c.counts(id, d) {
				continue
			}
			tried[key] = true
			if c.isAligned(Identity{d, id.Result}, c.record.StrictDKIM) {
				c.res.DKIMAligned = true
				return
			}
		}
	}
}

// counts tells whether an identity of a domain could be aligned, without asking for anything.
func (c *check) counts(id Identity, domain string) bool {
	return (id.Result == mail.AuthPass || id.Result == mail.AuthTempError) && below(domain, c.res.OrgDomain)
}

// isAligned tells whether an identity passes and is aligned. One that SPF or DKIM could not
// finish, and that would be aligned, leaves the whole open (section 5.3.6).
func (c *check) isAligned(id Identity, strict bool) bool {
	if id.Result != mail.AuthPass && id.Result != mail.AuthTempError {
		return false
	}
	domain, err := normal(id.Domain)
	if err != nil {
		return false
	}
	aligned := domain == c.author
	if !aligned && !strict && below(domain, c.res.OrgDomain) {
		if aligned, err = c.aligned(c.author, domain); err != nil {
			c.trouble = err
			return false
		}
	}
	if aligned && id.Result == mail.AuthTempError {
		c.trouble = fmt.Errorf("%s could not be authenticated for now", domain)
		return false
	}
	return aligned
}

// conclude sets the result and what the policy asks for.
func (c *check) conclude() {
	res := c.res
	res.Policy = c.record.P
	if !c.own {
		res.Policy = c.record.PolicyBelow(true)
	}
	switch {
	case res.SPFAligned || res.DKIMAligned:
		res.Result = mail.AuthPass
		return
	case c.trouble != nil:
		c.temporary(c.trouble)
		return
	}
	if !c.own && c.record.NP != "" && c.record.NP != res.Policy {
		exists, err := c.exists()
		if err != nil {
			c.temporary(err)
			return
		}
		res.Policy = c.record.PolicyBelow(exists)
	}
	res.Result, res.Disposition = mail.AuthFail, res.Policy
	res.Reason = "no SPF or DKIM pass is aligned with " + c.author
	if res.Testing {
		res.Disposition = lowered(res.Policy)
	}
}

// exists tells whether there is such a name as the author's, with records of any type
// (section 3.2.13 and appendix A.4).
func (c *check) exists() (bool, error) {
	if c.at[c.author].exists {
		return true, nil
	}
	a, err := c.r.Query(c.ctx, c.author, mdns.TypeMX)
	if err == nil {
		return true, nil
	}
	if a.Name != "" && a.Name != c.author { // an alias exists, wherever it leads
		return true, nil
	}
	return absent(err)
}

func (c *check) temporary(err error) {
	c.res.Result, c.res.Disposition, c.res.Reason = mail.AuthTempError, None, err.Error()
}
