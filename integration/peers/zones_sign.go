package peers

import (
	"cmp"
	"crypto"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Zones as their servers load them: with delegations, keys, signatures and the proof of
// what does not exist (RFC 4034, RFC 5155).

// builtZone is a zone with what belongs to it.
type builtZone struct {
	Zone
	origin  string // with the final dot, lower case
	records []dns.RR
	key     *dns.DNSKEY
	signer  crypto.Signer
	ds      *dns.DS
}

const zoneTTL = 60

// signedZones builds zones, the root first; each is delegated by the one around it.
func signedZones(zones []Zone) ([]*builtZone, error) {
	built := make([]*builtZone, len(zones))
	for i, z := range zones {
		b := &builtZone{Zone: z, origin: dns.CanonicalName(z.Name)}
		if err := b.parse(); err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.Name, err)
		}
		if z.Signed {
			if err := b.makeKey(); err != nil {
				return nil, err
			}
		}
		built[i] = b
	}
	for _, child := range built[1:] {
		built[0].parentOf(child, built).delegate(child)
	}
	for _, b := range built {
		if b.Signed {
			if err := b.sign(); err != nil {
				return nil, fmt.Errorf("zone %s: %w", b.Name, err)
			}
		}
	}
	return built, nil
}

// parentOf is the zone around child with the longest name; z, the root, if no other is.
func (z *builtZone) parentOf(child *builtZone, among []*builtZone) *builtZone {
	parent := z
	for _, b := range among {
		if b != child && dns.IsSubDomain(b.origin, child.origin) && len(b.origin) > len(parent.origin) {
			parent = b
		}
	}
	return parent
}

func (z *builtZone) parse() error {
	ns := strings.TrimPrefix("ns-of-lab."+z.origin, ".")
	if z.origin == "." {
		ns = "ns-of-lab."
	}
	text := fmt.Sprintf("@ SOA %s hostmaster.%s 1 3600 600 86400 %d\n@ NS %s\n%s A 127.0.0.1\n%s\n",
		ns, ns, zoneTTL, ns, ns, z.Text)
	parser := dns.NewZoneParser(strings.NewReader(text), z.origin, "")
	parser.SetDefaultTTL(zoneTTL)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rr.Header().Name = dns.CanonicalName(rr.Header().Name)
		z.records = append(z.records, rr)
	}
	return parser.Err()
}

// delegate puts the cut into the parent, with the digest of the child's key.
func (z *builtZone) delegate(child *builtZone) {
	ns := "ns-of-lab." + child.origin
	hdr := func(name string, t uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: zoneTTL}
	}
	z.records = append(z.records,
		&dns.NS{Hdr: hdr(child.origin, dns.TypeNS), Ns: ns},
		&dns.A{Hdr: hdr(ns, dns.TypeA), A: []byte{127, 0, 0, 1}})
	if child.ds != nil && child.Fault != Island {
		z.records = append(z.records, child.ds)
	}
}

