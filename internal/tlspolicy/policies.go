package tlspolicy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
)

// misconfigured is what a message waits for where a policy cannot be made out. What is
// wrong stands in a warning.
func misconfigured() error {
	return &mail.TLSError{Status: mail.Status{Enhanced: mail.Code(4, 7, 5), Text: "client TLS configuration problem"}}
}

var errNoFingerprints = errors.New("configured at fingerprint security level, but with no fingerprints to match")

// TLS implements delivery.TLSPolicy: how the connection to a host is to be secured.
func (p *Policies) TLS(ctx context.Context, peer mail.TLSPeer) (mail.TLSChoice, error) {
	e, where, err := p.entry(ctx, peer.NextHop)
	if err != nil {
		return mail.TLSChoice{}, err
	}
	by := &deciding{Policies: p, peer: peer, e: e, level: p.o.Level}
	if e != nil {
		by.level = e.level
		for _, attribute := range e.ignored {
			p.o.warn(fmt.Sprintf("%s: ignoring attribute %q with TLS disabled", where, attribute))
		}
	}
	return by.choice(ctx, func(text string) {
		if where != "" {
			text = where + ": " + text
		}
		p.o.warn(text)
	})
}

// Lacks tells whether a parameter is empty that an entry may need.
func (p *Policies) Lacks() bool {
	return p.o.Undigested || p.o.nobody(mail.TLSVerify) || p.o.nobody(mail.TLSSecure)
}

// Check tells what is wrong with an entry, without its key. A *ParameterError says that the
// entry needs a parameter which is empty.
func (p *Policies) Check(value string) error {
	e, err := parseEntry(value)
	if err != nil {
		return err
	}
	by := &deciding{Policies: p, e: e, level: e.level}
	by.peer.Host, by.peer.Domain, by.peer.Port = "host.invalid", "domain.invalid", 25
	if _, err := by.secured(&mail.TLSChoice{Level: e.level}); err != nil {
		return err
	}
	if (e.level == mail.TLSDANE || e.level == mail.TLSDANEOnly) && p.o.DANE != nil && p.o.Undigested {
		return errUndigested(e.level)
	}
	var first error
	switch e.level {
	case mail.TLSFingerprint, mail.TLSVerify, mail.TLSSecure:
		_, err = by.verified(&mail.TLSChoice{Level: e.level}, func(text string) {
			if first == nil {
				first = errors.New(text)
			}
		})
	}
	return cmp.Or(first, err)
}

// CheckOpen is Check for an entry of which only the beginning is known: its level, when
// that is whole.
func (p *Policies) CheckOpen(beginning string) error {
	list := fields(beginning)
	if len(list) == 0 || len(list) == 1 && strings.HasSuffix(beginning, list[0]) {
		return nil
	}
	if level := mail.TLSLevel(strings.ToLower(list[0])); !levels[level] {
		return fmt.Errorf("invalid security level %q", list[0])
	}
	return nil
}

// entry finds the one of a next hop, and what to call it in warnings; nil: there is none.
func (p *Policies) entry(ctx context.Context, nextHop string) (e *entry, where string, err error) {
	if p.o.Lookup == nil {
		return nil, "", nil
	}
	for _, key := range keys(nextHop) {
		where := fmt.Sprintf(`%s_tls_policy_maps, next-hop destination "%s"`, p.o.Name, key)
		value, found, err := p.o.Lookup(ctx, key)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				p.o.warn(where + ": policy table lookup error: " + err.Error())
			}
			return nil, "", misconfigured()
		}
		if !found {
			continue
		}
		e, err := parseEntry(value)
		if err != nil {
			p.o.warn(where + ": " + err.Error())
			return nil, "", misconfigured()
		}
		return e, where, nil
	}
	return nil, "", nil
}

// keys are those that a next hop is looked up by: as it is written, and where that is the
// name of a domain, the domains above it with a dot in front.
func keys(nextHop string) []string {
	list := []string{nextHop}
	ascii, err := idna.ToASCII(nextHop)
	if err != nil || !validHostname(ascii) {
		return list
	}
	for rest := nextHop; ; {
		i := strings.IndexByte(rest[1:], '.')
		if i < 0 {
			return list
		}
		rest = rest[1+i:]
		list = append(list, rest)
	}
}

// known is what is left of a choice that must not be: the policies, for reports.
func known(c *mail.TLSChoice) mail.TLSChoice {
	if c == nil {
		return mail.TLSChoice{}
	}
	return mail.TLSChoice{Level: c.Level, Asked: c.Asked, Policies: c.Policies}
}

// deciding is one decision under way.
type deciding struct {
	*Policies
	peer  mail.TLSPeer
	e     *entry // nil: none
	level mail.TLSLevel
}

