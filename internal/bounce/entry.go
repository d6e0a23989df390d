package bounce

import (
	"cmp"
	"strings"

	"aliasmx/internal/mail"
)

// entry is what a report says of one recipient. All of it is masked: it is the one
// place where words of others come in.
type entry struct {
	final, orig   mail.Address // orig is null when it is the same mailbox
	originalRcpt  string       // type;address, as it is written in this report
	action        string
	status        mail.Enhanced
	reason        string
	remoteMTA     string
	diagnosticFor string // type and text of Diagnostic-Code
}

// entries are the recipients that a report speaks of: those of the results whose
// sender wants one of these notifications, or said nothing about it.
func (w *Writer) entries(r mail.Report, f *form, wanted mail.Notify) []entry {
	var list []entry
	for i := range r.Results {
		res := &r.Results[i]
		if res.Rcpt < 0 || res.Rcpt >= len(r.Env.Rcpts) {
			continue
		}
		rcpt := &r.Env.Rcpts[res.Rcpt]
		if rcpt.Notify&wanted == 0 && (rcpt.Notify != 0 || wanted&(mail.NotifyFailure|mail.NotifyDelay) == 0) {
			continue
		}
		e := w.entry(r, res, rcpt, f.global)
		if f.veil.covers(rcpt) {
			f.veil.over(w, &e, r.Kind, rcpt)
		} else {
			f.veil.overWords(w, &e, r.Kind)
		}
		list = append(list, e)
	}
	return f.veil.merge(list)
}

func (w *Writer) entry(r mail.Report, res *mail.Result, rcpt *mail.Recipient, global bool) entry {
	e := entry{
		final:        rcpt.Final,
		originalRcpt: originalRecipient(rcpt, global),
		action:       actionOf(r.Kind),
		status:       res.Status.Enhanced,
		reason:       mask(res.Reason),
		remoteMTA:    mask(res.RemoteMTA),
	}
	if r.Kind == mail.ReportExpanded && res.Relay == "none" {
		e.final = w.complete(rcpt.Orig) // the alias, not where it leads
	}
	if !strings.EqualFold(rcpt.Orig.String(), e.final.String()) {
		e.orig = rcpt.Orig
	}
	if e.reason == "" {
		e.reason = mask(res.Status.Text)
	}
	if e.reason == "" {
		e.reason = "(description unavailable)"
	}
	if r.Kind != mail.ReportFailed && r.Kind != mail.ReportDelayed && res.Relay != "" && res.Relay != "none" {
		e.reason = "delivery via " + mask(res.Relay) + ": " + e.reason
	}
	e.diagnosticFor = w.ownWords(e.reason)
	if reply := mask(res.RemoteReply); reply != "" {
		e.diagnosticFor = cmp.Or(res.ReplyType, "smtp") + "; " + reply
	}
	if e.status == (mail.Enhanced{}) {
		e.status = defaultStatus(r.Kind)
	}
	return e
}

// ownWords is the value of Diagnostic-Code for what is no reply of another server.
func (w *Writer) ownWords(reason string) string { return "X-" + w.diagnostic + "; " + reason }

// actionOf is the value of Action, RFC 3464 section 2.3.3.
func actionOf(k mail.ReportKind) string {
	switch k {
	case mail.ReportFailed:
		return "failed"
	case mail.ReportDelayed:
		return "delayed"
	case mail.ReportRelayed:
		return "relayed"
	case mail.ReportExpanded:
		return "expanded"
	}
	return "delivered"
}

func defaultStatus(k mail.ReportKind) mail.Enhanced {
	switch k {
	case mail.ReportFailed:
		return mail.Code(5, 0, 0)
	case mail.ReportDelayed:
		return mail.Code(4, 0, 0)
	}
	return mail.Code(2, 0, 0)
}
