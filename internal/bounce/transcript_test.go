package bounce

import (
	"bytes"
	netmail "net/mail"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestTranscript(t *testing.T) {
	w := newTestWriter(t, func(o *Options) { o.ErrorRecipient, o.BounceRecipient = "errors@dest.example", "bounces@dest.example" })
	tr := mail.Transcript{
		Client: "unknown[192.0.2.1]", Reason: "lost connection",
		Lines: []string{"Out: 220 mx", "In:  \r\n.\r\nFrom: me\x00 é", "Out: 550 5.1.1 " + strings.Repeat("word ", 20)},
	}
	for _, c := range []struct {
		unknown  bool
		obsolete bool
		to       string
		from     string
	}{
		{false, false, "errors@dest.example", "From: Mail Delivery System <MAILER-DAEMON@mx.example.com>\r\nTo: Postmaster <errors@dest.example>\r\n"},
		{true, true, "bounces@dest.example", "From: MAILER-DAEMON@mx.example.com (Mail Delivery System)\r\nTo: errors@dest.example (Postmaster)\r\n"},
	} {
		tr.Unknown, w.o.ObsoleteFrom = c.unknown, c.obsolete
		env, text, err := w.Transcript(t.Context(), tr, newID, now())
		if err != nil {
			t.Fatal(err)
		}
		if env.Rcpts[0].Final != addr(c.to) || env.Sender != addr("double-bounce@mx.example.com") || env.Flags&mail.FlagNotice == 0 || env.ID != newID {
			t.Errorf("envelope %+v", env)
		}
		want := "Date: Sat,  1 Nov 2025 10:00:00 +0000 (UTC)\r\n" + c.from + "Subject: Postfix SMTP server: errors from unknown[192.0.2.1]\r\n" +
			"Message-Id: <20251101100000." + newID.String() + "@mx.example.com>\r\n\r\nTranscript of session follows.\r\n\r\n" +
			" Out: 220 mx\r\n In:   . From: me? \\x{E9}\r\n Out: 550 5.1.1 word word word word word word word word word word word word\r\n" +
			"     word word word word word word word word\r\n\r\nSession aborted, reason: lost connection\r\n\r\nFor other details, see the local mail logfile\r\n"
		if string(text) != want {
			t.Errorf("got\n%q\nwant\n%q", text, want)
		}
		if m, err := netmail.ReadMessage(bytes.NewReader(text)); err != nil || len(m.Header) != 5 || !isASCII(string(text)) {
			t.Errorf("%v, header %v", err, m.Header)
		}
	}
	failing := newTestWriter(t, nil)
	failing.o.Resolve = New(Options{}).o.Resolve
	if _, _, err := failing.Transcript(t.Context(), tr, newID, now()); err == nil {
		t.Error("nobody knows where the postmaster is, and no error")
	}
}
