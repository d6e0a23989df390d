package tlsrpt

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The record at _smtp._tls.DOMAIN, by which a domain asks for reports (RFC 8460 section 3):
//
//	v=TLSRPTv1; rua=mailto:reports@example.com,https://reports.example.com/v1

// Bounds of a record. Mail exchangers of others write it: what is longer is no record.
const (
	maxRecord    = 4096
	maxEndpoints = 8 // of a record; those beyond get no report
)

// ErrNoRecord: a domain has no record, so that it wants no reports. A domain with several
// has none either.
var ErrNoRecord = errors.New("no TLSRPT record")

// Record is what a domain has published.
type Record struct {
	// Endpoints are where reports go, in their order, without repetitions: at least one.
	Endpoints []Endpoint
	// Unknown are the schemes and malformed addresses of rua that no report can go to.
	Unknown []string
}

// Endpoint is one URI of rua.
type Endpoint struct {
	// Mailto is the address of a mailto URI, decoded: "reports@example.com"; "": none.
	Mailto string
	// HTTPS is the URI that reports are posted to; "": none.
	HTTPS string
}

// URI is the endpoint as the log and people see it.
func (e Endpoint) URI() string {
	if e.HTTPS != "" {
		return e.HTTPS
	}
	return "mailto:" + e.Mailto
}

// QueryName is where the record of a domain is.
func QueryName(domain string) string { return "_smtp._tls." + domain }

// ParseRecord reads the TXT records of QueryName, the strings of each joined. Records of
// others are passed over. No record, or more than one, is ErrNoRecord; another error says
// what is wrong with the one there is.
func ParseRecord(txts []string) (Record, error) {
	found, n := "", 0
	for _, txt := range txts {
		if fields, ok := afterVersion(txt); ok {
			found, n = fields, n+1
		}
	}
	switch {
	case n == 0:
		return Record{}, ErrNoRecord
	case n > 1:
		return Record{}, fmt.Errorf("%w: %d records begin with v=TLSRPTv1, where one may", ErrNoRecord, n)
	case len(found) > maxRecord:
		return Record{}, fmt.Errorf("TLSRPT record of %d bytes: more than %d", len(found), maxRecord)
	}
	return parseFields(found)
}

// afterVersion tells whether a text is a record at all, and gives its fields. Section 3:
// records that do not begin with "v=TLSRPTv1;" are none; its grammar has spaces before the
// semicolon, and none in front.
func afterVersion(txt string) (fields string, ok bool) {
	rest, ok := strings.CutPrefix(txt, "v=TLSRPTv1")
	if !ok {
		return "", false
	}
	return strings.CutPrefix(strings.TrimLeft(rest, " \t"), ";")
}

func parseFields(fields string) (Record, error) {
	var r Record
	rua := false
	for field := range strings.SplitSeq(fields, ";") {
		field = strings.Trim(field, " \t")
		if field == "" {
			continue // after the last delimiter, and, to be lenient, between two
		}
		name, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || !isExtensionName(name):
			return Record{}, fmt.Errorf("TLSRPT record: %q is no field: name=value is one", field)
		case name != "rua":
			continue // an extension that we do not know, section 3
		case rua:
			return Record{}, errors.New("TLSRPT record: rua stands in it twice")
		}
		rua = true
		r.addAll(value)
	}
	switch {
	case !rua:
		return Record{}, errors.New("TLSRPT record: no rua field, so that nobody knows where reports go")
	case len(r.Endpoints) == 0:
		return Record{}, fmt.Errorf("TLSRPT record: rua has neither a mailto: nor an https: address: %q", r.Unknown)
	}
	return r, nil
}

// isExtensionName tells whether s is a tlsrpt-ext-name.
func isExtensionName(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '_' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}

// addAll takes the addresses of a rua field.
func (r *Record) addAll(list string) {
	seen := map[Endpoint]bool{}
	for uri := range strings.SplitSeq(list, ",") {
		uri = strings.Trim(uri, " \t")
		e, ok := parseURI(uri)
		switch {
		case !ok:
			r.Unknown = append(r.Unknown, uri)
		case !seen[e] && len(r.Endpoints) < maxEndpoints:
			seen[e] = true
			r.Endpoints = append(r.Endpoints, e)
		}
	}
}

// parseURI reads one address of a rua field. Schemes are in any case (RFC 3986 section
// 3.1); commas, semicolons and exclamation marks come encoded.
func parseURI(uri string) (Endpoint, bool) {
	u, err := url.Parse(uri)
	if err != nil || strings.ContainsAny(uri, " \t!\\\"<>") {
		return Endpoint{}, false
	}
	switch u.Scheme {
	case "mailto":
		// One address; header fields of the URI ("?subject=...") are not for us.
		addr, err := url.PathUnescape(u.Opaque)
		return Endpoint{Mailto: addr}, err == nil && CheckAddress(addr) == nil
	case "https":
		if u.Hostname() == "" || u.User != nil {
			return Endpoint{}, false
		}
		u.Fragment, u.RawFragment = "", ""
		return Endpoint{HTTPS: u.String()}, true
	}
	return Endpoint{}, false
}
