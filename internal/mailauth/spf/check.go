package spf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Request is what is known of a client and its sender. All of it may be what a stranger
// wrote.
type Request struct {
	IP   netip.Addr // an IPv4-mapped one is IPv4
	Helo string
	// Sender is the reverse-path. Where it is null, postmaster@Helo is asked about (RFC 7208
	// section 2.4); without a local part it is postmaster's (section 4.3).
	Sender mail.Address
	// Receiver is our name, which an explanation may mention; "": unknown.
	Receiver string
	// Now is the clock, for the same reason; nil: time.Now.
	Now func() time.Time
}

// Result is what the domain says.
type Result struct {
	Result mail.AuthResult // none, neutral, pass, fail, softfail, temperror or permerror
	// Explanation is what the domain wants a sender to be told of a fail, printable ASCII of
	// at most 500 characters; mostly "". It is a stranger's word.
	Explanation string
	// Problem says, for the operator, why it is none, temperror or permerror.
	Problem string
	// Mechanism is what matched, as the record has it but without its qualifier
	// ("ip4:192.0.2.0/24"); "default" where nothing did, "" where that was not found out.
	Mechanism string
	// Domain is the domain that was asked, as an A-label in lower case. Where it is none that
	// could have been, it is as it was written.
	Domain string
}

// Check asks the domain of the sender, or that of HELO where the sender is null. It takes
// 20 seconds at most, or as long as ctx has: then the result is temperror.
func Check(ctx context.Context, r *dns.Resolver, q Request) Result {
	return newCheck(q).run(ctx, r)
}

// CheckHelo asks the domain of HELO, whoever the sender is (RFC 7208 section 2.3).
func CheckHelo(ctx context.Context, r *dns.Resolver, q Request) Result {
	q.Sender = mail.Address{}
	return Check(ctx, r, q)
}

// check is one check_host() of RFC 7208 section 4.
type check struct {
	ctx   context.Context
	names *dns.Resolver

	ip     netip.Addr
	helo   string
	local  string // of the sender
	sender string // its domain
	q      Request

	terms     int // that have asked
	void      int // and found nothing
	questions int
	ptr       clientNames
	usesLocal bool   // a macro of the local part was expanded
	trail     *Trail // nil: nobody wants to know
}

func newCheck(q Request) *check {
	c := &check{ip: q.IP.Unmap().WithZone(""), q: q, helo: domainOf(q.Helo), local: q.Sender.Local, sender: domainOf(q.Sender.Domain)}
	if q.Sender.IsNull() {
		c.sender = c.helo
	}
	c.local = cmp.Or(c.local, "postmaster")
	return c
}

// domainOf is a name as it is asked for: A-labels (RFC 7208 section 4.3), in lower case,
// without a dot at the end. What is no name stays as it is.
func domainOf(name string) string {
	lower := strings.TrimSuffix(strings.ToLower(name), ".")
	if strings.ContainsFunc(lower, func(c rune) bool { return c >= 0x80 }) {
		a, err := idna.Lookup.ToASCII(lower)
		if err != nil || !utf8.ValidString(lower) {
			return name
		}
		return a
	}
	return lower
}

// failure ends a check with temperror or permerror.
type failure struct {
	result mail.AuthResult
	why    string
}

func (f *failure) Error() string { return f.why }

func permError(format string, args ...any) *failure {
	return &failure{mail.AuthPermError, fmt.Sprintf(format, args...)}
}

func (c *check) run(ctx context.Context, r *dns.Resolver) Result {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	c.ctx, c.names = ctx, r.With(dns.View{AnyName: true})
	c.ptr.c = c
	res := Result{Domain: c.sender}
	switch {
	case !c.ip.IsValid():
		res.Result, res.Problem = mail.AuthNone, "the client has no address"
		return res
	case !mayHaveRecord(c.sender):
		res.Result, res.Problem = mail.AuthNone, short(c.sender)+" is no domain that could have a record"
		return res
	}
	o, err := c.host(c.sender)
	if c.trail != nil {
		c.trail.Local = c.usesLocal
	}
	if f, ok := errors.AsType[*failure](err); ok {
		res.Result, res.Problem = f.result, f.why
		return res
	}
	res.Result, res.Mechanism = o.result, o.mechanism
	switch o.result {
	case mail.AuthNone:
		res.Problem = c.sender + " has no SPF record"
	case mail.AuthFail:
		res.Explanation = c.explanation(o)
	}
	return res
}

// mayHaveRecord tells whether a domain is one to ask (RFC 7208 section 4.3): well-formed, and
// of several labels; an address is none.
func mayHaveRecord(domain string) bool {
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return askable(domain) && len(top) < len(domain) && strings.Trim(top, "0123456789") != "" && !strings.ContainsAny(domain, " []")
}

// outcome is what the record of a domain says.
type outcome struct {
	result    mail.AuthResult
	mechanism string
	exp       *domainSpec // where the explanation of a fail is
	domain    string      // whose record said so
}

// host is check_host() for a domain. The error is a *failure.
func (c *check) host(domain string) (outcome, error) {
	texts, err := c.texts(domain)
	if errors.Is(err, dns.ErrNotFound) {
		return outcome{result: mail.AuthNone}, nil
	} else if err != nil {
		return outcome{}, c.failed(err)
	}
	records := Records(texts)
	switch len(records) {
	case 0:
		return outcome{result: mail.AuthNone}, nil
	case 1:
	default:
		return outcome{}, permError("%s has %d SPF records, where one may be", domain, len(records))
	}
	c.trail.record(domain, records[0])
	r, err := Parse(records[0])
	if err != nil {
		return outcome{}, permError("the record of %s is malformed: %v", domain, err)
	}
	return c.record(domain, &r)
}

// record evaluates a record: mechanisms from left to right until one matches, then redirect.
func (c *check) record(domain string, r *Record) (outcome, error) {
	c.trail.in()
	defer c.trail.out()
	for i := range r.mechanisms {
		m := &r.mechanisms[i]
		match, err := c.mechanism(domain, m)
		switch {
		case err != nil:
			c.trail.term(m.text, err.Error())
			return outcome{}, err
		case match:
			c.trail.term(m.text, "matches: "+string(m.result))
			return outcome{m.result, m.text, r.exp, domain}, nil
		}
		c.trail.term(m.text, "does not match")
	}
	if r.redirect == nil {
		c.trail.add("nothing matches: neutral")
		return outcome{result: mail.AuthNeutral, mechanism: "default"}, nil
	}
	if err := c.term(r.redirect); err != nil {
		return outcome{}, err
	}
	target, ok := c.target(r.redirect, domain)
	c.trail.term("redirect", target)
	if !ok {
		return outcome{}, permError("redirect of %s, which is no name", short(target))
	}
	o, err := c.host(target)
	if err == nil && o.result == mail.AuthNone { // section 6.1
		err = permError("redirect of %s, which has no SPF record", short(target))
	}
	return o, err
}

// term counts a term that asks (section 4.6.4). A macro of the names of the client is one
// more, once.
func (c *check) term(d *domainSpec) error {
	if c.terms++; d.has("p") && !c.ptr.asked && !c.ptr.counted {
		c.ptr.counted = true
		c.terms++
	}
	if c.terms > maxTerms {
		return permError("more than %d lookups (RFC 7208 section 4.6.4)", maxTerms)
	}
	return nil
}

// nothing counts a term whose questions found nothing.
func (c *check) nothing() error {
	if c.void++; c.void > maxVoid {
		return permError("more than %d lookups that find nothing (RFC 7208 section 4.6.4)", maxVoid)
	}
	return nil
}
