// Package dnstest has names without a network, for the tests of those who ask the DNS: zones
// in memory, as master files or as records added one by one, behind a *dns.Resolver. A name
// can have a fault instead of records, and what was asked is on record. Nothing but tests
// imports it.
package dnstest

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"

	lib "github.com/miekg/dns"

	"aliasmx/internal/dns"
)

// Zone is all the names there are. It is safe for concurrent use.
type Zone struct {
	mu      sync.Mutex // guards what follows
	records map[string][]lib.RR
	faults  map[string]Fault
	asked   []string
}

// Fault is what happens to questions for a name instead of an answer.
type Fault uint8

// The faults.
const (
	ServFail Fault = iota + 1
	Refused
	Silent // nobody answers: the time-out comes at once
)

// New makes a zone from a master file. Names in it are absolute, with or without the final
// dot.
func New(t testing.TB, text string) *Zone {
	t.Helper()
	z := &Zone{records: map[string][]lib.RR{}, faults: map[string]Fault{}}
	z.Add(t, text)
	return z
}

// Add adds records of a master file.
func (z *Zone) Add(t testing.TB, text string) {
	t.Helper()
	p := lib.NewZoneParser(strings.NewReader(text), ".", "")
	p.SetDefaultTTL(300)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		z.AddRR(rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
}

// AddRR adds a record.
func (z *Zone) AddRR(rr lib.RR) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name := key(rr.Header().Name)
	z.records[name] = append(z.records[name], rr)
}

// AddTXT adds a TXT record with one string of any length: it is split as it has to be.
func (z *Zone) AddTXT(name, text string) {
	rr := &lib.TXT{Hdr: lib.RR_Header{Name: lib.Fqdn(name), Rrtype: lib.TypeTXT, Class: lib.ClassINET, Ttl: 300}}
	for len(text) > 255 {
		rr.Txt, text = append(rr.Txt, text[:255]), text[255:]
	}
	rr.Txt = append(rr.Txt, text)
	z.AddRR(rr)
}

// Remove takes all records of a name away.
func (z *Zone) Remove(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.records, key(name))
}

// Fail gives a name a fault, for all types.
func (z *Zone) Fail(name string, f Fault) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.faults[key(name)] = f
}

// Asked are the questions so far, "name TYPE", without those that a cache answered, and
// forgets them.
func (z *Zone) Asked() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	asked := z.asked
	z.asked = nil
	return asked
}

// Resolver asks this zone and nobody else. It has a cache, so that a zone that changes needs
// a new one.
func (z *Zone) Resolver() *dns.Resolver {
	return dns.New(dns.Options{Servers: []string{"192.0.2.53"}, Hosts: "/dev/null", Attempts: 1, Exchange: z.exchange})
}

var errSilent = errors.New("nobody answers")

func (z *Zone) exchange(_ context.Context, q *lib.Msg, _ string, _ bool) (*lib.Msg, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name, qtype := key(q.Question[0].Name), q.Question[0].Qtype
	z.asked = append(z.asked, name+" "+lib.TypeToString[qtype])
	m := new(lib.Msg).SetReply(q)
	switch z.faults[name] {
	case ServFail:
		m.Rcode = lib.RcodeServerFailure
		return m, nil
	case Refused:
		m.Rcode = lib.RcodeRefused
		return m, nil
	case Silent:
		return nil, errSilent
	}
	for _, rr := range z.records[name] {
		if t := rr.Header().Rrtype; t == qtype || t == lib.TypeCNAME {
			m.Answer = append(m.Answer, lib.Copy(rr))
		}
	}
	if len(m.Answer) == 0 && !z.exists(name) {
		m.Rcode = lib.RcodeNameError
	}
	return m, nil
}

// exists tells whether there is a name: with records, or above one that has (RFC 8020).
func (z *Zone) exists(name string) bool {
	if len(z.records[name]) > 0 {
		return true
	}
	for other := range maps.Keys(z.records) {
		if strings.HasSuffix(other, "."+name) {
			return true
		}
	}
	return false
}

func key(name string) string { return strings.ToLower(lib.Fqdn(name)) }
