package bounce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// Options are what a Writer works with. Each field names its parameter of postconf(5).
type Options struct {
	MyHostname string // myhostname (localhost)
	MyOrigin   string // myorigin; empty: MyHostname
	MailName   string // mail_name (Postfix)

	// SizeLimit is bounce_size_limit (50000): above it only the header of a message is
	// returned.
	SizeLimit int64
	// HeaderLimit is header_size_limit (102400): of a header above it only the beginning is
	// returned.
	HeaderLimit int64

	DelayWarning  time.Duration // delay_warning_time, told in the text of a delay report
	QueueLifetime time.Duration // maximal_queue_lifetime, likewise

	// Templates are those of bounce_template_file, after Expand; nil: as they are built in.
	Templates *Templates
	// Unauthenticated is bounce_unauthenticated: reports go to senders that are likely forged
	// (mail.Authentic), too, and not to DoubleBounceRecipient.
	Unauthenticated bool
	// HideDestination is bounce_hide_destination: senders are not told where an alias leads.
	HideDestination bool
	ObsoleteFrom    bool // header_from_format = obsolete, in transcripts
	Threaded        bool // enable_threaded_bounces: reports refer to the message they are about

	// NotifyClasses is notify_classes: "bounce" and "2bounce" report mail that could not be
	// returned to the postmaster, "bounce" and "delay" send copies there (Copy).
	NotifyClasses   []string
	BounceRecipient string // bounce_notice_recipient (postmaster)
	DelayRecipient  string // delay_notice_recipient (postmaster)
	ErrorRecipient  string // error_notice_recipient (postmaster), of transcripts
	// DoubleBounceRecipient is 2bounce_notice_recipient (postmaster).
	DoubleBounceRecipient string
	// DoubleBounceSender is double_bounce_sender (double-bounce): who notices to the
	// postmaster come from. Mail that comes back to it is dropped.
	DoubleBounceSender string

	// Resolve says where mail to an address goes, such as alias.Resolver.Expand of a
	// Resolver that accepts unlisted recipients. Required.
	Resolve func(context.Context, mail.RcptRequest) ([]mail.Recipient, error)

	Location *time.Location // of the dates; nil: local time
	// Log is told of reports that reach nobody; nil: nobody is.
	Log *slog.Logger
}

// Writer writes reports. It implements queue.Notifier and is safe for concurrent use.
type Writer struct {
	o          Options
	templates  Templates
	diagnostic string // mail_name as an atom, for field names
	log        *slog.Logger
}

// New makes a Writer.
func New(o Options) *Writer {
	if o.Resolve == nil {
		o.Resolve = func(context.Context, mail.RcptRequest) ([]mail.Recipient, error) {
			return nil, errors.New("bounce: Options.Resolve is missing: nobody knows where reports go")
		}
	}
	if o.MyHostname == "" {
		o.MyHostname = "localhost"
	}
	for _, d := range []struct {
		field *string
		value string
	}{
		{&o.MyOrigin, o.MyHostname}, {&o.MailName, "Postfix"},
		{&o.BounceRecipient, "postmaster"}, {&o.DelayRecipient, "postmaster"}, {&o.ErrorRecipient, "postmaster"},
		{&o.DoubleBounceRecipient, "postmaster"},
		{&o.DoubleBounceSender, "double-bounce"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.SizeLimit <= 0 {
		o.SizeLimit = 50000
	}
	if o.HeaderLimit <= 0 {
		o.HeaderLimit = 102400
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	w := &Writer{o: o, log: o.Log, templates: o.templates()}
	for _, t := range w.templates.all() {
		t.from = w.completeFrom(t.from)
	}
	w.diagnostic = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\".[]`, r) {
			return '-' // Diagnostic-Code wants an atom, RFC 3464 section 2.1.1
		}
		return r
	}, o.MailName)
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.log = w.log.With(mail.KeyDaemon, "bounce")
	return w
}

// templates are those to be used, expanded.
func (o *Options) templates() Templates {
	if o.Templates != nil {
		return *o.Templates
	}
	ts := BuiltIn()
	ts, _ = ts.Expand(Values{
		DelayWarning: o.DelayWarning, QueueLifetime: o.QueueLifetime,
		Names: map[string]string{"myhostname": o.MyHostname}, Expand: expandBuiltIn,
	}, func(string) {})
	return ts
}

// expandBuiltIn replaces the names that stand in the templates that are built in. It knows
// no main.cf, and does not fail.
func expandBuiltIn(line string, own func(string) (string, bool, error)) (string, error) {
	for _, name := range []string{"myhostname", "delay_warning_time_hours", "maximal_queue_lifetime_days"} {
		value, _, _ := own(name)
		line = strings.ReplaceAll(line, "$"+name, value)
	}
	return line, nil
}

// completeFrom is the value of a From field, its addresses completed as cleanup(8) does.
func (w *Writer) completeFrom(value string) string {
	var b strings.Builder
	h := header.NewWriter(&b, header.Options{Rewrite: func(a mail.Address, _ bool) (mail.Address, error) {
		return w.complete(a), nil
	}})
	fmt.Fprintf(h, "From: %s\r\n\r\n", value)
	if h.Close() != nil { // into memory: it does not fail
		return value
	}
	from := strings.TrimPrefix(b.String(), "From: ")
	return strings.TrimRight(from, "\r\n")
}

// templateOf is the template of a kind of report.
func (w *Writer) templateOf(k mail.ReportKind) *Template {
	switch k {
	case mail.ReportFailed:
		return &w.templates.failure
	case mail.ReportDelayed:
		return &w.templates.delay
	}
	return &w.templates.success
}

// notifies tells whether notify_classes has one of the classes.
func (w *Writer) notifies(classes ...string) bool {
	return slices.ContainsFunc(classes, func(c string) bool { return slices.Contains(w.o.NotifyClasses, c) })
}
