package dmarc

import (
	"net/url"
	"slices"
	"strings"
)

// The policies, from the mildest to the strictest.
const (
	None       = "none"
	Quarantine = "quarantine"
	Reject     = "reject"
)

// Record is a DMARC record (RFC 9989 section 4.7). What is absent or not valid has its
// default, or is "".
type Record struct {
	P, SP, NP               string   // None, Quarantine or Reject
	StrictDKIM, StrictSPF   bool     // adkim=s, aspf=s
	PSD                     byte     // 'y', 'n' or 'u'
	Testing                 bool     // t=y
	RUA, RUF                string   // where reports are to go, as it is written
	AggregateTo, FailuresTo []string // the URIs of rua and ruf that are valid
	FailureOptions          string   // fo
	faulty                  bool     // sp or np is there and not valid

	// Ignored are the tags that were passed over, in their order: with values that are not
	// valid, standing there twice, or not known.
	Ignored []Tag
}

// Tag is a part of a record.
type Tag struct {
	Name, Value string
	Why         Fault
}

// Fault is why a tag is ignored.
type Fault uint8

// The faults.
const (
	Malformed Fault = iota // not name=value
	Invalid                // the value is none of those there are
	Twice                  // it stands there twice: no value holds
	Obsolete               // pct, rf, ri: RFC 7489 had them
	Unknown
)

// ParseRecord reads the text of a TXT record. ok is whether it is a DMARC record: it begins
// with v=DMARC1. Whatever else is wrong in it is ignored (section 4.8).
func ParseRecord(text string) (r Record, ok bool) {
	version, rest, _ := strings.Cut(text, ";")
	name, value, _ := strings.Cut(version, "=")
	if !strings.EqualFold(trim(name), "v") || trim(value) != "DMARC1" {
		return Record{}, false
	}
	r = Record{PSD: 'u', FailureOptions: "0"}
	seen := map[string]int{} // by name, of the tags there are
	var tags []Tag
	for part := range strings.SplitSeq(rest, ";") {
		if part = trim(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		t := Tag{Name: strings.ToLower(trim(name)), Value: trim(value)}
		switch {
		case !ok || t.Name == "":
			r.ignore(t, Malformed)
		case t.Name == "pct" || t.Name == "rf" || t.Name == "ri":
			r.ignore(t, Obsolete)
		case !slices.Contains([]string{"p", "sp", "np", "adkim", "aspf", "psd", "t", "rua", "ruf", "fo"}, t.Name):
			r.ignore(t, Unknown)
		default:
			seen[t.Name]++
			tags = append(tags, t)
		}
	}
	for _, t := range tags {
		switch {
		case seen[t.Name] > 1:
			r.ignore(t, Twice)
			r.faulty = r.faulty || t.Name == "sp" || t.Name == "np"
		case !r.set(t.Name, t.Value):
			r.ignore(t, Invalid)
			r.faulty = r.faulty || t.Name == "sp" || t.Name == "np"
		}
	}
	return r, true
}

func (r *Record) ignore(t Tag, why Fault) {
	const maxIgnored = 20
	if t.Why = why; len(r.Ignored) < maxIgnored {
		r.Ignored = append(r.Ignored, t)
	}
}

// set takes a tag over if its value is valid. Values that are literals are so in any case.
func (r *Record) set(name, value string) bool {
	lower := strings.ToLower(value)
	one := func(of ...string) bool { return slices.Contains(of, lower) }
	policy := func(p *string) bool {
		if !one(None, Quarantine, Reject) {
			return false
		}
		*p = lower
		return true
	}
	switch name {
	case "p":
		return policy(&r.P)
	case "sp":
		return policy(&r.SP)
	case "np":
		return policy(&r.NP)
	case "adkim":
		r.StrictDKIM = lower == "s"
		return one("r", "s")
	case "aspf":
		r.StrictSPF = lower == "s"
		return one("r", "s")
	case "t":
		r.Testing = lower == "y"
		return one("y", "n")
	case "psd":
		if !one("y", "n", "u") {
			return false
		}
		r.PSD = lower[0]
	case "rua":
		r.RUA, r.AggregateTo = value, uris(value)
		return len(r.AggregateTo) > 0
	case "ruf":
		r.RUF, r.FailuresTo = value, uris(value)
		return len(r.FailuresTo) > 0
	case "fo":
		seen := ""
		for o := range strings.SplitSeq(lower, ":") {
			o = trim(o)
			if len(o) != 1 || !strings.Contains("01ds", o) || strings.Contains(seen, o) {
				return false
			}
			seen += o
		}
		if strings.Contains(seen, "0") && strings.Contains(seen, "1") {
			return false
		}
		r.FailureOptions = lower
	}
	return true
}

// Usable returns the record as a receiver has to take it (section 4.10.1). One without a
// valid p=, or with an sp= or np= that is not valid, is p=none if it says where reports go;
// otherwise there is no DMARC for the domain: ok is false.
func (r Record) Usable() (u Record, ok bool) {
	if r.P != "" && !r.faulty {
		return r, true
	}
	r.P, r.SP, r.NP = None, "", ""
	return r, len(r.AggregateTo) > 0
}

// PolicyBelow is the policy for a name below the record's, which exists or does not.
func (r *Record) PolicyBelow(exists bool) string {
	switch {
	case !exists && r.NP != "":
		return r.NP
	case r.SP != "":
		return r.SP
	}
	return r.P
}

// lowered is a policy one step down, which is what t=y asks for.
func lowered(policy string) string {
	if policy == Reject {
		return Quarantine
	}
	return None
}

// uris are the valid ones of a list.
func uris(list string) (valid []string) {
	const maxURIs = 50
	for uri := range strings.SplitSeq(list, ",") {
		if uri = trim(uri); validURI(uri) && len(valid) < maxURIs {
			valid = append(valid, uri)
		}
	}
	return valid
}

// validURI: RFC 7489 allowed a size behind "!".
func validURI(s string) bool {
	s, _, _ = strings.Cut(s, "!")
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return false
	}
	if strings.EqualFold(u.Scheme, "mailto") {
		local, domain, ok := strings.Cut(u.Opaque, "@")
		return ok && local != "" && domain != ""
	}
	return u.Host != "" || u.Opaque != ""
}

func trim(s string) string { return strings.Trim(s, " \t\r\n") }
