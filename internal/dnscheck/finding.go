package dnscheck

import (
	"net/netip"
	"strconv"
	"strings"

	miekg "github.com/miekg/dns"
)

// Level is how a finding is to be taken.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Note    Level = "note"    // nothing to do, but good to know
	Missing Level = "missing" // should be there
	Wrong   Level = "wrong"   // is there, and does harm or no good
	Unknown Level = "unknown" // could not be asked
)

// What a finding is about.
const (
	MX     = "MX"
	DNSSEC = "DNSSEC"
	SPF    = "SPF"
	DKIM   = "DKIM"
	DMARC  = "DMARC"
	MTASTS = "MTA-STS"
	TLSRPT = "TLSRPT"
	TLSA   = "TLSA"
	PTR    = "PTR"
	HELO   = "HELO"
)

// Finding is one judgement.
type Finding struct {
	Domain  string   `json:"domain"` // or host
	What    string   `json:"what"`
	Level   Level    `json:"level"`
	Text    string   `json:"text"`
	Publish []Record `json:"publish,omitempty"` // what would put it in order
	// Policy is the MTA-STS policy that belongs to the records in Publish, as its file.
	Policy string `json:"policy,omitempty"`
}

// Record is a record to publish.
type Record struct {
	Name string `json:"name"` // with a dot at the end
	Type string `json:"type"`
	Data string `json:"data"` // as in a zone file
	// Replaces: it is to be the only one of its name, or of its kind there (SPF), in place of
	// what is there.
	Replaces bool `json:"replaces,omitempty"`
}

// instead is for records that take the place of others.
func instead(list ...Record) []Record {
	for i := range list {
		list[i].Replaces = true
	}
	return list
}

// String is the record as a line of a zone file (RFC 1035 section 5.1).
func (r Record) String() string { return r.Name + " 3600 IN " + r.Type + " " + r.Data }

// txtRecord has its text in strings of at most 255 bytes (RFC 1035 section 3.3.14).
func txtRecord(name, text string) Record {
	var parts []string
	for {
		n := min(len(text), 255)
		parts = append(parts, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text[:n])+`"`)
		if text = text[n:]; text == "" {
			return Record{Name: miekg.Fqdn(name), Type: "TXT", Data: strings.Join(parts, " ")}
		}
	}
}

func mxRecord(domain, host string) Record {
	return Record{Name: miekg.Fqdn(domain), Type: "MX", Data: "10 " + miekg.Fqdn(host)}
}

// addrRecords are A and AAAA.
func addrRecords(name string, addrs []netip.Addr) (list []Record) {
	for _, a := range addrs {
		list = append(list, Record{Name: miekg.Fqdn(name), Type: addrType(a), Data: a.String()})
	}
	return list
}

func addrType(a netip.Addr) string {
	if a.Is4() {
		return "A"
	}
	return "AAAA"
}

// joined lists addresses for people.
func joined(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// maxRecord bounds a record that is looked at, in bytes.
const maxRecord = 8192

// short quotes what a stranger has published, bounded.
func short(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
