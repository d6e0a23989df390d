package bounce

import (
	"cmp"
	"strings"

	"aliasmx/internal/mail"
)

// entry is what a report says of one recipient. All of it is masked: it is the one
// place where words of others come in.
type entry struct {
	final, orig   string // external form; orig is "" when it is the same mailbox
	finalType     string
	originalRcpt  string // type;address
	action        string
	status        mail.Enhanced
	reason        string
	remoteMTA     string
	diagnosticFor string // type and text of Diagnostic-Code
}

// entries are the recipients that a report speaks of: those of the results whose
// sender wants one of these notifications, or said nothing about it.
func (w *Writer) entries(r mail.Report, wanted mail.Notify) []entry {
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
		list = append(list, w.entry(r, res, rcpt))
	}
	return list
}

func (w *Writer) entry(r mail.Report, res *mail.Result, rcpt *mail.Recipient) entry {
	final := rcpt.Final
	if r.Kind == mail.ReportExpanded && res.Relay == "none" {
		final = w.complete(rcpt.Orig) // the alias, not where it leads
	}
	utf8 := r.Env.Flags&mail.FlagSMTPUTF8 != 0
	e := entry{
		final:        mask(final.String()),
		finalType:    addressType(utf8, final),
		originalRcpt: mask(rcpt.ORcpt),
		action:       actionOf(r.Kind),
		status:       res.Status.Enhanced,
		reason:       mask(res.Reason),
		remoteMTA:    mask(res.RemoteMTA),
	}
	if orig := mask(rcpt.Orig.String()); orig != "" && !strings.EqualFold(orig, e.final) {
		e.orig = orig
	}
	if e.originalRcpt == "" && !rcpt.Orig.IsNull() {
		e.originalRcpt = addressType(utf8, rcpt.Orig) + "; " + mask(rcpt.Orig.String())
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
	e.diagnosticFor = "X-" + w.diagnostic + "; " + e.reason
	if reply := mask(res.RemoteReply); reply != "" {
		e.diagnosticFor = cmp.Or(res.ReplyType, "smtp") + "; " + reply
	}
	if e.status == (mail.Enhanced{}) {
		e.status = defaultStatus(r.Kind)
	}
	return e
}

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
