package bounce

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// RFC 8689 section 5: a report about a message that requires TLS has its header only, also
// where the sender wanted all, and the same requirement.
func TestReportOnAMessageThatRequiresTLS(t *testing.T) {
	w := newTestWriter(t, func(o *Options) {
		o.NotifyClasses, o.DoubleBounceRecipient = []string{"bounce", "2bounce"}, "two@dest.example"
	})
	for _, c := range []struct {
		name, sender string
		flags        mail.Flags
		whole        bool
	}{
		{"required", "s@example.net", mail.FlagRequireTLS, false},
		{"not required", "s@example.net", 0, true},
		{"a report, required", "", mail.FlagRequireTLS, false},
		{"a report, not required", "", 0, true},
	} {
		r := failed(aliased("bad@dest.example"), unknownUser())
		r.Env.Sender, r.Env.Flags, r.Env.Ret = addr(c.sender), c.flags, "FULL"
		env, text, err := w.Notify(t.Context(), r)
		if err != nil || env == nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := env.Flags & mail.FlagRequireTLS; got != c.flags {
			t.Errorf("%s: flag %b, want %b", c.name, got, c.flags)
		}
		if whole := strings.Contains(string(text), "\r\nHello.\r\n"); whole != c.whole || !strings.Contains(string(text), "\r\nSubject: test\r\n") {
			t.Errorf("%s: with the body: %v\n%s", c.name, whole, text)
		}
	}
}
