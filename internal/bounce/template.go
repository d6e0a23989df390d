package bounce

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The words of a report: templates of bounce(5), of which four are built in.

// Template is what one kind of report says, whatever it is about.
type Template struct {
	name    string // "failure", "delay", "success" or "verify"
	charset string
	from    string // as in the file, its address may be a bare name
	subject string
	// copySubject is the subject of the postmaster's copy; "": there are no copies of
	// this kind.
	copySubject string
	lines       []string // of the text, before or after expansion
	origin      string   // the file, for messages about it
}

// Templates are the four that bounce(8) knows.
type Templates struct{ failure, delay, success, verify Template }

// BuiltIn are the templates that hold where no file says otherwise.
func BuiltIn() Templates {
	const (
		greeting = "This is the mail system at host $myhostname.\n\n"
		farewell = `
For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

`
		signature = "                   The mail system"
	)
	make := func(name, subject, copySubject, text string) Template {
		return Template{
			name: name, charset: "us-ascii", from: standardFrom, subject: subject, copySubject: copySubject,
			lines: strings.Split(text, "\n"), origin: builtIn,
		}
	}
	return Templates{
		failure: make("failure", "Undelivered Mail Returned to Sender", "Postmaster Copy: Undelivered Mail", greeting+
			`I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.
`+farewell+signature),
		delay: make("delay", "Delayed Mail (still being retried)", "Postmaster Warning: Delayed Mail", greeting+
			`####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than $delay_warning_time_hours hour(s).
It will be retried until it is $maximal_queue_lifetime_days day(s) old.
`+farewell+signature),
		success: make("success", "Successful Mail Delivery Report", "", greeting+
			`Your message was successfully delivered to the destination(s)
listed below. If the message was delivered to mailbox you will
receive no further notifications. Otherwise you may still receive
notifications of mail delivery errors from other systems.

`+signature),
		verify: make("verify", "Mail Delivery Status Report", "", greeting+
			"Enclosed is the mail delivery report that you requested.\n\n"+signature),
	}
}

const builtIn = "[built-in]" // origin

// standardFrom and obsoleteFrom are who reports come from (header_from_format).
const (
	standardFrom = "Mail Delivery System <MAILER-DAEMON>"
	obsoleteFrom = "MAILER-DAEMON (Mail Delivery System)"
)

// WithObsoleteFrom is the templates for header_from_format = obsolete.
func (ts Templates) WithObsoleteFrom() Templates {
	for _, t := range ts.all() {
		if t.from == standardFrom {
			t.from = obsoleteFrom
		}
	}
	return ts
}

func (ts *Templates) all() []*Template {
	return []*Template{&ts.failure, &ts.delay, &ts.success, &ts.verify}
}

// Dump writes the templates as they would stand in a file (postconf -t).
func (ts *Templates) Dump(w io.Writer) error {
	return ts.write(w, "%s_template", func(t *Template, b *strings.Builder) {
		fmt.Fprintf(b, "Charset: %s\nFrom: %s\nSubject: %s\n", t.charset, t.from, t.subject)
		if t.copySubject != "" {
			fmt.Fprintf(b, "Postmaster-Subject: %s\n", t.copySubject)
		}
		b.WriteByte('\n')
	})
}

// DumpText writes the texts alone (postconf -b, of templates that were expanded).
func (ts *Templates) DumpText(w io.Writer) error {
	return ts.write(w, "expanded_%s_text", func(*Template, *strings.Builder) {})
}

func (ts *Templates) write(w io.Writer, title string, head func(*Template, *strings.Builder)) error {
	var b strings.Builder
	for i, t := range ts.all() {
		if i > 0 {
			b.WriteByte('\n')
		}
		mark := "EOF"
		for slices.Contains(t.lines, mark) {
			mark += "F"
		}
		fmt.Fprintf(&b, title+" = <<%s\n", t.name, mark)
		head(t, &b)
		for _, line := range t.lines {
			b.WriteString(line + "\n")
		}
		b.WriteString(mark + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Values are what the text of a template may speak of.
type Values struct {
	DelayWarning  time.Duration // delay_warning_time, for delay_warning_time_hours and the like
	QueueLifetime time.Duration // maximal_queue_lifetime, likewise
	// Names are shown in place of parameters: myhostname and mydomain with their labels in
	// UTF-8 (smtputf8_enable).
	Names map[string]string
	// Expand replaces each $name in a line (postconf(5)); own comes before main.cf. An
	// error says what cannot be replaced.
	Expand func(line string, own func(name string) (value string, ok bool, err error)) (string, error)
}

// Expand is the templates with each $name replaced. An error names template and file. What
// looks wrong without being it, a time that is nought in its unit, goes to warn.
func (ts Templates) Expand(v Values, warn func(string)) (Templates, error) {
	for _, t := range ts.all() {
		lines := make([]string, len(t.lines))
		for i, line := range t.lines {
			text, err := v.Expand(line, func(name string) (string, bool, error) { return v.lookup(t, name, warn) })
			if err != nil {
				return ts, fmt.Errorf("%s: %w in %s template: %s", t.origin, err, t.name, line)
			}
			lines[i] = printable(text)
		}
		t.lines = lines
	}
	return ts, nil
}

// lookup knows the names that bounce(5) treats specially.
func (v *Values) lookup(t *Template, name string, warn func(string)) (string, bool, error) {
	for _, p := range []struct {
		name  string
		value time.Duration
	}{{"delay_warning_time", v.DelayWarning}, {"maximal_queue_lifetime", v.QueueLifetime}} {
		suffix, ok := strings.CutPrefix(name, p.name+"_")
		if !ok {
			continue
		}
		unit := units[suffix]
		if unit == 0 {
			return "", false, fmt.Errorf("unrecognized suffix %q in parameter %q", suffix, name)
		}
		n := int64(p.value / unit)
		complain := func(what, remedy string) {
			warn(fmt.Sprintf("%s: %s in %s template conversion of parameter %q; please %s time unit %q",
				t.origin, what, t.name, name, remedy, suffix))
		}
		switch {
		case t.origin == builtIn: // nobody can change it
		case n > 999 && unit < 24*time.Hour:
			complain(fmt.Sprintf("excessive result \"%d\"", n), "increase")
		case n == 0 && p.value > 0 && unit > time.Second:
			complain("zero result", "reduce")
		}
		return strconv.FormatInt(n, 10), true, nil
	}
	value, ok := v.Names[name]
	return value, ok, nil
}

var units = map[string]time.Duration{
	"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// printable keeps a value from adding lines to a text, or from ending it.
func printable(line string) string {
	b := []byte(line) // in whatever character set
	for i, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			b[i] = '_'
		}
	}
	return string(b)
}
