package alias

import (
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// replies knows reverse aliases of the form re=ALIAS=LOCAL=DOMAIN@.
type replies struct{}

func (replies) Parse(a mail.Address) (mail.Reply, bool) {
	parts := strings.Split(a.Local, "=")
	if len(parts) != 4 || parts[0] != "re" {
		return mail.Reply{}, false
	}
	return mail.Reply{Alias: mail.Address{Local: parts[1], Domain: a.Domain}, Correspondent: mail.Address{Local: parts[2], Domain: parts[3]}}, true
}

func TestReply(t *testing.T) {
	r := newTestResolver(t, []string{
		"info@virt.example owner@home.example, second@home.example", "over@virt.example owner@home.example",
		"other@virt.example somebody@home.example",
	}, func(o *Options) {
		o.Replies = replies{}
		o.RecipientDelimiter = "+"
		o.AttributeMaps = table.Maps{fake("fake:attributes", "over@virt.example expires=2026-01-01", "info@virt.example senders=@club.example")}
		o.Now = func() time.Time { return attributesNow }
	})
	const unknown = "550 5.1.1 Recipient address rejected: User unknown in virtual alias table"
	for _, c := range []struct{ to, from, want string }{
		{"re=info=joe=example.com@virt.example", "owner@home.example", ""},
		{"re=info=joe=example.com@virt.example", "Second@Home.example", ""},
		{"re=info+shop=joe=example.com@virt.example", "owner@home.example", ""},
		{"re=info+shop=joe=example.com@virt.example", "owner+shop@home.example", ""},
		{"re=info+shop=joe=example.com@virt.example", "owner+other@home.example", unknown},
		{"re=info=over=virt.example@virt.example", "owner@home.example", unknown},
		{"re=info=joe=example.com@virt.example", "stranger@home.example", unknown},
		{"re=info=joe=example.com@virt.example", "info@virt.example", unknown},
		{"re=info=joe=example.com@virt.example", "", unknown},
		{"re=none=joe=example.com@virt.example", "owner@home.example", unknown},
		{"re=over=joe=example.com@virt.example", "owner@home.example", unknown},
		{"re=info=other=virt.example@virt.example", "owner@home.example", ""},
		{"re=info=nobody=virt.example@virt.example", "owner@home.example", unknown},
		{"re=info@virt.example", "owner@home.example", unknown},
	} {
		rcpts, err := r.Expand(t.Context(), mail.RcptRequest{Addr: mail.SplitAddress(c.to), Sender: mail.SplitAddress(c.from), Copies: true, Replies: true, ORcpt: "rfc822;given"})
		if got := errText(err); got != c.want {
			t.Errorf("%s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
		if err == nil && (len(rcpts) != 1 || rcpts[0].Orig != mail.SplitAddress(c.to) || rcpts[0].ORcpt == "rfc822;given") {
			t.Errorf("%s: %+v", c.to, rcpts)
		}
	}
	rcpts, err := r.Expand(t.Context(), mail.RcptRequest{Addr: mail.SplitAddress("re=info=joe=example.com@virt.example"), Sender: mail.SplitAddress("owner@home.example"), Copies: true, Replies: true})
	if err != nil || rcpts[0].Final.String() != "joe@example.com" || rcpts[0].Dest != "smtp:example.com" {
		t.Errorf("%+v, %v", rcpts, err)
	}
	if _, err := r.Expand(t.Context(), mail.RcptRequest{Addr: mail.SplitAddress("re=info=joe=example.com@virt.example"), Sender: mail.SplitAddress("owner@home.example"), Copies: true}); errText(err) != unknown {
		t.Errorf("whoever makes nothing anew: %v", err)
	}
	if x := r.Explain(t.Context(), "re=info=joe=example.com@virt.example"); x.ExitStatus != 1 || !strings.Contains(strings.Join(x.Steps, "\n"), "is a reverse alias: info@virt.example writes to joe@example.com") {
		t.Errorf("%+v", x)
	}
}
