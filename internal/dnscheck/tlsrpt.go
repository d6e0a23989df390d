package dnscheck

import (
	"context"
	"strings"

	"aliasmx/internal/tlsrpt"
)

// tlsrpt judges whether a domain hears of TLS that failed (RFC 8460 section 3).
func (c *Checker) tlsrpt(ctx context.Context, r *report) {
	name := tlsrpt.QueryName(r.domain)
	publish := txtRecord(name, "v=TLSRPTv1; rua=mailto:"+c.reportAddress(r.domain))
	txts, err := c.o.Resolver.TXT(ctx, name)
	if r.unasked(TLSRPT, name, err) {
		return
	}
	record, err := tlsrpt.ParseRecord(txts)
	switch {
	case err == tlsrpt.ErrNoRecord: // as it is: several records are said of it, too
		r.say(TLSRPT, Missing, "no record: nobody tells us when TLS towards the domain fails", publish)
		return
	case err != nil:
		r.say(TLSRPT, Wrong, err.Error(), instead(publish)...)
		return
	}
	var to []string
	for _, e := range record.Endpoints {
		to = append(to, e.URI())
	}
	r.say(TLSRPT, OK, "reports go to "+strings.Join(to, ", "))
	if len(record.Unknown) > 0 {
		r.say(TLSRPT, Wrong, "no report can go to "+short(strings.Join(record.Unknown, ", "))+": write mailto: or https:", instead(publish)...)
	}
}

func (c *Checker) reportAddress(domain string) string { return c.o.ReportTo + "@" + domain }