func (z *builtZone) makeKey() error {
	z.key = &dns.DNSKEY{
		Hdr:       dns.RR_Header{Name: z.origin, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: zoneTTL},
		Flags:     dns.ZONE | dns.SEP,
		Protocol:  3,
		Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := z.key.Generate(256)
	if err != nil {
		return err
	}
	z.signer = private.(crypto.Signer)
	z.ds = z.key.ToDS(dns.SHA256)
	z.ds.Hdr = dns.RR_Header{Name: z.origin, Rrtype: dns.TypeDS, Class: dns.ClassINET, Ttl: zoneTTL}
	z.records = append(z.records, z.key)
	return nil
}

// sign adds signatures and the chain of names.
func (z *builtZone) sign() error {
	if z.NSEC3 {
		z.records = append(z.records, z.nsec3Param())
	}
	names := z.names()
	chain := z.nsec(names)
	if z.NSEC3 {
		chain = z.nsec3(names)
	}
	z.records = append(z.records, chain...)
	sets := map[string][]dns.RR{}
	var order []string
	for _, rr := range z.records {
		h := rr.Header()
		cut := z.cutAbove(h.Name)
		if cut != "" && (h.Name != cut || h.Rrtype == dns.TypeNS) {
			continue // the child's
		}
		k := h.Name + " " + dns.TypeToString[h.Rrtype]
		if sets[k] == nil {
			order = append(order, k)
		}
		sets[k] = append(sets[k], rr)
	}
	for _, k := range order {
		sig, err := z.signature(sets[k])
		if err != nil {
			return err
		}
		z.records = append(z.records, sig)
	}
	return nil
}

func (z *builtZone) signature(set []dns.RR) (*dns.RRSIG, error) {
	h := set[0].Header()
	from, to := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	ill := z.concerns(h.Name, h.Rrtype) && !(len(z.Names)+len(z.Types) == 0 && h.Rrtype == dns.TypeDNSKEY)
	if z.Fault == Expired && ill {
		from, to = from.Add(-96*time.Hour), to.Add(-48*time.Hour)
	}
	sig := &dns.RRSIG{
		Hdr:        dns.RR_Header{Name: h.Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: h.Ttl},
		Algorithm:  z.key.Algorithm,
		KeyTag:     z.key.KeyTag(),
		SignerName: z.origin,
		Inception:  uint32(from.Unix()),
		Expiration: uint32(to.Unix()),
	}
	if err := sig.Sign(z.signer, set); err != nil {
		return nil, err
	}
	if z.Fault == Bogus && ill {
		raw, err := base64.StdEncoding.DecodeString(sig.Signature)
		if err != nil {
			return nil, err
		}
		raw[len(raw)-1] ^= 1
		sig.Signature = base64.StdEncoding.EncodeToString(raw)
	}
	return sig, nil
}

// cutAbove is the delegation that a name is at or below; "" where there is none.
func (z *builtZone) cutAbove(name string) string {
	for _, rr := range z.records {
		h := rr.Header()
		if h.Rrtype == dns.TypeNS && h.Name != z.origin && dns.IsSubDomain(h.Name, name) {
			return h.Name
		}
	}
	return ""
}

// names are the owner names that the zone answers for, with the types at each.
func (z *builtZone) names() map[string][]uint16 {
	names := map[string][]uint16{}
	for _, rr := range z.records {
		h := rr.Header()
		if cut := z.cutAbove(h.Name); cut != "" && cut != h.Name {
			continue
		}
		if !slices.Contains(names[h.Name], h.Rrtype) {
			names[h.Name] = append(names[h.Name], h.Rrtype)
		}
	}
	return names
}

// bitmap is the list of types of a name for its proof.
func (z *builtZone) bitmap(name string, types []uint16, more ...uint16) []uint16 {
	unsigned := z.cutAbove(name) == name && !slices.Contains(types, dns.TypeDS)
	if len(types) > 0 && (!unsigned || !z.NSEC3) {
		more = append(more, dns.TypeRRSIG)
	}
	all := append(slices.Clone(types), more...)
	slices.Sort(all)
	return all
}

func (z *builtZone) nsec(names map[string][]uint16) []dns.RR {
	var order []string
	for n := range names {
		order = append(order, n)
	}
	slices.SortFunc(order, canonicalOrder)
	var chain []dns.RR
	for i, n := range order {
		chain = append(chain, &dns.NSEC{
			Hdr:        dns.RR_Header{Name: n, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: zoneTTL},
			NextDomain: order[(i+1)%len(order)],
			TypeBitMap: z.bitmap(n, names[n], dns.TypeNSEC),
		})
	}
	return chain
}

func (z *builtZone) nsec3Param() dns.RR {
	return &dns.NSEC3PARAM{
		Hdr:  dns.RR_Header{Name: z.origin, Rrtype: dns.TypeNSEC3PARAM, Class: dns.ClassINET},
		Hash: dns.SHA1,
	}
}

func (z *builtZone) nsec3(names map[string][]uint16) []dns.RR {
	types := map[string][]uint16{} // by hash
	for n, at := range names {
		types[dns.HashName(n, dns.SHA1, 0, "")] = z.bitmap(n, at)
		// The names in between, which have no records, are part of the chain as well.
		for i, end := dns.NextLabel(n, 0); !end && len(n[i:]) > len(z.origin); i, end = dns.NextLabel(n, i) {
			if h := dns.HashName(n[i:], dns.SHA1, 0, ""); names[n[i:]] == nil {
				types[h] = nil
			}
		}
	}
	var order []string
	for h := range types {
		order = append(order, h)
	}
	slices.Sort(order)
	var chain []dns.RR
	for i, h := range order {
		chain = append(chain, &dns.NSEC3{
			Hdr:        dns.RR_Header{Name: strings.ToLower(h) + "." + z.origin, Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: zoneTTL},
			Hash:       dns.SHA1,
			HashLength: uint8(base32.HexEncoding.WithPadding(base32.NoPadding).DecodedLen(len(h))),
			NextDomain: order[(i+1)%len(order)],
			TypeBitMap: types[h],
		})
	}
	return chain
}

// canonicalOrder is that of RFC 4034 section 6.1: by labels, from the right.
func canonicalOrder(a, b string) int {
	la, lb := dns.SplitDomainName(a), dns.SplitDomainName(b)
	for len(la) > 0 && len(lb) > 0 {
		if c := cmp.Compare(la[len(la)-1], lb[len(lb)-1]); c != 0 {
			return c
		}
		la, lb = la[:len(la)-1], lb[:len(lb)-1]
	}
	return cmp.Compare(len(la), len(lb))
}

// file is the zone as a master file.
func (z *builtZone) file() string {
	var b strings.Builder
	for _, rr := range z.records {
		b.WriteString(rr.String() + "\n")
	}
	return b.String()
}
