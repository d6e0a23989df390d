package mailauth

import (
	"cmp"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/authres"
	"aliasmx/internal/mailauth/spf"
)

// What is written down of what was found: the fields above the message, the line in the log,
// and what is kept with the message.

// verdict is a decision in the words of smtpd.
func (v *Verifier) verdict(f *Findings, d Decision) mail.AuthVerdict {
	methods := v.methods(f)
	out := mail.AuthVerdict{Refused: d.Refused, Hold: d.Action == Hold, Reason: f.line(d), Auth: f.Authentic()}
	out.Auth.Results = authres.Results(methods) // a seal tells it even where no field does
	if !v.o.DMARC {
		out.Auth.DMARC = ""
	}
	if v.o.ResultsHeader || d.Action == Tag {
		out.Prepend = authres.Format(v.o.AuthservID, methods)
	}
	if v.o.ReceivedSPF && f.SPF.Result != "" {
		out.Prepend = append(out.Prepend, spf.ReceivedSPF(f.SPF, v.pathRequest(&f.Request), v.o.MyHostname)...)
	}
	return out
}

// Authentic is what is kept with the message, but for Results.
func (f *Findings) Authentic() mail.Authentic {
	return mail.Authentic{Author: f.Author(), Vouched: f.Aligned(), SPF: f.SPF.Result, DMARC: f.DMARC.Result, ARC: f.arc()}
}

// dmarc is the result of DMARC, "" where it is not asked for.
func (f *Findings) dmarc(v *Verifier) mail.AuthResult {
	if !v.o.DMARC {
		return ""
	}
	return f.DMARC.Result
}

// arc is the status of the chain, "" where nobody knows: RFC 8617 has no word for that, and a
// chain must not be called failed for it.
func (f *Findings) arc() mail.AuthResult {
	if f.ARC.CV == mail.AuthTempError {
		return ""
	}
	return f.ARC.CV
}

// methods are the results of all methods that were asked, as RFC 8601 section 2.7 has them:
// that of the author first, since it is what a reader wants to know.
func (v *Verifier) methods(f *Findings) []authres.Method {
	var list []authres.Method
	if r := f.dmarc(v); r != "" {
		m := authres.Method{Name: "dmarc", Result: r, Properties: []authres.Property{{Type: "header", Name: "from", Value: f.Author()}}}
		if f.DMARC.Policy != "" {
			m.Comment = "p=" + f.DMARC.Policy + " dis=" + cmp.Or(f.DMARC.Disposition, "none")
		}
		list = append(list, m)
	}
	if f.SPF.Result != "" {
		property := authres.Property{Type: "smtp", Name: "mailfrom", Value: f.Request.Sender.String()}
		if f.Request.Sender.IsNull() {
			property.Name, property.Value = "helo", clipped(f.Request.Client.Helo, 255)
		}
		list = append(list, authres.Method{Name: "spf", Result: f.SPF.Result, Properties: []authres.Property{property}})
	}
	if f.Helo != nil && f.Helo.Result != mail.AuthNone {
		list = append(list, authres.Method{Name: "spf", Result: f.Helo.Result,
			Properties: []authres.Property{{Type: "smtp", Name: "helo", Value: clipped(f.Request.Client.Helo, 255)}}})
	}
	for i := range f.DKIM {
		list = append(list, signatureResult(&f.DKIM[i]))
	}
	if v.o.DKIM && len(f.DKIM) == 0 {
		list = append(list, authres.Method{Name: "dkim", Result: mail.AuthNone})
	}
	if r := f.arc(); r != "" && r != mail.AuthNone {
		m := authres.Method{Name: "arc", Result: r, Reason: f.ARC.Reason}
		if f.Request.Client.Addr.IsValid() { // RFC 8617 section 6
			m.Properties = []authres.Property{{Type: "smtp", Name: "remote-ip", Value: f.Request.Client.Addr.String()}}
		}
		list = append(list, m)
	}
	return list
}

func signatureResult(s *signature) authres.Method {
	m := authres.Method{Name: "dkim", Result: s.Result, Reason: s.Reason}
	for _, p := range [][2]string{{"d", s.Domain}, {"i", s.Identity}, {"s", s.Selector}, {"a", s.Algorithm}, {"b", s.B}} {
		if p[1] != "" {
			m.Properties = append(m.Properties, authres.Property{Type: "header", Name: p[0], Value: p[1]})
		}
	}
	return m
}

// line is what the log says of a message, after "mailauth: ".
func (f *Findings) line(d Decision) string {
	var b strings.Builder
	author := "none"
	if len(f.Authors) > 0 {
		author = clipped(strings.Join(f.Authors, ","), 255)
	}
	b.WriteString("author=" + author)
	add := func(name string, r mail.AuthResult, more string) {
		if r != "" {
			b.WriteString(" " + name + "=" + string(r) + more)
		}
	}
	policy := ""
	if f.DMARC.Policy != "" {
		policy = " (p=" + f.DMARC.Policy + ")"
	}
	add("dmarc", f.DMARC.Result, policy)
	add("spf", f.SPF.Result, "")
	if len(f.DKIM) > 0 {
		var signers []string
		for _, s := range f.DKIM {
			signers = append(signers, string(s.Result)+":"+clipped(s.Domain, 255))
		}
		b.WriteString(" dkim=" + strings.Join(signers, ","))
	} else {
		b.WriteString(" dkim=none")
	}
	add("arc", f.ARC.CV, "")
	action := d.Action.String()
	if d.Action == Ignore {
		action = "accept"
	}
	b.WriteString(" action=" + action)
	if d.Why != "" {
		b.WriteString(" (" + clipped(d.Why, 500) + ")")
	}
	return b.String()
}
