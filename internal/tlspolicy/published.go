package tlspolicy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// What receivers publish about their TLS, and what is made of it: TLSA records, MTA-STS
// policies, and policies that a program has put into the table.

func refused(text, result string) error {
	return &mail.TLSError{Status: mail.Status{Enhanced: mail.Code(4, 7, 5), Text: text}, Result: result}
}

// dane is the choice at dane and dane-only.
func (d *deciding) dane(ctx context.Context) (*mail.TLSChoice, error) {
	only := d.level == mail.TLSDANEOnly
	if d.peer.Port == 0 {
		d.o.warn(d.peer.NextHop + `: the "dane" security level is invalid for delivery via unix-domain sockets`)
		return nil, misconfigured()
	}
	if d.o.DANE == nil {
		d.o.warn(fmt.Sprintf("%s: %s configured with dnssec lookups disabled", d.peer.NextHop, d.level))
		if only {
			return nil, misconfigured()
		}
		return &mail.TLSChoice{Level: mail.TLSMay, Asked: mail.TLSDANE}, nil
	}
	c, err := d.o.DANE.TLS(ctx, d.peer)
	if err != nil {
		if _, ours := errors.AsType[*mail.TLSError](err); !ours {
			text := "TLSA lookup error for " + hostPort(d.peer)
			d.o.warn(text + ": " + err.Error())
			err = refused(text, validationFailure)
		}
		return &c, err
	}
	if only && c.Level != mail.TLSDANE {
		text := c.Reason
		switch {
		case c.Level == mail.TLSHalfDANE:
			text = "non DNSSEC destination"
		case text == "":
			text = "no TLSA records found"
		}
		return &c, refused(text, "dane-required")
	}
	if c.Level != mail.TLSDANE {
		c.Asked = mail.TLSDANE
	}
	if c.Result == "" {
		c.Reason = "" // that a receiver has no DANE is nothing to report
	}
	return &c, nil
}

// published adds what the receiver's MTA-STS policy asks for, or what an entry tells of one.
func (d *deciding) published(ctx context.Context, c *mail.TLSChoice) (*mail.TLSChoice, error) {
	if d.e != nil {
		return d.told(c)
	}
	// Records that prove nothing about who the host is (half-dane), or nothing at all, do not
	// stand in the place of a policy that does.
	opportunistic := d.level == mail.TLSMay || d.level == mail.TLSEncrypt || d.level == mail.TLSDANE && c.Level != mail.TLSDANE
	if d.o.STS == nil || !opportunistic || !d.peer.ByMX { // a policy is about MX hosts
		return c, nil
	}
	s, err := d.o.STS.TLS(ctx, d.peer)
	if err != nil {
		c.Policies = slices.Concat(c.Policies, s.Policies)
		return c, err
	}
	switch {
	case s.Level == mail.TLSSecure && s.Verify != nil:
		s.Policies = slices.Concat(c.Policies, s.Policies)
		return &s, nil
	case s.Verify != nil && c.Verify == nil:
		c.Verify, c.Testing, c.Key, c.ServerName = s.Verify, true, s.Key, s.ServerName
	}
	c.Policies = slices.Concat(c.Policies, s.Policies)
	if c.Result == "" {
		c.Result, c.Reason = s.Result, s.Reason
	}
	return c, nil
}

// enforcesSTS tells whether the entry is an MTA-STS policy with patterns for hosts.
func (d *deciding) enforcesSTS() bool {
	return d.e != nil && !d.o.IgnoreMXPatterns && d.e.published.Type == "sts" && d.e.match != nil && d.e.published.Hosts != nil
}

// told applies what an entry tells of the receiver's policy.
func (d *deciding) told(c *mail.TLSChoice) (*mail.TLSChoice, error) {
	p := d.e.published
	if p.Type == "" {
		return c, nil
	}
	p.Result = d.e.failure
	c.Policies = append(slices.Clip(c.Policies), p)
	if d.e.failure != "" {
		c.Result, c.Reason = d.e.failure, "external policy failure"
		if c.Verify != nil {
			verdict := mail.TLSVerdict{Reason: "external policy failure (" + d.e.failure + ")", Result: d.e.failure}
			c.Verify, c.Key = func(*tls.ConnectionState) mail.TLSVerdict { return verdict }, ""
		}
	}
	if d.enforcesSTS() && !matchesMX(p.Hosts, d.peer.Host) {
		text := fmt.Sprintf("MX name '%s' does not match STS MX pattern for '%s'", d.peer.Host, p.Domain)
		return c, refused(text, validationFailure)
	}
	return c, nil
}

// matchesMX tells whether a host is one of those that an MTA-STS policy names (RFC 8461
// section 4.1): a star stands for one label.
func matchesMX(patterns []string, host string) bool {
	_, parent, _ := strings.Cut(host, ".")
	for _, p := range patterns {
		below, star := strings.CutPrefix(p, "*.")
		if strings.EqualFold(p, host) || star && below != "" && !strings.HasPrefix(host, ".") && strings.EqualFold(below, parent) {
			return true
		}
	}
	return false
}
