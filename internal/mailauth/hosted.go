package mailauth

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/dmarc"
	"aliasmx/internal/mailauth/spf"
)

// No laundering: a relay lends its good name. Mail from outside that says it is from a domain
// that we serve would leave from our addresses, and perhaps with our signature, as if that
// domain had sent it. So it has to prove on its way in what it would seem to have proven on
// its way out ("Forward Pass", EuroS&P 2023, has what comes of it otherwise).

// hosted is about mail of strangers that says it is from a hosted domain: its author's must
// pass SPF or DKIM in alignment, its reverse-path must pass SPF, or DKIM in alignment with
// itself.
func (j *judge) hosted(ctx context.Context) {
	f := j.f
	for _, author := range f.Authors {
		j.mustProve(ctx, author, "From", f.Aligned(), f.open || f.mayPassLater(), f.DMARC.OrgDomain)
	}
	if f.Request.Sender.IsNull() {
		return
	}
	domain := pathDomain(&f.Request)
	if f.SPF.Result == mail.AuthPass {
		return
	}
	proven, later := j.v.anyAligned(ctx, domain, f.signers())
	j.mustProve(ctx, domain, "MAIL FROM", proven, later || f.SPF.Result == mail.AuthTempError, "")
	if !proven && f.SPF.Result != "" {
		j.mustNotPassByUs(ctx, domain)
	}
}

// mustNotPassByUs refuses a reverse-path that SPF does not let the client use, and would let
// us: where it is kept, the copy would pass by us.
func (j *judge) mustNotPassByUs(ctx context.Context, domain string) {
	v, sources := j.v, j.v.o.Sources()
	if v.o.Keeps == nil || len(sources) == 0 {
		return
	}
	name := shown(domain)
	switch kept, err := v.o.Keeps(ctx, domain); {
	case err != nil:
		j.rule(j.policy.HostedTempError, refusalFor(Reject, "Temporary lookup failure"), status(451, mail.Code(4, 3, 0), "Temporary lookup failure"),
			"whether the reverse-path is kept cannot be looked up: "+err.Error())
		return
	case !kept:
		return
	}
	q := v.pathRequest(&j.f.Request)
	q.Helo = v.o.MyHostname
	if !slices.ContainsFunc(sources, func(source netip.Addr) bool {
		q.IP = source
		return spf.Check(ctx, v.o.Resolver, q).Result == mail.AuthPass
	}) {
		return
	}
	action, later := j.policy.Hosted, j.policy.HostedTempError
	if !j.f.Aligned() && j.authoredNear(ctx, domain) { // as in lends: it would be proof
		later = max(later, Defer)
		if action < Defer {
			action = Reject
		}
	}
	text := "SPF of " + name + " does not let " + j.f.Request.Client.Addr.String() + " send for it, and would let this relay"
	if j.f.SPF.Result == mail.AuthTempError {
		j.rule(later, refusalFor(Reject, text), status(451, mail.Code(4, 7, 24), "SPF of "+name+" cannot be checked now"), text)
		return
	}
	j.rule(action, status(550, mail.Code(5, 7, 23), text), status(451, mail.Code(4, 7, 23), text), text)
}

// authoredNear tells whether an author is of the same organisation as a domain, in either of the
// ways of telling. Who cannot be asked might be.
func (j *judge) authoredNear(ctx context.Context, domain string) bool {
	return slices.ContainsFunc(j.f.Authors, func(author string) bool {
		if registered(author) != "" && registered(author) == registered(domain) {
			return true
		}
		same, err := j.v.sameOrganisation(ctx, author, domain)
		return same || err != nil
	})
}

// mustProve refuses a message that names a hosted domain without proof of it.
func (j *judge) mustProve(ctx context.Context, domain, where string, proven, later bool, org string) {
	if proven {
		return
	}
	name := shown(domain)
	ours, err := j.v.isHosted(ctx, domain, org)
	switch {
	case err != nil:
		j.rule(j.policy.HostedTempError, refusalFor(Reject, "Temporary lookup failure"), status(451, mail.Code(4, 3, 0), "Temporary lookup failure"),
			"whether "+name+" is hosted here cannot be looked up: "+err.Error())
	case !ours:
	case later:
		later := j.policy.HostedTempError
		if where == "From" && j.lends(ctx, domain, org) {
			later = max(later, Defer)
		}
		text := name + " is served here, and whether this " + where + " is genuine cannot be checked now"
		j.rule(later, refusalFor(Reject, text), refusalFor(Defer, text), where+" "+name+" is hosted here, and cannot be checked now")
	default:
		action := j.policy.Hosted
		if where == "From" && action < Defer && j.lends(ctx, domain, org) {
			action = Reject
		}
		text := name + " is served here, and this " + where + " has neither SPF nor an aligned DKIM signature that passes"
		j.rule(action, refusalFor(Reject, text), refusalFor(Defer, text), where+" "+name+" is hosted here, and not authenticated")
	}
}

