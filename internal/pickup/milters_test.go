package pickup

import (
	"context"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// filters are milters that do what they are told to.
type filters struct {
	from  mail.MilterSubmission
	reply mail.MilterReply
	edit  func(*mail.MilterMessage) error
}

func (f *filters) Submit(_ context.Context, from mail.MilterSubmission, m *mail.MilterMessage) (mail.MilterReply, error) {
	f.from = from
	if f.edit != nil {
		if err := f.edit(m); err != nil {
			return mail.MilterReply{}, err
		}
	}
	return f.reply, nil
}

func TestMilters(t *testing.T) {
	del := mail.EnvelopeChange{Kind: mail.DeleteRecipient, Addr: mail.SplitAddress("a@virt.example")}
	change := func(changes ...mail.EnvelopeChange) func(*mail.MilterMessage) error {
		return func(m *mail.MilterMessage) error {
			m.Changes = changes
			return nil
		}
	}
	for _, tt := range []struct {
		name   string
		f      filters
		status int
		text   string
		want   string // sender, recipients and flags of what is queued; "": nothing is
	}{
		{name: "go on", want: "sender@example.net to one@dest.example hold=false"},
		{name: "hold", f: filters{reply: mail.MilterReply{Action: mail.MilterHold}}, want: "sender@example.net to one@dest.example hold=true"},
		{name: "drop", f: filters{reply: mail.MilterReply{Action: mail.MilterDiscard}}},
		{name: "refuse", f: filters{reply: mail.MilterReply{Action: mail.MilterRefuse, Text: "550-5.7.1 no\r\n550 5.7.1 really"}}, status: ExitUnavailable, text: "5.7.1 no 550 5.7.1 really"},
		{name: "refuse for now", f: filters{reply: mail.MilterReply{Action: mail.MilterRefuse, Text: "451 4.7.1 later"}}, status: ExitTempFail, text: "4.7.1 later"},
		{name: "shut down", f: filters{reply: mail.MilterReply{Action: mail.MilterShutdown}}, status: ExitTempFail, text: "4.7.0 Server closing connection"},
		{name: "cannot", f: filters{edit: func(*mail.MilterMessage) error { return context.DeadlineExceeded }}, status: ExitTempFail, text: "mail could not be queued, try again later"},
		{name: "nobody is left", f: filters{edit: change(del)}},
		{name: "others", f: filters{edit: change(del,
			mail.EnvelopeChange{Kind: mail.AddRecipient, Addr: mail.SplitAddress("b@virt.example")},
			mail.EnvelopeChange{Kind: mail.AddRecipient, Addr: mail.SplitAddress("none@virt.example")},
			mail.EnvelopeChange{Kind: mail.ChangeSender, Addr: mail.SplitAddress("new@example.net")})},
			want: "new@example.net to two@dest.example none@virt.example hold=false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, fakeRecipients{"a@virt.example": "one@dest.example", "b@virt.example": "two@dest.example"}, func(o *Options) { o.Milters = &tt.f })
			reply, err := f.submit(t, Request{Sender: mail.SplitAddress("sender@example.net"), Rcpts: addresses("a@virt.example")}, "Subject: t\n\nx\n")
			if err != nil || reply.Status != tt.status || reply.Text != tt.text {
				t.Errorf("%+v, %v; want %d, %q", reply, err, tt.status, tt.text)
			}
			if s := tt.f.from; s.Sender.String() != "sender@example.net" || len(s.Rcpts) != 1 || s.Rcpts[0].String() != "a@virt.example" {
				t.Errorf("milters were told %+v", s)
			}
			msgs, _ := f.queue.state()
			var got []string
			for _, m := range msgs {
				line := m.env.Sender.String() + " to"
				for _, r := range m.env.Rcpts {
					line += " " + r.Final.String()
				}
				hold := " hold=false"
				if m.env.Flags&mail.FlagHold != 0 {
					hold = " hold=true"
				}
				got = append(got, line+hold)
			}
			if strings.Join(got, ";") != tt.want {
				t.Errorf("queued %q, want %q", got, tt.want)
			}
		})
	}
}