// choice makes the decision. Warn is told what is wrong with the entry.
func (d *deciding) choice(ctx context.Context, warn func(string)) (mail.TLSChoice, error) {
	c := &mail.TLSChoice{Level: d.level}
	var err error
	switch d.level {
	case mail.TLSFingerprint, mail.TLSVerify, mail.TLSSecure:
		c, err = d.verified(c, warn)
	case mail.TLSDANE, mail.TLSDANEOnly:
		c, err = d.dane(ctx)
	}
	if _, tls := errors.AsType[*mail.TLSError](err); tls {
		return known(c), err
	}
	switch {
	case errors.Is(err, errNoFingerprints):
		d.o.warn(fmt.Sprintf("nexthop domain %s: %v.", d.peer.NextHop, err))
		return mail.TLSChoice{}, misconfigured()
	case err != nil:
		warn(err.Error())
		return mail.TLSChoice{}, misconfigured()
	}
	if c, err = d.published(ctx, c); err != nil {
		return known(c), err
	}
	if c, err = d.secured(c); err != nil {
		warn(err.Error())
		return mail.TLSChoice{}, misconfigured()
	}
	return *c, nil
}

// verified adds to a choice who the server has to be.
func (d *deciding) verified(c *mail.TLSChoice, warn func(string)) (*mail.TLSChoice, error) {
	var words []string
	if d.e != nil {
		words = d.e.match
	}
	if d.level == mail.TLSFingerprint {
		if words == nil {
			words = d.o.Fingerprints
		}
		var sums [][]byte
		for _, w := range words {
			sum, err := parseFingerprint(d.o.Digest, w)
			if err != nil {
				warn(err.Error())
				continue
			}
			sums = append(sums, sum)
		}
		if sums == nil {
			return nil, errNoFingerprints
		}
		c.Verify, c.Key = byFingerprint(d.o.Digest, sums), keyOf("fingerprint", d.o.Digest, sums)
		return c, nil
	}
	v := &verifier{authorities: d.o.Authorities, anchors: d.o.Anchors, between: d.o.Depth + 1, now: d.o.now}
	if d.e != nil && d.e.tafiles != nil {
		var err error
		if v.anchors, err = d.tafiles(d.e.tafiles); err != nil {
			return nil, err
		}
	}
	own := words != nil
	if !own {
		words = d.o.matched(d.level)
	}
	if d.enforcesSTS() {
		words = []string{"hostname"}
	}
	if v.names = peerNames(words, d.peer); v.names == nil {
		why := errors.New("the match attribute names nobody")
		if !own {
			why = d.o.errNobody(d.level)
		}
		return nil, fmt.Errorf("could not configure peer name checks: %w", why)
	}
	c.Verify, c.Key = v.verify, v.key()
	return c, nil
}

func (d *deciding) tafiles(paths []string) (*Anchors, error) {
	if d.o.ReadFile == nil {
		return nil, errors.New("tafile is not supported")
	}
	var texts [][]byte
	for _, path := range paths {
		text, err := d.o.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("error opening trust anchor file: %w", err)
		}
		if _, err := NewAnchors(text); err != nil {
			return nil, fmt.Errorf("error reading: %s: %w", path, err)
		}
		texts = append(texts, text)
	}
	return NewAnchors(texts...)
}

// secured adds to a choice what the entry and the parameters say beside the level: the
// versions of TLS, ciphers, the name for the server.
func (d *deciding) secured(c *mail.TLSChoice) (*mail.TLSChoice, error) {
	if c.Level == mail.TLSNone {
		return c, nil
	}
	rules, suites := d.o.Optional, d.optional
	if c.Level.Must() {
		rules, suites = d.o.Mandatory, d.mandatory
	}
	if c.Ciphers == nil {
		c.Ciphers = slices.Clone(suites)
	}
	if e := d.e; e != nil {
		var err error
		if e.ciphers != "" || e.exclude != nil {
			if e.ciphers != "" {
				rules.Grade = e.ciphers
			}
			if e.exclude != nil {
				rules.Exclude = *e.exclude
			}
			if c.Ciphers, err = d.o.suites(rules); err != nil {
				return nil, err
			}
		}
		if e.protocols != nil && d.o.Versions != nil {
			if c.Versions, err = d.o.Versions(*e.protocols); err != nil {
				return nil, err
			}
		}
		if e.servername != "" && c.ServerName == "" {
			c.ServerName = e.servername
			switch strings.ToLower(e.servername) {
			case "hostname":
				c.ServerName = d.peer.Host
			case "nexthop":
				c.ServerName = d.peer.Domain
			}
		}
	}
	if c.Key != "" || c.Verify == nil && (c.Ciphers != nil || c.Versions != [2]uint16{} || c.ServerName != "") {
		c.Key = keyOf(c.Key, c.Ciphers, c.Versions, c.ServerName)
	}
	return c, nil
}

func hostPort(peer mail.TLSPeer) string { return peer.Host + ":" + strconv.Itoa(int(peer.Port)) }
