package bounce

import (
	"bytes"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What RFC 3464, RFC 6522 and RFC 6533 ask of a report, field by field. Every report that
// a test of this package has written is looked at, with a parser that is not ours.

// fieldRules are the fields of the groups, with the form of their values.
type fieldRules map[string]struct {
	form *regexp.Regexp
	must bool
}

var (
	dateForm    = regexp.MustCompile(`^\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)$`)
	mtaForm     = regexp.MustCompile(`^[A-Za-z0-9-]+; .*`)
	addressForm = regexp.MustCompile(`^[^;]*;.*$`)

	// RFC 3464 section 2.2.
	perMessage = fieldRules{
		"Reporting-Mta": {regexp.MustCompile(`^dns; [^ ]+$`), true},
		"Arrival-Date":  {dateForm, false}, "Original-Envelope-Id": {regexp.MustCompile(`^.+$`), false},
		"X-Queue-Id": {regexp.MustCompile(`^[0-9A-Za-z]{10,20}$`), true}, "X-Sender": {regexp.MustCompile(`^(rfc822|utf-8); .*$`), true},
	}
	// RFC 3464 section 2.3.
	perRecipient = fieldRules{
		"Final-Recipient": {regexp.MustCompile(`^(rfc822|utf-8); .*$`), true}, "Original-Recipient": {addressForm, false},
		"Action": {regexp.MustCompile(`^(failed|delayed|delivered|relayed|expanded)$`), true},
		"Status": {regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}$`), true}, "Remote-Mta": {mtaForm, false},
		"Diagnostic-Code": {mtaForm, true}, "Will-Retry-Until": {dateForm, false},
	}
	classes = map[string]string{"failed": "45", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}
	// utf8Addr7bit is utf-8-addr-xtext of RFC 6533 section 3.
	utf8Addr7bit = regexp.MustCompile(`^utf-8; ?([\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]|\\x\{[0-9A-F]{2,6}\})+$`)
)

// checkReport looks at a report and its envelope.
func checkReport(t testing.TB, env *mail.Envelope, text []byte) {
	t.Helper()
	if !env.Sender.IsNull() && env.Sender.Local != "double-bounce" {
		t.Errorf("a report from %s", env.Sender)
	}
	m, err := netmail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, name := range []string{"Date", "From", "Subject", "To", "Auto-Submitted", "Mime-Version", "Message-Id"} {
		if len(m.Header[name]) != 1 {
			t.Errorf("%d fields %s", len(m.Header[name]), name)
		}
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	parts := readReport(t, text)
	if len(parts) != 3 {
		t.Fatalf("%d parts in\n%s", len(parts), text)
	}
	global := env.Flags&mail.FlagSMTPUTF8 != 0
	types := []string{"text/plain; charset=", "message/delivery-status", "message/rfc822 text/rfc822-headers"}
	if global {
		types[1], types[2] = "message/global-delivery-status", "message/global message/global-headers "+types[2]
	}
	if got := parts[0].header.Get("Content-Type"); !strings.HasPrefix(got, types[0]) {
		t.Errorf("part 1 is %s", got)
	}
	for i := 1; i < 3; i++ {
		if got := parts[i].header.Get("Content-Type"); !slices.Contains(strings.Fields(types[i]), got) {
			t.Errorf("part %d is %s, not %s", i+1, got, types[i])
		}
	}
	if !global && !isASCII(parts[1].content) {
		t.Errorf("message/delivery-status is not ASCII:\n%s", parts[1].content)
	}
	groups := readStatus(t, parts[1].content)
	if len(groups) < 2 {
		t.Fatalf("no recipient in\n%s", parts[1].content)
	}
	for i, group := range groups {
		rules := perRecipient
		if i == 0 {
			rules = perMessage
		}
		for name, values := range group {
			if i == 0 && strings.HasPrefix(name, "X-") { // X-Postfix-Queue-ID
				name = name[:2] + name[strings.Index(name[2:], "-")+3:]
				if strings.HasPrefix(name, "X-Mx-") { // of a mail_name of two words
					name = "X-" + name[5:]
				}
			}
			rule, known := rules[name]
			if !known || len(values) != 1 || !rule.form.MatchString(values[0]) {
				t.Errorf("group %d: %s is %q", i, name, values)
			}
			if !global && strings.HasPrefix(values[0], "utf-8;") && !utf8Addr7bit.MatchString(values[0]) {
				t.Errorf("group %d: %s is %q, not utf-8-addr-xtext", i, name, values)
			}
		}
		for name, rule := range rules {
			if rule.must && !strings.HasPrefix(name, "X-") && len(group[name]) != 1 {
				t.Errorf("group %d has no %s:\n%v", i, name, group)
			}
		}
		if i == 0 {
			continue
		}
		action, status := group.Get("Action"), group.Get("Status")
		if status == "" || !strings.Contains(classes[action], status[:1]) {
			t.Errorf("status %s of what is %s", status, action)
		}
		if until := group.Get("Will-Retry-Until"); until != "" && action != "delayed" {
			t.Errorf("%s, and Will-Retry-Until %s (RFC 3464 section 2.3.9)", action, until)
		}
	}
}
