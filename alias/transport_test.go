package alias

import (
	"context"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

func TestTransportMaps(t *testing.T) {
	lines := []string{
		"user@dest.example smtp:[10.0.0.1]:2525",
		"dest.example lmtp:unix:/run/lmtp",
		".sub.example smtp:[10.0.0.2]",
		"same.example :",
		"hop.example :[10.0.0.3]:26",
		"reset.example smtp:",
		"closed.example error:5.1.2 closed for good",
		"silent.example error:",
		"later.example retry:4.3.2 later",
		"drop.example discard:",
		"virt.example smtp:[10.0.0.9]",
	}
	for name, c := range map[string]struct {
		addr  string
		extra []string
		want  mail.Dest
	}{
		"address":                {"user@dest.example", nil, "smtp:[10.0.0.1]:2525"},
		"address and extension":  {"user+x@dest.example", nil, "smtp:[10.0.0.1]:2525"},
		"domain":                 {"x@Dest.Example", nil, "lmtp:unix:/run/lmtp"},
		"subdomain":              {"x@a.b.sub.example", nil, "smtp:[10.0.0.2]"},
		"the domain is not one":  {"x@sub.example", nil, "smtp:[192.0.2.9]"},
		"no subdomain":           {"x@host.dest.example", nil, "smtp:[192.0.2.9]"},
		"nothing changes":        {"x@same.example", nil, "smtp:[192.0.2.9]"},
		"next hop only":          {"x@hop.example", nil, "smtp:[10.0.0.3]:26"},
		"transport only: direct": {"x@Reset.example", nil, "smtp:reset.example"},
		"error":                  {"x@closed.example", nil, "error:5.1.2 closed for good"},
		"error without text":     {"x@silent.example", nil, "error:Address is undeliverable"},
		"retry":                  {"x@later.example", nil, "retry:4.3.2 later"},
		"discard":                {"x@drop.example", nil, "discard:drop.example"},
		"wildcard":               {"x@other.example", []string{"* smtp:[10.0.0.4]"}, "smtp:[10.0.0.4]"},
		"not the wildcard":       {"x@dest.example", []string{"* smtp:[10.0.0.4]"}, "lmtp:unix:/run/lmtp"},
		"never our aliases":      {"x@virt.example", nil, "error:5.1.1 User unknown in virtual alias table"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, nil, func(o *Options) {
				o.RecipientDelimiter, o.RelayHost = "+", "[192.0.2.9]"
				o.TransportMaps = table.Maps{fake("fake:transport", append(c.extra, lines...)...)}
			})
			if got := r.Dest(splitInternal(c.addr)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	r := newTestResolver(t, nil, func(o *Options) {
		o.TransportSubdomains = true
		o.TransportMaps = table.Maps{fake("fake:transport", "dest.example smtp:[10.0.0.1]", ".other.example smtp:[10.0.0.1]")}
	})
	if got := r.Dest(splitInternal("x@a.b.dest.example")); got != "smtp:[10.0.0.1]" {
		t.Errorf("parent_domain_matches_subdomains: got %s", got)
	}
	if got := r.Dest(splitInternal("x@a.other.example")); got != "smtp:a.other.example" {
		t.Errorf("parent_domain_matches_subdomains: .domain is still taken: %s", got)
	}
}

func TestDestinationBySender(t *testing.T) {
	r := newTestResolver(t, []string{"a@virt.example b@dest.example"}, func(o *Options) {
		o.RelayHost = "[192.0.2.9]"
		o.RelayDomains = domains(t, "relay.example")
		o.SenderRelayHostMaps = table.Maps{fake("fake:relay", "@one.example [10.0.0.1]", "<> [10.0.0.2]", "x@three.example DUNNO")}
		o.SenderTransportMaps = table.Maps{fake("fake:transport", "@two.example smtp:[10.0.0.3]", "@four.example lmtp")}
	})
	for _, c := range []struct{ sender, rcpt, want string }{
		{"x@one.example", "a@virt.example", "smtp:[10.0.0.1]"},
		{"", "a@virt.example", "smtp:[10.0.0.2]"},
		{"x@three.example", "a@virt.example", "smtp:[192.0.2.9]"},
		{"x@other.example", "a@virt.example", "smtp:[192.0.2.9]"},
		{"x@two.example", "a@virt.example", "smtp:[10.0.0.3]"},
		{"x@four.example", "a@virt.example", "lmtp:[192.0.2.9]"},
		{"x@one.example", "c@relay.example", "relay:[10.0.0.1]"},
		{"x@two.example", "c@relay.example", "relay:[192.0.2.9]"},
	} {
		rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: splitInternal(c.rcpt), Sender: splitInternal(c.sender)})
		if err != nil || string(rcpts[0].Dest) != c.want {
			t.Errorf("from %q to %s: %v, %v; want %s", c.sender, c.rcpt, rcpts, err, c.want)
			continue
		}
		again := r.Reroute(splitInternal(c.sender), rcpts[0])
		if len(again) != 1 || string(again[0].Dest) != c.want {
			t.Errorf("rerouted from %q to %s: %v", c.sender, c.rcpt, again)
		}
	}
}

// Who has moved is refused, and whoever writes to an alias that leads there is told the
// same.
func TestRelocated(t *testing.T) {
	for name, c := range map[string]struct {
		addr     string
		noPrefix bool
		want     string
	}{
		"moved":               {"gone@dest.example", false, "550 5.1.6 Recipient address rejected: User has moved to new@x.example"},
		"alias to it":         {"alias@virt.example", false, "550 5.1.6 Recipient address rejected: User has moved to new@x.example"},
		"own words":           {"gone@dest.example", true, "550 5.2.0 Recipient address rejected: Mailbox is unavailable"},
		"own words, complete": {"left@dest.example", true, "550 5.1.2 Recipient address rejected: left us"},
		"one good target":     {"both@virt.example", false, ""},
		"somebody else":       {"here@dest.example", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, []string{"alias@virt.example gone@dest.example", "both@virt.example gone@dest.example, here@dest.example"}, func(o *Options) {
				o.NoRelocatedPrefix = c.noPrefix
				o.RelocatedMaps = table.Maps{fake("fake:relocated", "gone@dest.example new@x.example", "left@dest.example 5.1.8 left us")}
			})
			_, err := r.Expand(context.Background(), mail.RcptRequest{Addr: splitInternal(c.addr)})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOverrideTableFails(t *testing.T) {
	broken := fake("fake:broken")
	broken.broken["*"] = true
	for name, set := range map[string]func(*Options){
		"transport_maps":                          func(o *Options) { o.TransportMaps = table.Maps{broken} },
		"relocated_maps":                          func(o *Options) { o.RelocatedMaps = table.Maps{broken} },
		"sender_dependent_relayhost_maps":         func(o *Options) { o.SenderRelayHostMaps = table.Maps{broken} },
		"sender_dependent_default_transport_maps": func(o *Options) { o.SenderTransportMaps = table.Maps{broken} },
	} {
		r := newTestResolver(t, []string{"a@virt.example b@dest.example"}, set)
		_, err := r.Expand(context.Background(), mail.RcptRequest{Addr: splitInternal("a@virt.example")})
		if st := mail.StatusOf(err); st == nil || !st.Temporary() {
			t.Errorf("%s: %v", name, err)
		}
		if got := r.Dest(splitInternal("b@dest.example")); got.Transport() != "retry" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
