package bounce

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// Who is told: RFC 3461 section 4.1 and notify_classes.
func TestWhoIsTold(t *testing.T) {
	const never, success, failure, delay, wasExpanded = mail.NotifyNever, mail.NotifySuccess, mail.NotifyFailure, mail.NotifyDelay, mail.NotifyExpanded
	for name, c := range map[string]struct {
		kind    mail.ReportKind
		sender  string
		notify  mail.Notify
		classes string
		want    string // "from -> to, subject"; "" for nobody
		copy    string
	}{
		"failure, nothing asked":    {mail.ReportFailed, "s@example.net", 0, "", "<> -> s@example.net, Undelivered Mail Returned to Sender", ""},
		"failure, asked":            {mail.ReportFailed, "s@example.net", failure, "", "<> -> s@example.net, Undelivered Mail Returned to Sender", ""},
		"failure, delay asked":      {mail.ReportFailed, "s@example.net", delay, "", "", ""},
		"failure, success asked":    {mail.ReportFailed, "s@example.net", never | wasExpanded, "", "", ""},
		"failure, never":            {mail.ReportFailed, "s@example.net", never, "", "", ""},
		"failure, null":             {mail.ReportFailed, "", 0, "", "", ""},
		"failure, null, delay":      {mail.ReportFailed, "", 0, "delay", "", ""},
		"failure, null, 2bounce":    {mail.ReportFailed, "", never, "2bounce", "double-bounce@mx.example.com -> two@dest.example, Postmaster Copy: Undelivered Mail", ""},
		"failure, null, bounce":     {mail.ReportFailed, "", 0, "bounce", "double-bounce@mx.example.com -> two@dest.example, Postmaster Copy: Undelivered Mail", ""},
		"failure, our own notice":   {mail.ReportFailed, "Double-Bounce@MX.example.com", 0, "bounce 2bounce", "", ""},
		"failure, bounce":           {mail.ReportFailed, "s@example.net", 0, "bounce", "<> -> s@example.net, Undelivered Mail Returned to Sender", "double-bounce@mx.example.com -> postmaster@mx.example.com, Postmaster Copy: Undelivered Mail"},
		"failure, never, bounce":    {mail.ReportFailed, "s@example.net", never, "bounce", "", "double-bounce@mx.example.com -> postmaster@mx.example.com, Postmaster Copy: Undelivered Mail"},
		"failure, 2bounce":          {mail.ReportFailed, "s@example.net", 0, "2bounce resource", "<> -> s@example.net, Undelivered Mail Returned to Sender", ""},
		"bare sender":               {mail.ReportFailed, "root", 0, "", "<> -> root@mx.example.com, Undelivered Mail Returned to Sender", ""},
		"delay, nothing asked":      {mail.ReportDelayed, "s@example.net", 0, "", "<> -> s@example.net, Delayed Mail (still being retried)", ""},
		"delay, asked":              {mail.ReportDelayed, "s@example.net", delay | failure, "", "<> -> s@example.net, Delayed Mail (still being retried)", ""},
		"delay, failure asked":      {mail.ReportDelayed, "s@example.net", failure, "", "", ""},
		"delay, null":               {mail.ReportDelayed, "", 0, "bounce", "", ""},
		"delay, null, delay":        {mail.ReportDelayed, "", 0, "delay", "double-bounce@mx.example.com -> late@dest.example, Postmaster Warning: Delayed Mail", ""},
		"delay, delay":              {mail.ReportDelayed, "s@example.net", 0, "delay", "<> -> s@example.net, Delayed Mail (still being retried)", "double-bounce@mx.example.com -> late@dest.example, Postmaster Warning: Delayed Mail"},
		"success, asked":            {mail.ReportRelayed, "s@example.net", success, "bounce", "<> -> s@example.net, Successful Mail Delivery Report", ""},
		"success, not asked":        {mail.ReportRelayed, "s@example.net", 0, "", "", ""},
		"success, delivered":        {mail.ReportDelivered, "s@example.net", success | delay, "", "<> -> s@example.net, Successful Mail Delivery Report", ""},
		"success, expanded":         {mail.ReportExpanded, "s@example.net", delay | wasExpanded, "", "<> -> s@example.net, Successful Mail Delivery Report", ""},
		"success, null":             {mail.ReportRelayed, "", success, "bounce", "", ""},
		"success, null, 2bounce":    {mail.ReportRelayed, "", success, "2bounce", "double-bounce@mx.example.com -> two@dest.example, Successful Mail Delivery Report", ""},
		"success, our own notice":   {mail.ReportRelayed, "double-bounce@mx.example.com", success, "2bounce", "", ""},
		"somebody's double-bounce":  {mail.ReportFailed, "double-bounce@elsewhere.example", 0, "", "<> -> double-bounce@elsewhere.example, Undelivered Mail Returned to Sender", ""},
		"failure, failure and more": {mail.ReportFailed, "s@example.net", failure | delay | wasExpanded, "", "<> -> s@example.net, Undelivered Mail Returned to Sender", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestWriter(t, func(o *Options) {
				o.NotifyClasses = strings.Fields(c.classes)
				o.DoubleBounceRecipient, o.DelayRecipient = "two@dest.example", "late@dest.example"
			})
			r := failed(aliased("bad@dest.example"), unknownUser())
			r.Kind, r.Env.Sender, r.Env.Rcpts[0].Notify = c.kind, addr(c.sender), c.notify
			if got := told(t, w.Notify, r); got != c.want {
				t.Errorf("Notify: got %q, want %q", got, c.want)
			}
			if got := told(t, w.Copy, r); got != c.copy {
				t.Errorf("Copy: got %q, want %q", got, c.copy)
			}
		})
	}
}

