package alias

import (
	"context"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

func copying(o *Options) {
	o.RecipientDelimiter = "+"
	o.AlwaysBcc = "archive@virt.example"
	o.SenderBccMaps = table.Maps{fake("fake:sender_bcc", "boss@b.example log@dest.example", "@c.example archive")}
	o.RecipientBccMaps = table.Maps{fake("fake:recipient_bcc", "a@virt.example audit@dest.example", "gone@virt.example audit@dest.example")}
}

var copied = []string{"a@virt.example one@dest.example", "archive@virt.example s1@dest.example, s2@dest.example"}

// goes shows where recipients go, the copies marked.
func goes(rcpts []mail.Recipient) string {
	var names []string
	for _, r := range rcpts {
		name := r.Final.String()
		if r.Notify == mail.NotifyNever {
			name += "<-" + r.Orig.String()
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestCopiesOfSender(t *testing.T) {
	const last = "s1@dest.example<-archive@virt.example s2@dest.example<-archive@virt.example"
	for in, want := range map[string]string{
		"boss@b.example":   "log@dest.example<-log@dest.example",
		"boss+x@b.example": "log@dest.example<-log@dest.example",
		"x@c.example":      "archive@mx.example.com<-archive@mx.example.com",
		"other@b.example":  "",
		"":                 "",
	} {
		r := newTestResolver(t, copied, copying)
		rev, err := r.Sender(context.Background(), splitInternal(in))
		if err != nil || goes(rev.First) != want || goes(rev.Last) != last {
			t.Errorf("%q: first %q, last %q, %v; want %q", in, goes(rev.First), goes(rev.Last), err, want)
		}
	}
}

func TestCopiesOfRecipient(t *testing.T) {
	r := newTestResolver(t, copied, copying)
	for _, c := range []struct {
		addr   string
		copies bool
		want   string
	}{
		{"a@virt.example", true, "one@dest.example audit@dest.example<-audit@dest.example"},
		{"a+x@virt.example", true, "one+x@dest.example audit@dest.example<-audit@dest.example"},
		{"a@virt.example", false, "one@dest.example"},
		{"b@dest.example", true, "b@dest.example"},
	} {
		rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: splitInternal(c.addr), Copies: c.copies})
		if err != nil || goes(rcpts) != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.addr, goes(rcpts), err, c.want)
		}
	}
	// That there is a copy makes nobody exist.
	if rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: splitInternal("gone@virt.example"), Copies: true}); err == nil {
		t.Errorf("gone@virt.example is accepted: %v", rcpts)
	}
}

func TestCopiesTableFails(t *testing.T) {
	broken := fake("fake:bcc")
	broken.broken["*"] = true
	r := newTestResolver(t, copied, func(o *Options) {
		o.SenderBccMaps, o.RecipientBccMaps = table.Maps{broken}, table.Maps{broken}
	})
	_, sender := r.Sender(context.Background(), splitInternal("boss@b.example"))
	_, rcpt := r.Expand(context.Background(), mail.RcptRequest{Addr: splitInternal("a@virt.example"), Copies: true})
	for where, err := range map[string]error{"sender": sender, "recipient": rcpt} {
		if st := mail.StatusOf(err); st == nil || !st.Temporary() {
			t.Errorf("%s: %v", where, err)
		}
	}
	if _, err := r.Sender(context.Background(), mail.Address{}); err != nil {
		t.Errorf("the null reverse-path has no copies to ask for: %v", err)
	}
}

// Mail from our own MAILER-DAEMON is a bounce, however its sender is spelled.
func TestMailerDaemonIsNobody(t *testing.T) {
	r := newTestResolver(t, nil, nil)
	for in, null := range map[string]bool{
		"MAILER-DAEMON": true, "mailer-daemon@mx.example.com": true, "MAILER-DAEMON@MX.example.com": true,
		"mailer-daemon@other.example": false, "mailer-daemons": false,
	} {
		rev, err := r.Sender(context.Background(), splitInternal(in))
		if err != nil || rev.Path.IsNull() != null {
			t.Errorf("%s: %q, %v", in, rev.Path, err)
		}
	}
}
