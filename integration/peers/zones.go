package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A laboratory of the domain name system on loopback: a root of its own and zones below
// it in nsd, signed or not, and unbound as the validating resolver that believes this
// root and no other. Nothing leaves the machine.

// Fault is what is wrong with a zone.
type Fault uint8

// The faults. Those of signatures need a zone that is signed; the others are of the
// server.
const (
	Sound      Fault = iota
	Bogus            // signatures of something else
	Expired          // signatures that ended a day ago
	Island           // signed, but the parent knows nothing of it: insecure
	ServFail         // the server answers SERVFAIL
	Refused          // the server answers REFUSED
	Silent           // the server never answers
	Truncated        // the server answers over UDP only that the answer is too long
	TCPOnly          // the server is silent over UDP
	Slow             // the server answers after Zone.Delay
	Unsigned         // the server leaves the signatures out of its answers
	StripTypes       // the server answers that records of Zone.Types do not exist, without proof
)

// Zone is one zone of a Lab.
type Zone struct {
	Name string // "secure.example"
	// Text is a master file; names are relative to the zone. SOA and NS are added.
	Text   string
	Signed bool // and vouched for in the parent, but for an Island
	NSEC3  bool // instead of NSEC
	Fault  Fault
	// Names and Types narrow the fault to some owner names (whole names, or relative to
	// the zone; "@" is the zone itself) and types ("TLSA"); without any, it is all.
	Names []string
	Types []string
	Delay time.Duration // of Slow
}

// Lab is a running laboratory.
type Lab struct {
	Resolver  string // unbound: validates, and is asked over UDP and TCP
	Authority string // nsd, without any fault of a server

	fronts  []*Front
	daemons []*daemon
}

// NewLab starts a laboratory; its files are in dir. Zones may lie within one another. A
// zone without a parent among them is below the root, and so are names in no zone: they
// do not exist, and securely so.
func NewLab(dir string, zones []Zone) (*Lab, error) {
	root := Zone{Name: ".", Signed: true}
	all := append([]Zone{root}, zones...)
	built, err := signedZones(all)
	if err != nil {
		return nil, err
	}
	l := &Lab{}
	if err := l.start(dir, built); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close ends the servers.
func (l *Lab) Close() {
	for _, d := range slices.Backward(l.daemons) {
		d.stop()
	}
	for _, f := range l.fronts {
		f.Close()
	}
}

// StopResolver ends unbound: nobody answers at Resolver any more.
func (l *Lab) StopResolver() { l.daemons[len(l.daemons)-1].stop() }

func (l *Lab) start(dir string, zones []*builtZone) error {
	var nsd strings.Builder
	fmt.Fprintf(&nsd, nsdHead, dir, userName(), filepath.Join(dir, "zone.list"))
	for i, z := range zones {
		file := filepath.Join(dir, fmt.Sprintf("zone%d", i))
		if err := os.WriteFile(file, []byte(z.file()), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&nsd, "zone:\n  name: %q\n  zonefile: %q\n", z.origin, file)
	}
	authority, err := l.daemon(dir, "nsd", nsd.String(), "-d", "-c")
	if err != nil {
		return err
	}
	l.Authority = authority
	anchor := filepath.Join(dir, "anchor")
	if err := os.WriteFile(anchor, []byte(zones[0].ds.String()+"\n"), 0o644); err != nil {
		return err
	}
	var unbound strings.Builder
	fmt.Fprintf(&unbound, unboundHead, dir, anchor)
	for _, z := range zones[1:] {
		// Some names have an answer inside unbound: test, 2.0.192.in-addr.arpa.
		fmt.Fprintf(&unbound, "  local-zone: %q transparent\n", z.origin)
	}
	for _, z := range zones {
		at := l.Authority
		if z.misbehaves() {
			f, err := NewFront(l.Authority, z.Zone)
			if err != nil {
				return err
			}
			l.fronts = append(l.fronts, f)
			at = f.Addr
		}
		fmt.Fprintf(&unbound, "stub-zone:\n  name: %q\n  stub-addr: %s\n  stub-prime: no\n", z.origin, strings.Replace(at, ":", "@", 1))
	}
	l.Resolver, err = l.daemon(dir, "unbound", unbound.String(), "-d", "-p", "-c")
	return err
}

// misbehaves tells whether the fault is one of the server.
func (z Zone) misbehaves() bool { return z.Fault >= ServFail }

// concerns tells whether a zone's fault is about these records.
func (z Zone) concerns(name string, rrtype uint16) bool {
	named := func(n string) bool {
		if n == "@" {
			n = ""
		}
		full := dns.CanonicalName(n)
		if origin := dns.CanonicalName(z.Name); !dns.IsSubDomain(origin, full) || n == "" {
			full = dns.CanonicalName(strings.TrimPrefix(n+"."+origin, "."))
		}
		return full == dns.CanonicalName(name)
	}
	return (len(z.Names) == 0 || slices.ContainsFunc(z.Names, named)) &&
		(len(z.Types) == 0 || slices.Contains(z.Types, dns.TypeToString[rrtype]))
}

// Said is what the servers have written, for a test that fails.
func (l *Lab) Said() string {
	var b strings.Builder
	for _, d := range l.daemons {
		b.WriteString(d.said.String())
	}
	return b.String()
}