// isHosted tells whether nobody outside may say that he is of a domain: it is served here, or
// of the same organisation as our servers. org is its organisational domain, "" if that is not
// known.
func (v *Verifier) isHosted(ctx context.Context, domain, org string) (bool, error) {
	if ours, err := v.isServed(ctx, domain); ours || err != nil {
		return ours, err
	}
	return v.isOwn(ctx, asciiDomain(domain), org, append(v.o.HeloNames[:len(v.o.HeloNames):len(v.o.HeloNames)], v.o.SenderDomain)), nil
}

// lends tells whether a copy of the message would leave with an SPF pass for the organisation
// of a domain: then no action may let it through, since it would gain a proof by that.
func (j *judge) lends(ctx context.Context, domain, org string) bool {
	names := []string{j.v.o.SenderDomain}
	if j.f.Request.Sender.IsNull() {
		names = j.v.o.HeloNames
	}
	return j.v.isOwn(ctx, asciiDomain(domain), org, names)
}

// isServed tells whether mail for a domain, or for one above it, comes to us, or we sign for it:
// then a copy could seem to be its own. Where one
// organisation ends and another begins receivers tell in different ways (RFC 9989 by the DNS,
// RFC 7489 by the list of public suffixes): none of them must find one here that we do not.
func (v *Verifier) isServed(ctx context.Context, domain string) (bool, error) {
	for name := asciiDomain(domain); name != ""; _, name, _ = strings.Cut(name, ".") {
		if ours, err := v.o.Hosted(ctx, name); ours || err != nil {
			return ours, err
		}
	}
	if v.o.Signs == nil {
		return false, nil
	}
	return v.o.Signs(ctx, asciiDomain(domain))
}

// isOwn tells whether a domain is of the same organisation as one of the names that our servers
// speak for, in either of the ways of telling.
func (v *Verifier) isOwn(ctx context.Context, domain, org string, names []string) bool {
	for _, own := range names {
		if own = asciiDomain(own); own == "" {
			continue
		}
		if isBelow(domain, own) || registered(domain) != "" && registered(domain) == registered(own) {
			return true
		}
		if org == "" || sharedLabels(org, own) == 0 {
			continue
		}
		if ours, err := dmarc.OrgDomain(ctx, v.o.Resolver, own); err == nil && ours == org {
			return true
		}
	}
	return false
}

// registered is the domain below a public suffix, "" if there is none.
func registered(domain string) string {
	d, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return ""
	}
	return d
}

// isBelow tells whether a domain is another, or below it.
func isBelow(domain, above string) bool {
	return domain == above || strings.HasSuffix(domain, "."+above)
}

// sharedLabels is how many labels two domains have in common at their ends.
func sharedLabels(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	n := 0
	for n < len(x) && n < len(y) && x[len(x)-1-n] == y[len(y)-1-n] {
		n++
	}
	return n
}

// Submitted is what is known of a submission. It is not judged: all there is to know is whether
// the submitter may speak for the author, whose domain must be a hosted one, or one that we have
// keys of: who gives us the key of a domain says that those who submit mail here speak for it.
// If that cannot be found out, and there are keys, the message is to come again: it would leave
// without a signature.
func (v *Verifier) Submitted(ctx context.Context, r mail.AuthRequest, body mail.Body) (known mail.Authentic, err error) {
	header, err := readHeader(body)
	if err != nil {
		return known, nil
	}
	domains, none := authors(header)
	if none != "" {
		return known, nil
	}
	known.Author = domains[0]
	if r.Owners && (!r.Owner || asciiDomain(r.Sender.Domain) != known.Author) {
		return known, nil
	}
	ours, err := v.isServed(ctx, known.Author)
	ours = ours || known.Author == asciiDomain(v.o.MyHostname)
	known.Vouched = ours && err == nil
	if err != nil && v.o.Signs != nil {
		return known, fmt.Errorf("whether %s is signed for cannot be looked up: %w", shown(known.Author), err)
	}
	return known, nil
}
