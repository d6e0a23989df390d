package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The report itself: RFC 8460 section 4.4.

// Report is the document. Its fields are in the order of the RFC.
type Report struct {
	Organization string         `json:"organization-name"`
	DateRange    DateRange      `json:"date-range"`
	Contact      string         `json:"contact-info"`
	ID           string         `json:"report-id"`
	Policies     []PolicyReport `json:"policies"`
}

// DateRange is the day, as Internet dates (RFC 3339): its first and its last second.
type DateRange struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

// PolicyReport is how sessions with one policy went.
type PolicyReport struct {
	Policy   AppliedPolicy   `json:"policy"`
	Summary  Summary         `json:"summary"`
	Failures []FailureDetail `json:"failure-details,omitempty"`
}

// AppliedPolicy is a policy, with its lines or TLSA records.
type AppliedPolicy struct {
	Type    string   `json:"policy-type"`
	Strings []string `json:"policy-string,omitempty"`
	Domain  string   `json:"policy-domain"`
	MXHosts []string `json:"mx-host,omitempty"`
}

// Summary counts sessions. Failures is the sum of those of all details.
type Summary struct {
	Successes uint64 `json:"total-successful-session-count"`
	Failures  uint64 `json:"total-failure-session-count"`
}

// FailureDetail counts sessions that failed alike. Where more were seen than are kept,
// one without hosts stands for the others.
type FailureDetail struct {
	Result      string     `json:"result-type"`
	SendingIP   netip.Addr `json:"sending-mta-ip,omitzero"`
	MXHost      string     `json:"receiving-mx-hostname,omitempty"`
	Helo        string     `json:"receiving-mx-helo,omitempty"`
	ReceivingIP netip.Addr `json:"receiving-ip,omitzero"`
	Sessions    uint64     `json:"failed-session-count"`
	Reason      string     `json:"failure-reason-code,omitempty"`
}

// report is what is to be told of a tally. The caller holds the Reporter's lock.
func (t *tally) report(p *Params) *Report {
	doc := &Report{
		Organization: clean(p.Organization, maxName),
		DateRange:    DateRange{t.start(), t.end().Add(-time.Second)},
		Contact:      p.Contact,
		ID:           t.id(p),
		Policies:     []PolicyReport{},
	}
	for _, pol := range t.ordered() {
		o := t.policies[pol]
		pr := PolicyReport{
			Policy:  AppliedPolicy{Type: pol.Type, Strings: lines(pol.Strings), Domain: pol.Domain, MXHosts: lines(pol.Hosts)},
			Summary: Summary{Successes: o.ok, Failures: o.failures()},
		}
		for _, d := range o.ordered() {
			pr.Failures = append(pr.Failures, FailureDetail{
				Result: d.Result, SendingIP: d.Local, MXHost: d.Host, Helo: d.Helo, ReceivingIP: d.Remote,
				Sessions: o.failed[d], Reason: d.Reason,
			})
		}
		doc.Policies = append(doc.Policies, pr)
	}
	return doc
}

// id is the same for each attempt to send a report, also after a crash: whoever gets it
// twice can see that (section 5.3).
func (t *tally) id(p *Params) string {
	node := ""
	if p.Node != 0 {
		node = fmt.Sprintf(".%d", p.Node)
	}
	return t.start().Format("20060102") + "." + t.domain + node + "@" + p.MyHostname
}

// fileName is that of section 5.1.
func (t *tally) fileName(p *Params) string {
	node := ""
	if p.Node != 0 {
		node = fmt.Sprintf("!%03d", p.Node)
	}
	return fmt.Sprintf("%s!%s!%d!%d%s.json.gz", p.submitter(), t.domain, t.start().Unix(), t.end().Unix()-1, node)
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// packed is the document as it is sent.
func (doc *Report) packed() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(doc); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
