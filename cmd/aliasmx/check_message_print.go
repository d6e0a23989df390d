package main

import (
	"fmt"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth"
	"aliasmx/internal/mailauth/dmarc"
	"aliasmx/internal/mailauth/spf"
)

// What check message says.

type messageJSON struct {
	Authors   []string      `json:"authors"`
	SPF       spfFound      `json:"spf"`
	Helo      *spfFound     `json:"helo,omitempty"`
	DKIM      []dkimFound   `json:"dkim"`
	ARC       arcFound      `json:"arc"`
	DMARC     dmarcFound    `json:"dmarc"`
	Action    string        `json:"action"` // what we would do
	Reply     string        `json:"reply,omitempty"`
	Why       string        `json:"why,omitempty"`
	Forwarded forwardedJSON `json:"forwarded"`
}

type spfFound struct {
	Result      mail.AuthResult `json:"result"`
	Explanation string          `json:"explanation"`
	Domain      string          `json:"domain,omitempty"`
	Mechanism   string          `json:"mechanism,omitempty"`
	Problem     string          `json:"problem,omitempty"`
}

type dkimFound struct {
	Result    mail.AuthResult `json:"result"`
	Domain    string          `json:"domain"`
	Selector  string          `json:"selector,omitempty"`
	Algorithm string          `json:"algorithm,omitempty"`
	Reason    string          `json:"reason,omitempty"`
}

type arcFound struct {
	CV        mail.AuthResult `json:"cv"`
	Instances int             `json:"instances,omitempty"`
	Sealers   []string        `json:"sealers,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Temporary bool            `json:"temporary,omitempty"` // the DNS could not say
}

type dmarcFound struct {
	Result      mail.AuthResult `json:"result"`
	Disposition string          `json:"disposition"` // what the domain asks for
	OrgDomain   string          `json:"org_domain"`
	Policy      string          `json:"policy,omitempty"`
	Record      string          `json:"record_domain,omitempty"`
	SPF         bool            `json:"spf_aligned"`
	DKIM        bool            `json:"dkim_aligned"`
	Reason      string          `json:"reason,omitempty"`
}

type forwardedJSON struct {
	Sender  string          `json:"sender"`
	SPF     spfFound        `json:"spf"`
	DKIM    []survivorJSON  `json:"dkim"`
	ARC     mail.AuthResult `json:"arc"`
	DMARC   dmarcFound      `json:"dmarc"`
	Reasons []string        `json:"reasons"`
}

type survivorJSON struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector,omitempty"`
	Survives bool   `json:"survives"`
	Reason   string `json:"reason,omitempty"`
}

func newMessageJSON(f *mailauth.Findings, d mailauth.Decision, fwd mailauth.Forwarded) *messageJSON {
	doc := &messageJSON{
		Authors: append([]string{}, f.Authors...), SPF: spfOf(f.SPF), DKIM: []dkimFound{},
		ARC: arcFound{CV: f.ARC.CV, Instances: f.ARC.Instances, Sealers: f.ARC.Sealers, Reason: f.ARC.Reason},
		Why: d.Why, Action: d.Action.String(),
	}
	if doc.Action == "ignore" {
		doc.Action = "accept"
	}
	if d.Refused != nil {
		doc.Reply = d.Refused.Error()
	}
	if f.Helo != nil {
		helo := spfOf(*f.Helo)
		doc.Helo = &helo
	}
	switch f.ARC.CV {
	case "":
		doc.ARC.CV = mail.AuthNone
	case mail.AuthTempError: // RFC 8617 has no such status
		doc.ARC.CV, doc.ARC.Temporary = mail.AuthFail, true
	}
	for _, s := range f.DKIM {
		doc.DKIM = append(doc.DKIM, dkimFound{s.Result, s.Domain, s.Selector, s.Algorithm, s.Reason})
	}
	doc.DMARC = dmarcOf(f.DMARC, f.NoAuthor)
	doc.Forwarded = forwardedJSON{
		Sender: fwd.Sender, SPF: spfOf(fwd.SPF), DKIM: []survivorJSON{}, ARC: fwd.ARC, DMARC: dmarcOf(fwd.DMARC, f.NoAuthor), Reasons: fwd.Why,
	}
	if fwd.ARC == "" {
		doc.Forwarded.ARC = mail.AuthNone
	}
	for _, s := range fwd.DKIM {
		doc.Forwarded.DKIM = append(doc.Forwarded.DKIM, survivorJSON{s.Domain, s.Selector, s.Survives, s.Why})
	}
	return doc
}

func spfOf(r spf.Result) spfFound {
	if r.Result == "" {
		r.Result = mail.AuthNone
	}
	return spfFound{r.Result, r.Explanation, r.Domain, r.Mechanism, r.Problem}
}

func (doc *messageJSON) write(asJSON bool, env environ) error {
	if asJSON {
		return writeJSONLine(env.stdout, doc)
	}
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	author := strings.Join(doc.Authors, ", ")
	if author == "" {
		author = "none"
	}
	say("author %s", author)
	say("spf %s%s", doc.SPF.Result, inParens(doc.SPF.Domain, doc.SPF.Mechanism, doc.SPF.Problem, doc.SPF.Explanation))
	if doc.Helo != nil {
		say("spf of HELO %s%s", doc.Helo.Result, inParens(doc.Helo.Domain, doc.Helo.Mechanism, doc.Helo.Problem))
	}
	for _, s := range doc.DKIM {
		say("dkim %s%s", s.Result, inParens(s.Domain, s.Selector, s.Algorithm, s.Reason))
	}
	if len(doc.DKIM) == 0 {
		say("dkim none")
	}
	say("arc %s%s", doc.ARC.CV, inParens(append(doc.ARC.Sealers, doc.ARC.Reason)...))
	say("dmarc %s, disposition %s%s", doc.DMARC.Result, doc.DMARC.Disposition, inParens(doc.DMARC.OrgDomain, doc.DMARC.Reason))
	say("action %s%s", doc.Action, inParens(doc.Reply, doc.Why))
	say("forwarded from <%s>: dmarc %s, disposition %s", doc.Forwarded.Sender, doc.Forwarded.DMARC.Result, doc.Forwarded.DMARC.Disposition)
	for _, r := range doc.Forwarded.Reasons {
		say("  %s", r)
	}
	_, err := env.stdout.Write([]byte(b.String()))
	return err
}

// inParens is what there is to say of a result, in parentheses.
func inParens(parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return " (" + strings.Join(said, "; ") + ")"
}

func dmarcOf(r dmarc.Result, noAuthor string) dmarcFound {
	out := dmarcFound{r.Result, r.Disposition, r.OrgDomain, r.Policy, r.RecordDomain, r.SPFAligned, r.DKIMAligned, r.Reason}
	if out.Result == "" {
		out.Result, out.Reason = mail.AuthNone, noAuthor
	}
	if out.Disposition == "" {
		out.Disposition = "none"
	}
	return out
}
