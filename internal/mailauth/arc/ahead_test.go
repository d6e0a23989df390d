package arc

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	lib "github.com/miekg/dns"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// TestKeysSideBySide: once the message is found unchanged, the keys of the seals below are
// asked for at one time, ten at most.
func TestKeysSideBySide(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ sealers, seconds int }{{1, 1}, {2, 2}, {5, 2}, {11, 2}, {13, 4}} {
		m, status := letter, mail.AuthNone
		for i := range c.sealers {
			m, status = sealed(t, w.sealer(t, fmt.Sprintf("s%d-%d.example", c.sealers, i), edKey()), m, status), mail.AuthPass
		}
		synctest.Test(t, func(t *testing.T) {
			zone := w.Resolver()
			r := dns.New(dns.Options{Servers: []string{"192.0.2.53"}, Hosts: "/dev/null",
				Exchange: func(ctx context.Context, q *lib.Msg, _ string, _ bool) (*lib.Msg, error) {
					time.Sleep(time.Second)
					rrs, err := zone.Lookup(ctx, q.Question[0].Name, q.Question[0].Qtype)
					reply := new(lib.Msg).SetReply(q)
					reply.Answer = rrs
					return reply, err
				}})
			began := time.Now()
			chain, err := Verify(t.Context(), strings.NewReader(m), VerifyOptions{Resolver: r, Now: clock})
			if err != nil || chain.CV != mail.AuthPass {
				t.Fatalf("%+v, %v", chain, err)
			}
			if took, want := time.Since(began), time.Duration(c.seconds)*time.Second; took != want {
				t.Errorf("%d sealers: %v, want %v", c.sealers, took, want)
			}
		})
	}
}