func told(t *testing.T, notify notifyFunc, r mail.Report) string {
	t.Helper()
	env, text, err := notify(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if env == nil {
		return ""
	}
	_, subject, _ := strings.Cut(string(text), "\r\nSubject: ")
	subject, _, _ = strings.Cut(subject, "\r\n")
	from := env.Sender.String()
	if env.Sender.IsNull() {
		from = "<>"
	}
	return from + " -> " + env.Rcpts[0].Final.String() + ", " + subject
}

func TestEnvelope(t *testing.T) {
	var asked mail.RcptRequest
	w := newTestWriter(t, func(o *Options) {
		o.Resolve = func(ctx context.Context, req mail.RcptRequest) ([]mail.Recipient, error) {
			asked = req
			return []mail.Recipient{{Final: addr("mine@dest.example"), Orig: req.Addr, ORcpt: req.ORcpt}}, nil
		}
	})
	r := failed(aliased("bad@dest.example"), unknownUser())
	r.Env.Sender = addr("me@virt.example")
	env, _ := mustWrite(t, w.Notify, r)
	if asked.Addr != r.Env.Sender || asked.ORcpt != "rfc822;me@virt.example" || asked.Notify != 0 || !asked.Sender.IsNull() {
		t.Errorf("asked for %+v", asked)
	}
	if env.ID != newID || !env.Arrived.Equal(now()) || !env.Sender.IsNull() || env.Client.UID != -1 || env.Rcpts[0].Final != addr("mine@dest.example") {
		t.Errorf("envelope %+v", env)
	}
	if want := mail.FlagNotice | mail.FlagBody8BitMIME; env.Flags != want {
		t.Errorf("flags %b, want %b", env.Flags, want)
	}
	if want := "Received: by mx.example.com (Postfix)\r\n\tid " + newID.String() + "; Sat,  1 Nov 2025 10:00:00 +0000 (UTC)\r\n"; string(env.Prepend) != want {
		t.Errorf("on top: %q, want %q", env.Prepend, want)
	}
	r.Env.Sender = addr("jö@example.net")
	r.Env.Flags |= mail.FlagSMTPUTF8
	env, text := mustWrite(t, w.Notify, r)
	if asked.ORcpt != "utf-8;jö@example.net" || env.Flags&mail.FlagSMTPUTF8 == 0 {
		t.Errorf("a UTF-8 sender: ORCPT %q, flags %b", asked.ORcpt, env.Flags)
	}
	if want := "X-Postfix-Sender: utf-8; jö@example.net\r\n"; !strings.Contains(string(text), want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

func TestResolveRefuses(t *testing.T) {
	var log strings.Builder
	answer := error(&mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1), Text: "User unknown in virtual alias table"})
	w := newTestWriter(t, func(o *Options) {
		o.Resolve = func(context.Context, mail.RcptRequest) ([]mail.Recipient, error) { return nil, answer }
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	r := failed(aliased("bad@dest.example"), unknownUser())
	if env, _, err := w.Notify(context.Background(), r); env != nil || err != nil {
		t.Errorf("an unknown sender: %v, %v; want nothing", env, err)
	}
	if !strings.Contains(log.String(), "sender notification failed to sender@example.net") {
		t.Errorf("logged %q", log.String())
	}
	for _, answer = range []error{&mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Temporary lookup failure"}, errors.New("no table")} {
		if env, _, err := w.Notify(context.Background(), r); env != nil || err == nil {
			t.Errorf("%v: %v, %v; want an error", answer, env, err)
		}
	}
	answer = nil
	if env, _, err := w.Notify(context.Background(), r); env != nil || err != nil {
		t.Errorf("no recipient: %v, %v; want nothing", env, err)
	}
}

func TestOnlyThoseWhoWantIt(t *testing.T) {
	r := failed(aliased("one@dest.example"), unknownUser())
	r.Results = nil
	for i, notify := range []mail.Notify{0, mail.NotifyNever, mail.NotifyFailure, mail.NotifyDelay} {
		rcpt := aliased(string(rune('a'+i)) + "@dest.example")
		rcpt.Notify = notify
		r.Env.Rcpts = append(r.Env.Rcpts, rcpt)
		res := unknownUser()
		res.Rcpt = i + 1
		r.Results = append(r.Results, res)
	}
	r.Results = append(r.Results, mail.Result{Rcpt: 99}, mail.Result{Rcpt: -1})
	_, text := mustWrite(t, newTestWriter(t, nil).Notify, r)
	for who, want := range map[string]bool{"a@dest.example": true, "b@dest.example": false, "c@dest.example": true, "d@dest.example": false, "one@dest.example": false} {
		if got := strings.Contains(string(text), "Final-Recipient: rfc822; "+who); got != want {
			t.Errorf("%s is reported: %v", who, got)
		}
	}
}

// Without anybody to ask no report is lost: what it reports is tried again.
func TestNobodyToAsk(t *testing.T) {
	if env, _, err := New(Options{}).Notify(context.Background(), failed(aliased("bad@dest.example"), unknownUser())); env != nil || err == nil {
		t.Errorf("%v, %v; want an error", env, err)
	}
}

// Whose name was most likely used by somebody else hears nothing; the postmaster does.
func TestSendersThatMayBeForged(t *testing.T) {
	w := newTestWriter(t, nil)
	const sender, postmaster = "<> -> sender@example.net, Undelivered Mail Returned to Sender", "double-bounce@mx.example.com -> postmaster@mx.example.com, Postmaster Copy: Undelivered Mail"
	for _, c := range []struct {
		auth mail.Authentic
		kind mail.ReportKind
		want string
	}{
		{mail.Authentic{}, mail.ReportFailed, sender},
		{mail.Authentic{SPF: mail.AuthFail}, mail.ReportFailed, postmaster},
		{mail.Authentic{SPF: mail.AuthFail}, mail.ReportDelayed, ""},
		{mail.Authentic{SPF: mail.AuthNone, DMARC: mail.AuthFail}, mail.ReportFailed, postmaster},
		{mail.Authentic{SPF: mail.AuthPass, DMARC: mail.AuthFail}, mail.ReportFailed, sender}, // the reverse-path is his
		{mail.Authentic{SPF: mail.AuthFail, DMARC: mail.AuthPass, Vouched: true}, mail.ReportFailed, sender},
		{mail.Authentic{SPF: mail.AuthTempError, DMARC: mail.AuthTempError}, mail.ReportFailed, sender},
	} {
		r := failed(aliased("bad@dest.example"), unknownUser())
		r.Kind, r.Env.Sender, r.Env.Auth, r.Env.Rcpts[0].Notify = c.kind, addr("sender@example.net"), c.auth, mail.NotifyFailure|mail.NotifyDelay
		if got := told(t, w.Notify, r); got != c.want {
			t.Errorf("%+v, %d: %q, want %q", c.auth, c.kind, got, c.want)
		}
		if got := told(t, w.Copy, r); got != "" && c.want == postmaster {
			t.Errorf("%+v: the postmaster gets it twice: %q", c.auth, got)
		}
		if c.want == postmaster {
			all := newTestWriter(t, func(o *Options) { o.Unauthenticated = true })
			if got := told(t, all.Notify, r); got != sender {
				t.Errorf("bounce_unauthenticated: %q", got)
			}
		}
	}
}
