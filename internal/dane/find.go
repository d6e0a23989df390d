package dane

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"

	ourdns "aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Where a host's records are, and whether DNSSEC leads there (RFC 7672 section 2.2).

// query is one search for the records of a host.
type query struct {
	*DANE
	ctx  context.Context
	peer mail.TLSPeer
}

// found is what it came to.
type found struct {
	records  []*dns.TLSA
	owner    string   // of the records: "_25._tcp.mx.example.com"
	base     string   // the TLSA base domain
	names    []string // one of which a certificate has to be for, if an authority is pinned
	secureMX bool     // or the host was named by the next hop
}

// find looks for the records of the peer. An error means that somebody gave no answer.
func (q *query) find() (found, error) {
	f := found{secureMX: true}
	next, err := q.mailExchanger(&f)
	if err != nil || !f.secureMX && q.o.InsecureMX == mail.TLSMay {
		return f, err
	}
	bases, err := q.bases()
	if err != nil {
		return f, err
	}
	for _, base := range bases {
		f.owner = fmt.Sprintf("_%d._tcp.%s", q.peer.Port, base)
		if f.records, err = q.tlsa(f.owner); err != nil {
			return f, err
		}
		if len(f.records) > 0 {
			f.base = base
			break
		}
	}
	// RFC 7672 section 3.2.3. Whoever forges MX records forges the domain's name with them,
	// so that nothing but the host's own is good there.
	f.names = []string{f.base}
	if f.secureMX {
		for _, name := range next {
			if !slices.Contains(f.names, name) {
				f.names = append(f.names, name)
			}
		}
	}
	return f, nil
}

// mailExchanger finds out whether the host is, securely, one of the next hop's, and gives the
// names of the next hop: its own and where aliases led. A host that the configuration names
// needs nobody to vouch for it, nor does a domain that is its own mail exchanger for want of
// records: there its addresses decide. A host that the records do not list (they have just
// changed) has nothing that vouches for it.
func (q *query) mailExchanger(f *found) ([]string, error) {
	next := []string{canonical(q.peer.Domain)}
	if !q.peer.ByMX {
		return next, nil
	}
	a, err := q.ask(q.peer.Domain, dns.TypeMX)
	host := canonical(q.peer.Host)
	switch {
	case isNone(err):
		f.secureMX = host == next[0]
		return next, nil
	case err != nil:
		return nil, err
	}
	f.secureMX = a.Secure && slices.ContainsFunc(a.RRs, func(rr dns.RR) bool {
		mx, ok := rr.(*dns.MX)
		return ok && canonical(mx.Mx) == host
	})
	if a.Name != "" {
		next = append(next, canonical(a.Name))
	}
	return next, nil
}

// bases are the names below which records may be, in the order in which they are asked for
// (RFC 7672 sections 2.2.1 to 2.2.3). Zones that are not signed are left alone: their servers
// often fail at such questions, and mail would wait for nothing.
func (q *query) bases() ([]string, error) {
	host := canonical(q.peer.Host)
	end, secure, err := q.addresses()
	switch {
	case err != nil:
		return nil, err
	case secure && end != host:
		return []string{end, host}, nil
	case secure || q.o.ForceInsecureHost:
		return []string{host}, nil
	case end == host:
		return nil, nil
	}
	// The alias itself may be secure where what it leads to is not.
	a, err := q.ask(host, dns.TypeCNAME)
	switch {
	case isNone(err):
		return nil, nil
	case err != nil:
		return nil, err
	case a.Secure:
		return []string{host}, nil
	}
	return nil, nil
}

// addresses finds where the host's aliases led, and whether its addresses are secure.
// One family is enough, and one that has no answer does not matter when the other has: the
// host is connected to at what was found.
func (q *query) addresses() (end string, secure bool, err error) {
	var types []uint16
	if q.o.Family != ourdns.IPv6 {
		types = append(types, dns.TypeA)
	}
	if q.o.Family != ourdns.IPv4 {
		types = append(types, dns.TypeAAAA)
	}
	end = canonical(q.peer.Host)
	answered := false
	for _, qtype := range types {
		a, aerr := q.ask(q.peer.Host, qtype)
		switch {
		case aerr == nil && (!answered || a.Secure):
			answered, secure = true, a.Secure
			if a.Name != "" {
				end = canonical(a.Name)
			}
		case aerr != nil && !isNone(aerr):
			err = aerr
		}
	}
	if answered {
		err = nil
	}
	return end, secure, err
}

// tlsa asks for the records of one owner; those that are not secure are none.
func (q *query) tlsa(owner string) ([]*dns.TLSA, error) {
	a, err := q.o.Names.Query(q.ctx, owner, dns.TypeTLSA)
	switch {
	case isNone(err), err == nil && !a.Secure:
		return nil, nil
	case err != nil:
		q.told.once("DANE TLSA lookup problem: " + err.Error())
		return nil, err
	}
	var records []*dns.TLSA
	for _, rr := range a.RRs {
		if t, ok := rr.(*dns.TLSA); ok && len(records) < maxRecords {
			records = append(records, t)
		}
	}
	// Servers give them in any order, reports and warnings in one.
	slices.SortFunc(records, func(a, b *dns.TLSA) int {
		return cmp.Or(cmp.Compare(a.Usage, b.Usage), cmp.Compare(a.Selector, b.Selector),
			cmp.Compare(a.MatchingType, b.MatchingType), cmp.Compare(a.Certificate, b.Certificate))
	})
	return records, nil
}

// ask asks for anything else.
func (q *query) ask(name string, qtype uint16) (ourdns.Answer, error) {
	a, err := q.o.Names.Query(q.ctx, name, qtype)
	if err != nil && !isNone(err) {
		q.told.once("DNSSEC status lookup error for " + name + ": " + err.Error())
	}
	return a, err
}

// canonical is a name as certificates and records have it: in ASCII, in lower case, without
// a dot at the end.
func canonical(name string) string {
	name = strings.TrimSuffix(name, ".")
	for i := 0; i < len(name); i++ {
		if name[i] >= 0x80 {
			if a, err := idna.Lookup.ToASCII(name); err == nil {
				return a
			}
			break
		}
	}
	return strings.ToLower(name)
}
