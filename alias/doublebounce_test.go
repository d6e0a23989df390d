package alias

import (
	"context"
	"testing"

	"aliasmx/internal/mail"
)

// Mail for double_bounce_sender at a local domain ends in the queue manager, whatever
// delivers local mail; elsewhere it is an address like any other. Whether it is let in is
// another question: a bare name is looked at as any local recipient is.
func TestDoubleBounceSenderIsAbsorbed(t *testing.T) {
	const absorbed, unknown = mail.DestDoubleBounce, mail.Dest("")
	for name, c := range map[string]struct {
		addr     string
		unlisted bool
		refuses  bool // local_transport = error:...
		want     mail.Dest
	}{
		"local":                     {"double-bounce@mx.example.com", false, false, absorbed},
		"in capitals":               {"Double-Bounce@MX.example.com", false, false, absorbed},
		"an alias leads there":      {"trap@virt.example", false, false, absorbed},
		"no local mail":             {"double-bounce@mx.example.com", false, true, unknown},
		"no local mail, let in":     {"double-bounce@mx.example.com", true, true, absorbed},
		"elsewhere":                 {"double-bounce@dest.example", false, false, "smtp:dest.example"},
		"almost":                    {"double-bounce2@mx.example.com", true, true, "error:no local mail"},
		"with an extension":         {"double-bounce+x@mx.example.com", true, true, "error:no local mail"},
		"unknown elsewhere, let in": {"nobody@virt.example", true, false, "error:5.1.1 User unknown in virtual alias table"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, []string{"trap@virt.example double-bounce@mx.example.com"}, func(o *Options) {
				o.DoubleBounceSender = "double-bounce"
				o.MyDestination = domains(t, "mx.example.com")
				o.LocalTransport = "smtp:[192.0.2.1]"
				if c.refuses {
					o.LocalTransport = "error:no local mail"
				}
			})
			rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: splitInternal(c.addr), Unlisted: c.unlisted})
			if c.want == unknown {
				if err == nil {
					t.Errorf("accepted: %v", rcpts)
				}
				return
			}
			if err != nil || len(rcpts) != 1 || rcpts[0].Dest != c.want {
				t.Errorf("got %+v, %v; want %s", rcpts, err, c.want)
			}
		})
	}
}
