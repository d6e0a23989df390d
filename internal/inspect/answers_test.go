package inspect

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"

	"aliasmx/internal/dns"
)

// What a list answers, and how long that holds: of the records, or of their absence.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists := Lists{dns.New(dns.Options{Servers: []string{"192.0.2.53"}, Hosts: t.TempDir() + "/hosts", Attempts: 1,
			Exchange: func(_ context.Context, q *mdns.Msg, _ string, _ bool) (*mdns.Msg, error) {
				m := new(mdns.Msg).SetReply(q)
				add := func(to *[]mdns.RR, text string) {
					rr, err := mdns.NewRR(text)
					if err != nil {
						t.Error(err)
					}
					*to = append(*to, rr)
				}
				switch name := q.Question[0].Name; name {
				case "1.2.0.192.bl.example.":
					add(&m.Answer, name+" 300 A 127.0.0.2")
					add(&m.Answer, name+" 200 A 127.0.0.9")
				case "2.2.0.192.bl.example.":
					m.Rcode = mdns.RcodeNameError
					add(&m.Ns, "bl.example. 120 SOA ns.bl.example. x.bl.example. 1 2 3 4 100")
				case "3.2.0.192.bl.example.":
					m.Rcode = mdns.RcodeNameError
				default:
					m.Rcode = mdns.RcodeServerFailure
				}
				return m, nil
			}})}
		for _, c := range []struct {
			client, want string
			later        time.Duration
		}{
			{"192.0.2.1", "[127.0.0.2 127.0.0.9] 3m20s false", 0},
			{"::ffff:192.0.2.1", "[127.0.0.2 127.0.0.9] 2m20s false", time.Minute}, // what is left of it
			{"192.0.2.2", "[] 1m40s false", 0},
			{"192.0.2.3", "[] -1ns false", 0},
			{"192.0.2.4", "[] -1ns true", 0},
		} {
			time.Sleep(c.later)
			answers, ttl, err := lists.Answers(t.Context(), "bl.example", netip.MustParseAddr(c.client))
			if got := fmt.Sprint(answers, ttl, err != nil); got != c.want {
				t.Errorf("%s: %s, want %s (%v)", c.client, got, c.want, err)
			}
		}
	})
	for domain, want := range map[string]bool{"bl.example": true, "key_1.bl.example": true, "": false, "a..b": false, "127.0.0.1": false} {
		if ValidDomain(domain) != want {
			t.Errorf("ValidDomain(%q) = %v", domain, !want)
		}
	}
}
