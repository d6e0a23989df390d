package dnscheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mtasts"
)

// mtasts judges what senders find that hold mail for the domain to verified TLS (RFC 8461).
// known is false where its MX hosts could not all be asked.
func (c *Checker) mtasts(ctx context.Context, r *report, mxs []exchanger, known bool) {
	name := "_mta-sts." + r.domain
	txts, err := c.o.Resolver.TXT(ctx, name)
	if r.unasked(MTASTS, name, err) {
		return
	}
	hosted, err := c.o.Hosted(ctx, r.domain)
	if err != nil {
		r.say(MTASTS, Unknown, "whether we serve the policy could not be asked: "+err.Error())
		return
	}
	id, err := mtasts.ParseRecord(txts)
	switch {
	case errors.Is(err, mtasts.ErrNoRecord):
		text := "no record: nobody asks for the policy"
		if !hosted {
			text += "; serve it first (mta_sts_listen, or a web server)"
		}
		r.say(MTASTS, Missing, text, c.policyRecords(ctx, r)...)
		c.withPolicy(r)
		return
	case err != nil:
		publish := c.policyRecords(ctx, r)
		if len(publish) > 0 {
			publish[0].Replaces = true
		}
		r.say(MTASTS, Wrong, err.Error(), publish...)
		c.withPolicy(r)
		return
	}
	p, err := c.o.FetchPolicy(ctx, r.domain)
	if err != nil {
		if timeout := net.Error(nil); errors.Is(err, dns.ErrTemporary) || errors.As(err, &timeout) && timeout.Timeout() || ctx.Err() != nil {
			r.say(MTASTS, Unknown, "the policy could not be fetched: "+err.Error())
			return
		}
		text := "senders get no policy: " + err.Error()
		if !hosted {
			text += "; serve it by mta_sts_listen, or by a web server"
		}
		r.say(MTASTS, Wrong, text, c.policyHost(ctx, r)...)
		c.withPolicy(r)
		return
	}
	c.judgePolicy(ctx, r, p, id, hosted, mxs, known)
}

// policyRecords announce our policy, and name who serves it where nobody does.
func (c *Checker) policyRecords(ctx context.Context, r *report) []Record {
	if c.o.Policy == nil {
		return nil
	}
	return append([]Record{c.policyRecord(r.domain)}, c.policyHost(ctx, r)...)
}

func (c *Checker) policyRecord(domain string) Record {
	return txtRecord("_mta-sts."+domain, "v=STSv1; id="+c.o.PolicyID+";")
}

// policyHost are the addresses of the host that serves the policy, if it has none.
func (c *Checker) policyHost(ctx context.Context, r *report) []Record {
	host := "mta-sts." + r.domain
	if _, err := c.o.Resolver.Addrs(ctx, host, dns.Any); errors.Is(err, dns.ErrNotFound) {
		return addrRecords(host, c.o.Receiving)
	}
	return nil
}

// withPolicy adds the file of our policy to the latest finding.
func (c *Checker) withPolicy(r *report) {
	if c.o.Policy != nil {
		r.findings[len(r.findings)-1].Policy = c.o.Policy.String()
	}
}

// judgePolicy judges a policy as senders find it.
func (c *Checker) judgePolicy(ctx context.Context, r *report, p mtasts.Policy, id string, hosted bool, mxs []exchanger, known bool) {
	before := len(r.findings)
	if hosted && c.o.Policy != nil {
		switch {
		case p.String() != c.o.Policy.String():
			r.say(MTASTS, Wrong, "what is served is not the policy that is configured here: somebody else serves it, or a reload is due")
		case id != c.o.PolicyID:
			r.say(MTASTS, Wrong, "the record has the id of another policy: senders that know that one do not ask for the new one",
				instead(c.policyRecord(r.domain))...)
		}
	}
	if p.Mode != mtasts.ModeNone {
		for _, x := range mxs {
			if !p.Matches(x.host) {
				r.say(MTASTS, Wrong, "the policy does not name the MX "+x.host+": senders that keep to it will not use that host")
				c.withPolicy(r)
				continue
			}
			if x.ours {
				c.provable(ctx, r, x.host)
			}
		}
		if p.MaxAge < 7*24*time.Hour {
			r.say(MTASTS, Note, fmt.Sprintf("max_age is %d seconds: senders forget the policy within days; weeks are recommended", p.MaxAge/time.Second))
		}
	}
	if !known {
		r.say(MTASTS, Unknown, "whether the policy names all MX hosts is not known: they could not all be asked")
	}
	switch {
	case len(r.findings) > before && r.findings[before].Level != Note:
	case p.Mode == mtasts.ModeEnforce:
		r.say(MTASTS, OK, "mode enforce, mx "+strings.Join(p.MX, ", "))
	case p.Mode == mtasts.ModeTesting:
		r.say(MTASTS, Note, "mode testing, mx "+strings.Join(p.MX, ", ")+": senders only report what does not fit; set enforce once they report nothing")
	default:
		r.say(MTASTS, Note, "mode none: there is no policy any more")
	}
}

// provable judges whether senders can verify the certificates of one of our hosts.
func (c *Checker) provable(ctx context.Context, r *report, host string) {
	shown, err := c.o.Shown(ctx, host)
	if err != nil {
		r.say(MTASTS, Wrong, "the certificate of "+host+" cannot be read: "+err.Error())
		return
	}
	if len(shown) == 0 {
		r.say(MTASTS, Wrong, host+" offers no TLS: set smtpd_tls_security_level and smtpd_tls_chain_files")
	}
	for _, cert := range shown {
		if err := verify(cert, host, c.o.Roots, c.o.Now()); err != nil {
			r.say(MTASTS, Wrong, fmt.Sprintf("senders will not take the certificate that %s shows: %v", host, err))
		}
	}
}

// verify does what a sender does: a chain to an authority that all trust, and the name.
func verify(cert *tls.Certificate, host string, roots *x509.CertPool, now time.Time) error {
	above := x509.NewCertPool()
	for _, der := range cert.Certificate[1:] {
		if ca, err := x509.ParseCertificate(der); err == nil {
			above.AddCert(ca)
		}
	}
	_, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: above, CurrentTime: now})
	return err
}
