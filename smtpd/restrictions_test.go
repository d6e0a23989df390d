package smtpd

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
)

func TestParseRestrictions(t *testing.T) {
	list, err := ParseRestrictions([]string{"permit_mynetworks", "Reject_Unauth_Destination", "reject_invalid_hostname"})
	if err != nil || len(list) != 3 || list[1].String() != "reject_unauth_destination" || list[2].String() != "reject_invalid_helo_hostname" {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := ParseRestrictions(nil); list != nil || err != nil {
		t.Errorf("no restrictions: %v, %v", list, err)
	}
	if _, err := ParseRestrictions([]string{"permit_mynetwork"}); err == nil || !strings.HasSuffix(err.Error(), "; there are: permit_mynetworks") {
		t.Errorf("a slip of the pen: %v", err)
	}
	for _, name := range []string{"permit_mynetwork", "", "{table}x", "check_relay_domain"} {
		_, err := ParseRestrictions([]string{"permit_mynetworks", name})
		if err == nil || !strings.Contains(err.Error(), `unknown restriction "`+name+`"; `) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What cannot be started with, and why.
func TestLanguageRefuses(t *testing.T) {
	for list, want := range map[string]string{
		"check_sender_access":            "restriction check_sender_access needs TYPE:TABLE behind it",
		"check_sender_access hash":       `restriction check_sender_access: bad argument "hash": need maptype:mapname`,
		"check_sender_access hash:/none": "restriction check_sender_access: open hash:/none: no such file",
		"hash:/none":                     "open hash:/none: no such file",
		"reject_rbl_client":              "restriction reject_rbl_client needs a domain name behind it",
		"reject_rbl_client x":            "restriction reject_rbl_client: bad list x",
		"check_policy_service":           "restriction check_policy_service needs transport:server behind it",
		"check_policy_service x":         `restriction check_policy_service: bad argument "x": need transport:server`,
		"check_policy_service inet:x":    "restriction check_policy_service: bad server inet:x",
		"sleep":                          "restriction sleep needs a number behind it",
		"sleep soon":                     `restriction sleep: bad argument "soon": need a number of seconds`,
		"permit_mx_backup":               `restriction "permit_mx_backup": it would accept mail for any domain`,
		"check_relay_domains":            `restriction "check_relay_domains": Postfix has removed it`,
		"one":                            "restriction class one: restriction class two: restriction class one leads back to itself: one, two, one",
		"three":                          `restriction class three: unknown restriction "nothing"; postconf(5)`,
		"permit, check_recipient_access fail:none": "restriction check_recipient_access: open fail:none",
	} {
		sc := &scene{classes: map[string][]string{"one": {"two"}, "two": {"permit", "one"}, "three": {"nothing"}}}
		_, err := sc.newLanguage().Parse(splitList(list))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", list, err, want)
		}
	}
	for name, list := range map[string]string{"DNS": "reject_unknown_sender_domain", "verify": "reject_unverified_recipient"} {
		if _, err := ParseRestrictions([]string{list}); err == nil || !strings.Contains(err.Error(), "it is not available here") {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := &scene{classes: map[string][]string{"unused": {"check_client_access", "hash:/none"}}}
	if err := broken.newLanguage().CheckClasses(); err == nil || !strings.Contains(err.Error(), "restriction class unused: restriction check_client_access: open hash:/none") {
		t.Errorf("a class that only tables name: %v", err)
	}
	for name := range builtin() {
		if _, ok := synonyms[name]; !ok && builtin()[name].name != name {
			t.Errorf("%s is called %s", name, builtin()[name].name)
		}
	}
}

func TestGuardsRelay(t *testing.T) {
	for list, want := range map[string]bool{
		"":                                    false,
		"permit_mynetworks":                   false,
		"permit_mynetworks, permit":           false,
		"permit, reject_unauth_destination":   false,
		"permit_mynetworks, reject":           true,
		"defer":                               true,
		"reject_unauth_destination":           true,
		"reject_non_fqdn_recipient":           false,
		"defer_unauth_destination, permit":    true,
		"reject_unlisted_recipient, permit":   false,
		"permit_auth_destination, reject":     true,
		"permit_sasl_authenticated, reject":   true,
		"reject_unauth_pipelining, permit":    false,
		"reject_unknown_recipient_domain":     false,
		"permit_inet_interfaces, defer":       true,
		"permit_tls_clientcerts":              false,
		"reject_unauth_destination, permit":   true,
		"permit_mynetworks, permit, reject":   false,
		"reject_non_fqdn_helo_hostname":       false,
		"permit_tls_all_clientcerts, permit":  false,
		"reject_unlisted_sender, reject":      true,
		"reject_unknown_sender_domain, defer": true,
		"warn_if_reject, reject":              false,
		"warn_if_reject, permit, reject":      true,
		"defer_if_permit":                     true,
		"guarded":                             true,
		"open":                                false,
		"open, reject":                        true,
	} {
		var names []string
		if list != "" {
			names = strings.Split(list, ", ")
		}
		sc := &scene{classes: map[string][]string{"guarded": {"permit_mynetworks", "reject"}, "open": {"permit", "reject"}}}
		parsed, err := sc.newLanguage().Parse(names)
		if err != nil {
			t.Fatal(err)
		}
		if got := GuardsRelay(parsed); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}

// broken is a list that cannot answer.
type brokenNetworks struct{}

func (brokenNetworks) Match(context.Context, string, netip.Addr) (bool, error) {
	return false, errors.New("mysql: gone")
}

// What the restrictions say, each alone in smtpd_recipient_restrictions.
func TestRestrictions(t *testing.T) {
	exists := zone{"exists.example MX": "mx.exists.example", "example.net MX": "mx.example.net", "timeout.example": "?"}
	for _, tt := range []struct {
		name     string
		list     string
		set      func(*Options)
		client   string
		helo     string
		from, to string
		want     string
	}{
		{list: "permit", from: "s@example.net", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject", from: "s@example.net", to: "a@virt.example", want: "554 5.7.1 <a@virt.example>: Recipient address rejected: Access denied"},
		{list: "reject", set: func(o *Options) { o.RejectCode = 450 }, from: "s@example.net", to: "a@virt.example",
			want: "450 4.7.1 <a@virt.example>: Recipient address rejected: Access denied"},
		{list: "permit_mynetworks, reject", client: "127.0.0.1", from: "s@example.net", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{name: "a list of clients that cannot answer", list: "permit_mynetworks, permit", set: func(o *Options) { o.MyNetworks = brokenNetworks{} },
			from: "s@example.net", to: "a@virt.example", want: "451 4.3.0 <a@virt.example>: Temporary lookup failure"},
		{list: "permit_inet_interfaces, reject", client: "127.0.0.1", from: "s@example.net", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "permit_sasl_authenticated, permit_tls_clientcerts, permit_tls_all_clientcerts, reject", from: "s@example.net", to: "a@virt.example",
			want: "554 5.7.1 <a@virt.example>: Recipient address rejected: Access denied"},
		{list: "permit_auth_destination, reject", from: "s@example.net", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_unauth_destination", from: "s@example.net", to: "x@other.example", want: "554 5.7.1 <x@other.example>: Relay access denied"},
		{list: "defer_unauth_destination", set: func(o *Options) { o.RelayRejectCode = 550 }, from: "s@example.net", to: "x@other.example",
			want: "450 4.7.1 <x@other.example>: Relay access denied"},
		{list: "reject_unlisted_recipient, reject", from: "s@example.net", to: "none@virt.example",
			want: "550 5.1.1 <none@virt.example>: Recipient address rejected: User unknown in virtual alias table"},
		{list: "reject_unlisted_sender", from: "none@virt.example", to: "a@virt.example",
			want: "550 5.1.7 <none@virt.example>: Sender address rejected: User unknown in virtual alias table"},
		{list: "reject_unlisted_sender", from: "x@other.example", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_unlisted_sender", from: "", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_unknown_sender_domain", set: func(o *Options) { o.Resolver = exists }, from: "s@nowhere.example", to: "a@virt.example",
			want: "450 4.1.8 <s@nowhere.example>: Sender address rejected: Domain not found"},
		{list: "reject_unknown_sender_domain", set: func(o *Options) { o.Resolver, o.UnknownAddressRejectCode = exists, 550 }, from: "s@nowhere.example", to: "a@virt.example",
			want: "550 5.1.8 <s@nowhere.example>: Sender address rejected: Domain not found"},
		{name: "DNS that does not answer", list: "reject_unknown_sender_domain", set: func(o *Options) { o.Resolver, o.UnknownAddressRejectCode = exists, 550 },
			from: "s@timeout.example", to: "a@virt.example", want: "450 4.1.8 <s@timeout.example>: Sender address rejected: Domain not found"},
		{list: "reject_unknown_sender_domain", set: func(o *Options) { o.Resolver = exists }, from: "s@exists.example", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_unknown_sender_domain", set: func(o *Options) { o.Resolver = exists }, from: "", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_unknown_sender_domain", set: func(o *Options) { o.Resolver = exists }, from: "s@[192.0.2.1]", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{name: "our own domains need no DNS", list: "reject_unknown_sender_domain", set: func(o *Options) { o.Resolver = exists }, from: "a@virt.example", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_unknown_recipient_domain", set: func(o *Options) { o.Resolver = exists }, client: "127.0.0.1", from: "s@example.net", to: "x@nowhere.example",
			want: "450 4.1.2 <x@nowhere.example>: Recipient address rejected: Domain not found"},
		{list: "reject_unauth_pipelining", from: "s@example.net", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_invalid_helo_hostname", helo: "127.0.0.1", from: "s@example.net", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_invalid_helo_hostname", helo: "x.", from: "s@example.net", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_non_fqdn_helo_hostname", helo: "mx.example.net.", from: "s@example.net", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{list: "reject_non_fqdn_sender", from: "s@[192.0.2.1]", to: "a@virt.example", want: "250 2.1.5 Ok"},
		{name: "a class that cannot be told", list: "permit", set: func(o *Options) { o.Recipients.(*book).noDomain = true }, from: "s@example.net", to: "a@virt.example",
			want: "451 4.3.0 <a@virt.example>: Temporary lookup failure"},
		{name: "an alias that cannot be told", list: "permit", set: func(o *Options) { o.Recipients.(*book).broken = true }, from: "s@example.net", to: "a@virt.example",
			want: "451 4.3.0 <a@virt.example>: Temporary lookup failure"},
		{name: "postmaster is asked nothing", list: "reject", from: "s@example.net", to: "PostMaster", want: "250 2.1.5 Ok"},
		{name: "soft bounce", list: "reject", set: func(o *Options) { o.SoftBounce = true }, from: "s@example.net", to: "a@virt.example",
			want: "454 4.7.1 <a@virt.example>: Recipient address rejected: Access denied"},
	} {
		name := tt.name
		if name == "" {
			name = tt.list + " " + tt.from + " " + tt.to
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := usual(t)
				w.o.Recipient = restrict(strings.Split(tt.list, ", ")...)
				if tt.set != nil {
					tt.set(&w.o)
				}
				if strings.Contains(tt.list, "_unauth_destination") {
					w.o.Relay = restrict("permit_mynetworks")
				}
				w.start()
				client, helo := tt.client, tt.helo
				if client == "" {
					client = "127.0.0.2"
				}
				if helo == "" {
					helo = "client.example.net"
				}
				c := w.dial(client).greeting()
				c.expect("HELO "+helo, "250 ", "MAIL FROM:<"+tt.from+">", "250 ")
				if got := c.do("RCPT TO:<" + tt.to + ">"); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
				c.hangUp()
				w.conns.Wait()
			})
		})
	}
}

// A client that pipelines what it may not is remembered.
func TestRejectUnauthPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		w.o.Data = restrict("reject_unauth_pipelining")
		w.start()
		c := w.dial("127.0.0.2").greeting()
		c.send("HELO x\r\nMAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\n")
		for range 3 {
			c.reply()
		}
		c.expect("DATA", "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining")
		c.hangUp()
		w.conns.Wait()
	})
}
