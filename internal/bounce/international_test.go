package bounce

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// RFC 6533: what a report looks like where an address is not ASCII, by what the message
// was and whom the report goes to.
func TestInternational(t *testing.T) {
	const utf8 = mail.FlagSMTPUTF8
	for name, c := range map[string]struct {
		flags               mail.Flags
		sender, orig, final string
		orcpt               string
		smtputf8            bool // wanted of the report
		status, returned    string
		fields              []string
	}{
		"all ASCII": {0, "s@example.net", "a@virt.example", "b@dest.example", "rfc822;a@virt.example", false,
			"message/delivery-status", "message/rfc822", []string{"Final-Recipient: rfc822; b@dest.example", "Original-Recipient: rfc822;a@virt.example"}},
		"a UTF-8 message to ASCII": {utf8, "s@example.net", "a@virt.example", "b@dest.example", "rfc822;a@virt.example", true,
			"message/global-delivery-status", "message/global", []string{"Final-Recipient: rfc822; b@dest.example", "X-Postfix-Sender: rfc822; s@example.net"}},
		"all UTF-8": {utf8, "jö@example.net", "ä@virt.example", "é@dest.example", "utf-8;ä@virt.example", true,
			"message/global-delivery-status", "message/global", []string{"Final-Recipient: utf-8; é@dest.example", "Original-Recipient: utf-8;ä@virt.example", "X-Postfix-Sender: utf-8; jö@example.net"}},
		"an ASCII message to a UTF-8 target": {0, "s@example.net", "a@virt.example", "é+x@dest.example", "rfc822;a@virt.example", false,
			"message/delivery-status", "message/rfc822", []string{`Final-Recipient: utf-8; \x{E9}\x{2B}x@dest.example`, "Original-Recipient: rfc822;a@virt.example"}},
		"ORCPT of type utf-8, without SMTPUTF8": {0, "s@example.net", "a@virt.example", "b@dest.example", "utf-8;ä@virt.example", false,
			"message/delivery-status", "message/rfc822", []string{`Original-Recipient: utf-8;\x{E4}@virt.example`}},
		"ORCPT of type utf-8 with a plus": {0, "s@example.net", "a@virt.example", "b@dest.example", "UTF-8;ä+x@virt.example", false,
			"message/delivery-status", "message/rfc822", []string{`Original-Recipient: UTF-8;\x{E4}\x{2B}x@virt.example`}},
		"no ORCPT, a UTF-8 alias": {utf8, "s@example.net", "ä@virt.example", "b@dest.example", "rfc822;ä@virt.example", true,
			"message/global-delivery-status", "message/global", []string{"Original-Recipient: utf-8;ä@virt.example"}},
		"ORCPT unknown, a UTF-8 alias": {0, "s@example.net", "ä@virt.example", "b@dest.example", "", false,
			"message/delivery-status", "message/rfc822", []string{`Original-Recipient: utf-8; \x{E4}@virt.example`}},
		"ORCPT of another type": {0, "s@example.net", "a@virt.example", "b@dest.example", "x400;/c=de/", false,
			"message/delivery-status", "message/rfc822", []string{"Original-Recipient: x400;/c=de/"}},
		"an ASCII message from a UTF-8 sender": {0, "jö@example.net", "a@virt.example", "é@dest.example", "rfc822;a@virt.example", true,
			"message/global-delivery-status", "message/rfc822", []string{"Final-Recipient: utf-8; é@dest.example", "X-Postfix-Sender: utf-8; jö@example.net"}},
		"beyond the first plane": {0, "s@example.net", "a@virt.example", "😀@dest.example", "rfc822;a@virt.example", false,
			"message/delivery-status", "message/rfc822", []string{`Final-Recipient: utf-8; \x{1F600}@dest.example`}},
		"words in UTF-8": {0, "s@example.net", "a@virt.example", "b@dest.example", "", false,
			"message/delivery-status", "message/rfc822", []string{`Diagnostic-Code: smtp; 550 5.1.1 kein Gl\x{FC}ck`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := failed(mail.Recipient{Final: addr(c.final), Orig: addr(c.orig), ORcpt: c.orcpt}, refused("550 5.1.1 kein Glück"))
			r.Env.Flags, r.Env.Sender = c.flags, addr(c.sender)
			env, text := mustWrite(t, newTestWriter(t, nil).Notify, r)
			if got := env.Flags&mail.FlagSMTPUTF8 != 0; got != c.smtputf8 {
				t.Errorf("goes by SMTPUTF8: %v, want %v", got, c.smtputf8)
			}
			parts := readReport(t, text)
			if got := parts[1].header.Get("Content-Type"); got != c.status {
				t.Errorf("delivery report: %s, want %s", got, c.status)
			}
			if got := parts[2].header.Get("Content-Type"); got != c.returned {
				t.Errorf("returned as %s, want %s", got, c.returned)
			}
			for _, field := range c.fields {
				if !strings.Contains(parts[1].content, field+"\r\n") {
					t.Errorf("no %q in\n%s", field, parts[1].content)
				}
			}
			// People read the address itself.
			if want := "<" + c.final + "> (expanded from <" + c.orig + ">)"; !strings.Contains(strings.Join(strings.Fields(parts[0].content), " "), want) {
				t.Errorf("no %q in\n%s", want, parts[0].content)
			}
		})
	}
}
