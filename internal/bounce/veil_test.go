package bounce

import (
	"fmt"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// With bounce_hide_destination no kind of report tells a sender where an alias leads, in
// none of its parts; the copy for the postmaster tells it.
func TestVeil(t *testing.T) {
	secrets := []string{"hidden@dest.example", "second@other.example", "dest.example", "other.example", "mx.dest", "192.0.2.1"}
	res := mail.Result{
		Status: mail.Status{Code: 550, Enhanced: mail.Code(5, 7, 1), Text: "<Hidden@dest.example>: go away"},
		Reason: "host mx.dest.example[192.0.2.1] said: 550 5.7.1 <Hidden@dest.example>: go away (in reply to RCPT TO command)",
		Relay:  "mx.dest.example[192.0.2.1]:25", RemoteMTA: "mx.dest.example", RemoteReply: "550 5.7.1 <Hidden@dest.example>: go away",
	}
	second := res
	second.Rcpt = 1
	for _, kind := range []mail.ReportKind{mail.ReportFailed, mail.ReportDelayed, mail.ReportRelayed, mail.ReportExpanded, mail.ReportDelivered} {
		for _, ret := range []string{"FULL", "HDRS"} {
			t.Run(fmt.Sprint(actionOf(kind), ret), func(t *testing.T) {
				rcpt := aliased("hidden@dest.example")
				rcpt.Notify = mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
				r := failed(rcpt, res)
				other := rcpt
				other.Final = addr("second@other.example")
				r.Env.Rcpts = append(r.Env.Rcpts, other)
				r.Results = append(r.Results, second)
				r.Kind, r.Env.Ret = kind, ret
				for i := range r.Results {
					r.Results[i].Status.Enhanced[0] = map[mail.ReportKind]uint16{mail.ReportFailed: 5, mail.ReportDelayed: 4}[kind]
					if r.Results[i].Status.Enhanced[0] == 0 {
						r.Results[i].Status.Enhanced[0] = 2
					}
				}
				r.Env.Prepend = append([]byte("X-Filtered: for hidden@dest.example\r\n\tsince today\r\nDelivered-To: list@mx.example.com\r\n"), r.Env.Prepend...)
				r.Body = body("Delivered-To: Hidden@Dest.example\r\nReceived: from x by mx.example.com\r\n\tfor <second@other.example>; today\r\n" +
					"Delivered-To: a@virt.example\r\nX-Original-To: inner@mx.example.com\r\nSubject: x\r\n\r\nHello.\r\n")
				open, shut := newTestWriter(t, nil), newTestWriter(t, func(o *Options) {
					o.HideDestination, o.NotifyClasses = true, []string{"bounce", "delay"}
				})
				_, text := mustWrite(t, shut.Notify, r)
				for _, secret := range append(secrets, "list@", "inner@") {
					if i := strings.Index(strings.ToLower(string(text)), secret); i >= 0 {
						t.Errorf("the sender is told %q: ...%s...", secret, text[max(0, i-60):i+len(secret)])
					}
				}
				groups := readStatus(t, readReport(t, text)[1].content)
				if len(groups) != 2 || groups[1].Get("Final-Recipient") != "rfc822; a@virt.example" ||
					groups[1].Get("Original-Recipient") != "rfc822;a@virt.example" || groups[1].Get("Remote-Mta") != "" {
					t.Errorf("delivery report: %v", groups)
				}
				if got, want := groups[1].Get("Status"), r.Results[0].Status.Enhanced.String(); got != want {
					t.Errorf("Status %s, want %s", got, want)
				}
				for _, kept := range []string{"\r\n<a@virt.example>: mail to this address", "Subject: x\r\n", "Delivered-To: a@virt.example\r\n", "for <a@virt.example>"} {
					if !strings.Contains(string(text), kept) {
						t.Errorf("no %q in\n%s", kept, text)
					}
				}
				_, text = mustWrite(t, open.Notify, r)
				for _, secret := range secrets {
					if !strings.Contains(strings.ToLower(string(text)), secret) {
						t.Errorf("without the veil nothing is said of %q:\n%s", secret, text)
					}
				}
				if kind == mail.ReportFailed || kind == mail.ReportDelayed {
					if _, text = mustWrite(t, shut.Copy, r); !strings.Contains(string(text), "Final-Recipient: rfc822; hidden@dest.example") {
						t.Errorf("the postmaster is not told either:\n%s", text)
					}
				}
			})
		}
	}
}

// The report that an alias was expanded says that, under a veil too.
func TestVeilOverAnExpansion(t *testing.T) {
	r := failed(aliased("hidden@dest.example"), mail.Result{})
	expanded(&r)
	_, text := mustWrite(t, newTestWriter(t, func(o *Options) { o.HideDestination = true }).Notify, r)
	if s := string(text); strings.Contains(s, "dest.example") || !strings.Contains(s, "<a@virt.example>: alias expanded\r\n") {
		t.Errorf("report:\n%s", s)
	}
}

// Who wrote to the address itself is told of it: that is no secret. Words about it that
// name a secret of the same message are left out.
func TestVeilCoversAliasesOnly(t *testing.T) {
	w := newTestWriter(t, func(o *Options) { o.HideDestination = true })
	plain := mail.Recipient{Final: addr("known@dest.example"), Orig: addr("Known@dest.example"), ORcpt: "rfc822;known@dest.example"}
	r := failed(plain, refused("550 5.1.1 <known@dest.example>: no such user"))
	r.Body = body("To: hidden@dest.example\r\n\r\nx\r\n")
	_, text := mustWrite(t, w.Notify, r)
	for _, want := range []string{"Final-Recipient: rfc822; known@dest.example", "Remote-MTA: dns; 127.0.0.1", "<known@dest.example>: no such user"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	r.Env.Rcpts = append(r.Env.Rcpts, aliased("hidden@dest.example"))
	r.Results[0] = refused("554 5.7.1 not for known@dest.example and HIDDEN@dest.example")
	_, text = mustWrite(t, w.Notify, r)
	if s := string(text); strings.Contains(s, "HIDDEN") || strings.Contains(s, "Remote-MTA") || !strings.Contains(s, "Final-Recipient: rfc822; known@dest.example") {
		t.Errorf("report:\n%s", text)
	}
	if !strings.Contains(string(text), "To: hidden@dest.example\r\n") {
		t.Errorf("a field of the sender's own is not returned:\n%s", text)
	}
}

// What nobody but the postmaster gets is not covered.
func TestNoVeilForThePostmaster(t *testing.T) {
	r := failed(aliased("hidden@dest.example"), unknownUser())
	r.Env.Sender = mail.Address{}
	w := newTestWriter(t, func(o *Options) { o.HideDestination, o.NotifyClasses = true, []string{"2bounce"} })
	if _, text := mustWrite(t, w.Notify, r); !strings.Contains(string(text), "Final-Recipient: rfc822; hidden@dest.example") {
		t.Errorf("the double bounce:\n%s", text)
	}
}

// A header that is under the veil comes back byte for byte but for what is taken out.
func FuzzVeilHeader(f *testing.F) {
	f.Add("Delivered-To: s@d\r\nTo: x\r\n\r\nReceived: s@d\r\n", 5)
	f.Add("Received: a\r\n\tfor <S@D>\r\nA: b", 0)
	f.Add("no header\r\nDelivered-To: s@d\r\n", 100)
	f.Fuzz(func(t *testing.T, text string, own int) {
		w := newTestWriter(t, func(o *Options) { o.HideDestination = true })
		v := w.veilFor(&mail.Envelope{Rcpts: []mail.Recipient{{Final: addr("s@d"), Orig: addr("a@virt.example")}}})
		got := string(v.header([]byte(text), own))
		// What is left is a subsequence of the fields, and all from the first line that is none.
		at := 0
		for rest := text; rest != ""; {
			n := fieldEnd([]byte(rest))
			if n <= 0 || n > len(rest) {
				t.Fatalf("a field of %d octets in %q", n, rest)
			}
			if strings.HasPrefix(got[at:], rest) { // the body, perhaps
				at += len(rest)
				break
			}
			if strings.HasPrefix(got[at:], rest[:n]) {
				at += n
			}
			rest = rest[n:]
		}
		if at != len(got) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
