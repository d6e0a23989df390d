package smtpd

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"aliasmx/internal/mail"
)

// gatekeeper is an Onward that lets one sender through, and notes what it was asked.
type gatekeeper struct {
	mu    sync.Mutex
	asked []string
}

func (g *gatekeeper) MayLeave(_ context.Context, from, to mail.Address, targets []mail.Recipient) *mail.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, fmt.Sprintf("%s %s %s", from, to, targets[0].Final))
	if from.Local == "good" {
		return nil
	}
	return &mail.Status{Code: 553, Enhanced: mail.Code(5, 1, 7), Text: "<" + from.String() + ">: Sender address rejected: no way out"}
}

// Onward is asked once for each recipient that would be taken, and its refusal is the reply.
func TestOnward(t *testing.T) {
	w, g := usual(t), new(gatekeeper)
	w.o.Onward = g
	w.start()
	c := w.dial("192.0.2.1").greeting()
	c.expect(
		"MAIL FROM:<bad>", "250 2.1.0 Ok",
		"RCPT TO:<nobody@virt.example>", "550 5.1.1 <nobody@virt.example>: Recipient address rejected: User unknown in virtual alias table",
		"VRFY a@virt.example", "252 2.0.0 a@virt.example",
		"RCPT TO:<a@virt.example>", "553 5.1.7 <bad@mx.example.com>: Sender address rejected: no way out",
		"DATA", "554 5.5.1 Error: no valid recipients",
		"RSET", "250 2.0.0 Ok",
		"MAIL FROM:<good@else.example>", "250 2.1.0 Ok",
		"RCPT TO:<a@virt.example>", "250 2.1.5 Ok",
		"QUIT", "221 2.0.0 Bye",
	)
	want := []string{"bad@mx.example.com a@virt.example b@dest.example", "good@else.example a@virt.example b@dest.example"}
	if fmt.Sprint(g.asked) != fmt.Sprint(want) {
		t.Errorf("asked %q, want %q", g.asked, want)
	}
}
