package delivery

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
	"aliasmx/internal/mail"
)

func TestClassOf(t *testing.T) {
	fails := mail.Authentic{SPF: mail.AuthFail, DMARC: mail.AuthFail}
	for _, tt := range []struct {
		name string
		env  mail.Envelope
		want string
	}{
		{"from a stranger", mail.Envelope{Client: mail.Client{Protocol: "ESMTPS"}}, ClassForwarded},
		{"logged in", mail.Envelope{Client: mail.Client{Protocol: "ESMTPSA"}}, ClassSubmitted},
		{"logged in, with SMTPUTF8", mail.Envelope{Client: mail.Client{Protocol: "UTF8SMTPA"}}, ClassSubmitted},
		{"one of ours, from mynetworks", mail.Envelope{Auth: mail.Authentic{Author: "alias.example", Vouched: true}}, ClassSubmitted},
		{"sendmail", mail.Envelope{Flags: mail.FlagSubmitted}, ClassSubmitted},
		{"a report of ours", mail.Envelope{Flags: mail.FlagNotice}, ClassNotice},
		{"nothing says who it is from", mail.Envelope{Auth: fails, Client: mail.Client{Protocol: "ESMTP"}}, ClassUnauthenticated},
		{"vouched for", mail.Envelope{Auth: mail.Authentic{Vouched: true, SPF: mail.AuthFail, DMARC: mail.AuthFail}}, ClassForwarded},
		{"SPF says so", mail.Envelope{Auth: mail.Authentic{SPF: mail.AuthPass, DMARC: mail.AuthNone}}, ClassForwarded},
		{"nobody has asked", mail.Envelope{Auth: mail.Authentic{SPF: mail.AuthFail}}, ClassForwarded},
		{"a report comes first", mail.Envelope{Flags: mail.FlagNotice | mail.FlagSubmitted, Auth: fails}, ClassNotice},
	} {
		if got := classOf(&tt.env); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestSourceOf(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		from   Source
		to     string
		want   netip.Addr
		chosen bool
	}{
		{Source{}, "198.51.100.1", netip.Addr{}, false},
		{Source{IPv4: v4}, "198.51.100.1", v4, true},
		{Source{IPv4: v4}, "::ffff:198.51.100.1", v4, true},
		{Source{IPv4: v4}, "2001:db8::2", netip.Addr{}, true}, // the family is not used
		{Source{IPv4: v4, IPv6: v6}, "2001:db8::2", v6, true},
	} {
		if got := tt.from.of(netip.MustParseAddr(tt.to)); got != tt.want || tt.from.chosen() != tt.chosen {
			t.Errorf("%+v to %s: %v, chosen %v", tt.from, tt.to, got, tt.from.chosen())
		}
	}
}

// A connection that waits is found only by mail that would leave from the same address.
func TestParkedBySource(t *testing.T) {
	set, h := newSettings(Options{}), &host{name: "mx.example", addr: netip.MustParseAddr("192.0.2.9"), port: 25}
	one, two := Source{IPv4: netip.MustParseAddr("192.0.2.1")}, Source{IPv4: netip.MustParseAddr("192.0.2.2")}
	var table parkedTable
	s := &session{set: set, conn: nil}
	if !table.park(set.parkKey(protoSMTP, h, one), s, 1<<40) {
		t.Fatal("not parked")
	}
	all := func(*session) bool { return true }
	for _, other := range []Source{{}, two} {
		if table.take(set.parkKey(protoSMTP, h, other), all) != nil {
			t.Errorf("%+v gets the connection of %+v", other, one)
		}
	}
	if table.take(set.parkKey(protoSMTP, h, one), all) != s {
		t.Error("its own mail does not get it")
	}
}

// A next hop is asked for as it is written first, and by its domain last.
func TestSourceNames(t *testing.T) {
	for hop, want := range map[string]string{
		"Dest.example":              "dest.example",
		"dest.example:587":          "dest.example:587 dest.example",
		"[Host.example]":            "[host.example] host.example",
		"[127.0.0.1]:2612":          "[127.0.0.1]:2612 [127.0.0.1] 127.0.0.1",
		"192.0.2.1:25":              "192.0.2.1:25 192.0.2.1",
		"2001:db8::1":               "2001:db8::1",
		"[ipv6:2001:db8:0::1]:smtp": "[ipv6:2001:db8:0::1]:smtp [ipv6:2001:db8:0::1] 2001:db8::1",
	} {
		h, err := parseNextHop(hop, 25)
		if got := strings.Join(h.names(), " "); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", hop, got, err, want)
		}
	}
}

// One worker with mail of two classes makes a connection for each from its address, and keeps
// one as long as the next message is of the same class.
func TestConnectionOfOneClass(t *testing.T) {
	sink, err := peers.NewSink("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Stop)
	c := New(Options{
		MyHostname: "mx.example.com", CacheTime: time.Minute,
		Sources: func(_ context.Context, class string, names []string) (Source, bool, error) {
			domain := names[len(names)-1]
			addr := map[string]string{ClassForwarded + "@127.0.0.1": "127.0.0.2", ClassNotice + "@127.0.0.1": "127.0.0.3"}[class+"@"+domain]
			if addr == "" {
				return Source{}, false, fmt.Errorf("asked about %s@%s", class, domain)
			}
			return Source{IPv4: netip.MustParseAddr(addr)}, true, nil
		},
		HeloNames: func(_ context.Context, from netip.Addr) (string, bool, error) {
			return "third.example.com", from.String() == "127.0.0.3", nil
		},
	})
	t.Cleanup(c.Close)
	notice := func() *mail.Attempt {
		a := letter("r@dest.example")
		a.Env.Flags |= mail.FlagNotice
		return a
	}
	src := &source{t: t, attempts: []*mail.Attempt{letter("r@dest.example"), notice(), notice(), letter("r@dest.example")}}
	_, port, _ := net.SplitHostPort(sink.Addr)
	c.Work(t.Context(), mail.Dest("smtp:[127.0.0.1]:"+port), src)
	var got []string
	for _, m := range sink.Messages() {
		host, _, _ := net.SplitHostPort(m.Client)
		got = append(got, fmt.Sprintf("%s on %d", host, m.Conn))
	}
	if want := "[127.0.0.2 on 1 127.0.0.3 on 2 127.0.0.3 on 2 127.0.0.2 on 3]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if names := sink.Greetings(); names["127.0.0.2"] != "mx.example.com" || names["127.0.0.3"] != "third.example.com" {
		t.Errorf("%v", names)
	}
}

// An address that is not there defers the mail of its class, and says nothing of the host:
// other classes may get through.
func TestSourceNotThere(t *testing.T) {
	sink, err := peers.NewSink("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Stop)
	c := New(Options{Sources: func(context.Context, string, []string) (Source, bool, error) {
		return Source{IPv4: netip.MustParseAddr("192.0.2.77")}, true, nil
	}})
	t.Cleanup(c.Close)
	_, port, _ := net.SplitHostPort(sink.Addr)
	src := &source{t: t, attempts: []*mail.Attempt{letter("r@dest.example")}}
	c.Work(t.Context(), mail.Dest("smtp:[127.0.0.1]:"+port), src)
	if got, want := fates(src.results[0]), "deferred 4.4.0 none (server configuration error)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if src.feedback[0] != mail.FeedbackGood {
		t.Error("the host is blamed")
	}
	if sink.Conns() != 0 {
		t.Error("it left from another address")
	}
}
