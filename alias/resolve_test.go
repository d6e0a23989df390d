package alias

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestResolve(t *testing.T) {
	lists := func(o *Options) {
		o.MyDestination = domains(t, "local.example")
		o.VirtualMailboxDomains = domains(t, "box.example")
		o.RelayDomains = domains(t, "relay.example", "[192.0.2.7]")
		o.OwnAddresses = append(o.OwnAddresses, netip.MustParseAddr("2001:db8::1"))
	}
	with := func(change func(*Options)) func(*Options) {
		return func(o *Options) { lists(o); change(o) }
	}
	relayed := with(func(o *Options) { o.RelayHost = "[relay.example.net]:587" })
	for name, c := range map[string]struct {
		addr   string
		change func(*Options)
		final  string // "" when it is addr
		class  mail.Class
		dest   mail.Dest
	}{
		"default":               {"joe@Dest.Example", lists, "", mail.ClassDefault, "smtp:dest.example"},
		"default, relay host":   {"joe@dest.example", relayed, "", mail.ClassDefault, "smtp:[relay.example.net]:587"},
		"default transport":     {"joe@dest.example", with(func(o *Options) { o.DefaultTransport = "lmtp:unix:/run/l" }), "", mail.ClassDefault, "lmtp:unix:/run/l"},
		"nothing goes out":      {"joe@dest.example", with(func(o *Options) { o.DefaultTransport = "error:outside mail is not deliverable" }), "", mail.ClassDefault, "error:outside mail is not deliverable"},
		"virtual alias":         {"joe@VIRT.example", lists, "", mail.ClassVirtualAlias, "error:5.1.1 User unknown in virtual alias table"},
		"table name hidden":     {"joe@virt.example", with(func(o *Options) { o.HideTableName = true }), "", mail.ClassVirtualAlias, "error:5.1.1 User unknown"},
		"relay":                 {"joe@relay.example", lists, "", mail.ClassRelay, "relay:relay.example"},
		"relay, relay host":     {"joe@relay.example", relayed, "", mail.ClassRelay, "relay:[relay.example.net]:587"},
		"relay transport":       {"joe@relay.example", with(func(o *Options) { o.RelayTransport = "smtp:[10.0.0.1]" }), "", mail.ClassRelay, "smtp:[10.0.0.1]"},
		"local is an error":     {"joe@local.example", lists, "", mail.ClassLocal, "error:local mail delivery is disabled"},
		"local is not here":     {"joe@local.example", with(func(o *Options) { o.LocalTransport = "local:$myhostname" }), "", mail.ClassLocal, "error:5.1.1 User unknown in local recipient table"},
		"local elsewhere":       {"joe@local.example", with(func(o *Options) { o.LocalTransport = "lmtp:inet:10.0.0.1:24" }), "", mail.ClassLocal, "lmtp:inet:10.0.0.1:24"},
		"local by SMTP":         {"joe@Local.example", with(func(o *Options) { o.LocalTransport = "smtp" }), "", mail.ClassLocal, "smtp:local.example"},
		"mailbox is not here":   {"joe@box.example", lists, "", mail.ClassVirtualMailbox, "error:5.1.1 User unknown in virtual mailbox table"},
		"mailbox elsewhere":     {"joe@box.example", with(func(o *Options) { o.VirtualTransport = "lmtp:unix:/run/l" }), "", mail.ClassVirtualMailbox, "lmtp:unix:/run/l"},
		"own literal":           {"joe@[127.0.0.1]", lists, "", mail.ClassLocal, "error:local mail delivery is disabled"},
		"own literal, IPv6":     {"joe@[IPv6:2001:DB8:0::1]", lists, "", mail.ClassLocal, "error:local mail delivery is disabled"},
		"own literal, mapped":   {"joe@[IPv6:::ffff:127.0.0.1]", lists, "", mail.ClassLocal, "error:local mail delivery is disabled"},
		"other literal":         {"joe@[127.0.0.9]", lists, "", mail.ClassDefault, "smtp:[127.0.0.9]"},
		"listed literal":        {"joe@[192.0.2.7]", lists, "", mail.ClassRelay, "relay:[192.0.2.7]"},
		"mydestination first":   {"joe@virt.example", with(func(o *Options) { o.MyDestination = domains(t, "virt.example") }), "", mail.ClassLocal, "error:local mail delivery is disabled"},
		"through us, percent":   {"joe%dest.example@local.example", lists, "joe@dest.example", mail.ClassDefault, "smtp:dest.example"},
		"through us, bang":      {"dest.example!joe@local.example", lists, "joe@dest.example", mail.ClassDefault, "smtp:dest.example"},
		"through us, at":        {"joe@dest.example@local.example", lists, "joe@dest.example", mail.ClassDefault, "smtp:dest.example"},
		"through us, quoted":    {"odd user%dest.example@local.example", lists, "odd user@dest.example", mail.ClassDefault, "smtp:dest.example"},
		"through us, quoted !":  {"dest.example!odd user@local.example", lists, "odd user@dest.example", mail.ClassDefault, "smtp:dest.example"},
		"through us, twice":     {"joe%dest.example%local.example@[127.0.0.1]", lists, "joe@dest.example", mail.ClassDefault, "smtp:dest.example"},
		"through us, to us":     {"joe%local.example@[127.0.0.1]", lists, "joe@local.example", mail.ClassLocal, "error:local mail delivery is disabled"},
		"through us, off":       {"joe%dest.example@local.example", with(func(o *Options) { o.AllowPercentHack = false }), "", mail.ClassLocal, "error:local mail delivery is disabled"},
		"through others":        {"joe%dest.example@virt.example", lists, "", mail.ClassVirtualAlias, "error:5.1.1 User unknown in virtual alias table"},
		"nobody, local":         {"@local.example", lists, "MAILER-DAEMON@local.example", mail.ClassLocal, "error:local mail delivery is disabled"},
		"nobody at all":         {"", lists, "MAILER-DAEMON@mx.example.com", mail.ClassDefault, "smtp:mx.example.com"},
		"nobody, elsewhere":     {"", with(func(o *Options) { o.EmptyAddressRecipient = "pm@box.example" }), "pm@box.example", mail.ClassVirtualMailbox, "error:5.1.1 User unknown in virtual mailbox table"},
		"trailing dot is local": {"joe@local.example", lists, "", mail.ClassLocal, "error:local mail delivery is disabled"},
		"no domain":             {"joe@", lists, "", mail.ClassDefault, "error:5.1.3 bad address syntax"},
		"odd quoted at end":     {"x@@local.example", lists, "x@", mail.ClassDefault, "error:5.1.3 bad address syntax"},
		"command line option":   {"-x@dest.example", lists, "", mail.ClassDefault, "error:5.1.3 bad address syntax"},
		"command line option 2": {"-x@dest.example", with(func(o *Options) { o.AllowMinUser = true }), "", mail.ClassDefault, "smtp:dest.example"},
		"bad domain":            {"joe@dest..example", lists, "", mail.ClassDefault, "error:5.1.3 bad address syntax"},
		"bare network address":  {"joe@127.0.0.1", lists, "", mail.ClassDefault, "error:5.1.3 bad address syntax"},
		"utf-8 domain":          {"joe@münchen.example", lists, "", mail.ClassDefault, "smtp:münchen.example"},
		"labels equated":        {"joe@xn--mnchen-3ya.example", with(func(o *Options) { o.EquateLabels = true; o.RelayDomains = domains(t, "münchen.example") }), "", mail.ClassRelay, "relay:xn--mnchen-3ya.example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, nil, c.change)
			rt, err := r.resolve(context.Background(), mail.Address{}, splitInternal(c.addr))
			if err != nil {
				t.Fatal(err)
			}
			if c.final == "" {
				c.final = c.addr
			}
			if got := rt.final.Internal(); got != c.final || rt.class != c.class || rt.dest != c.dest {
				t.Errorf("%s\n got %s, %v, %s\nwant %s, %v, %s", c.addr, got, rt.class, rt.dest, c.final, c.class, c.dest)
			}
			if got := r.Dest(splitInternal(c.addr)); c.addr != "" && got != c.dest {
				t.Errorf("Dest(%s) = %s, want %s", c.addr, got, c.dest)
			}
		})
	}
}

func TestClassOfRoutedAddress(t *testing.T) {
	ctx := context.Background()
	for addr, want := range map[string]mail.Class{
		"joe@virt.example":                          mail.ClassVirtualAlias,
		"joe%other.example@virt.example":            mail.ClassDefault,
		"other.example!joe@virt.example":            mail.ClassDefault,
		"joe@other.example@virt.example":            mail.ClassDefault,
		"joe%virt.example@[127.0.0.1]":              mail.ClassVirtualAlias,
		"joe%other.example@[127.0.0.1]":             mail.ClassDefault,
		"joe%x%other.example@[127.0.0.1]":           mail.ClassDefault,
		"joe%virt.example%x@[127.0.0.1]":            mail.ClassDefault,
		`x"@other.example@[127.0.0.1]`:              mail.ClassDefault,
		"joe@127.0.0.1":                             mail.ClassDefault,
		"-x@virt.example":                           mail.ClassVirtualAlias, // Expand refuses it with a better text
		"joe@[127.0.0.1]":                           mail.ClassLocal,
		"joe%[127.0.0.1]@[127.0.0.1]":               mail.ClassLocal,
		"joe%other.example%[127.0.0.1]@[127.0.0.1]": mail.ClassDefault,
	} {
		r := newTestResolver(t, nil, nil)
		if got, err := r.Class(ctx, splitInternal(addr)); got != want || err != nil {
			t.Errorf("Class(%s) = %v, %v; want %v", addr, got, err, want)
		}
	}
	r := newTestResolver(t, nil, func(o *Options) { o.AllowUntrustedRouting = true })
	if got, _ := r.Class(ctx, mail.Address{Local: "joe%other.example", Domain: "virt.example"}); got != mail.ClassVirtualAlias {
		t.Errorf("with allow_untrusted_routing: %v", got)
	}
}

// Not an open relay: whatever stands in front of a domain of ours, an address that
// leads elsewhere is not ours.
func FuzzClassIsNoRelay(f *testing.F) {
	f.Add("joe%other.example", "[127.0.0.1]")
	f.Add("other.example!joe", "local.example")
	f.Add(`"joe@other.example"`, "virt.example")
	f.Add("@other.example:joe", "local.example")
	f.Add("joe@other.example@", "local.example")
	f.Fuzz(func(t *testing.T, local, domain string) {
		r := newTestResolver(t, nil, func(o *Options) { o.MyDestination = domains(t, "local.example") })
		ctx := context.Background()
		a := r.Complete(mail.Address{Local: local, Domain: domain})
		class, err := r.Class(ctx, a)
		if err != nil {
			t.Fatalf("%q: %v", a, err)
		}
		rt, err := r.resolve(ctx, mail.Address{}, a)
		if err != nil {
			t.Fatalf("%q: %v", a, err)
		}
		ours := strings.EqualFold(rt.final.Domain, "local.example") || strings.EqualFold(rt.final.Domain, "virt.example") ||
			strings.HasPrefix(rt.final.Domain, "[") && strings.HasSuffix(rt.final.Domain, "]")
		if class != mail.ClassDefault && (!ours || strings.ContainsAny(rt.final.Local, "@!%")) {
			t.Fatalf("%q is of class %v and goes to %q", a, class, rt.final)
		}
	})
}

// A list that cannot be asked is not an empty list.
func TestListFailure(t *testing.T) {
	ctx, joe := context.Background(), mail.Address{Local: "joe", Domain: "virt.example"}
	failing := domains(t, "fail:oops")
	for name, change := range map[string]func(*Options){
		"mydestination":           func(o *Options) { o.MyDestination = failing },
		"virtual_alias_domains":   func(o *Options) { o.VirtualAliasDomains = failing },
		"virtual_mailbox_domains": func(o *Options) { o.VirtualAliasDomains, o.VirtualMailboxDomains = nil, failing },
		"relay_domains":           func(o *Options) { o.VirtualAliasDomains, o.RelayDomains = nil, failing },
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, []string{"joe@virt.example one@virt.example"}, change)
			const want = "451 4.3.0 Temporary lookup failure"
			if _, err := r.Class(ctx, joe); err == nil || err.Error() != want {
				t.Errorf("Class: %v", err)
			}
			if got := answer(r, joe); got != want {
				t.Errorf("Expand: %s", got)
			}
			if got := r.Dest(joe); got != "retry:4.3.0 address resolver failure" {
				t.Errorf("Dest: %s", got)
			}
			if x := r.Explain(ctx, "joe@virt.example"); x.ExitStatus != 75 {
				t.Errorf("Explain: exit status %d", x.ExitStatus)
			}
		})
	}
}

func TestIsDomain(t *testing.T) {
	for domain, want := range map[string]bool{
		"dest.example": true, "dest": true, "a_b.example": true, "3com.example": true, "xn--mnchen-3ya.example": true,
		"münchen.example": true, "[192.0.2.1]": true, "[IPv6:::1]": true, "[::1]": false, "1.example": true,
		"": false, ".": false, ".example": false, "dest.": false, "a..b": false, "-a.example": false, "a-.example": false,
		"a.example-": false, "127.0.0.1": false, "1": false, "#123": false, "[300.1.1.1]": false, "[]": false, "[192.0.2.1": false,
		"a b": false, "a,b": false, "a:b": false, "[fe80::1%eth0]": false,
		strings.Repeat("a", 63) + ".example": true, strings.Repeat("a", 64) + ".example": false,
		strings.Repeat("a.", 127) + "a": true, strings.Repeat("a.", 128) + "a": false,
	} {
		if got := isDomain(domain); got != want {
			t.Errorf("isDomain(%q) = %v", domain, got)
		}
	}
}

func TestSplitStatus(t *testing.T) {
	def := mail.Code(5, 0, 0)
	for text, want := range map[string]string{
		"5.1.1 User unknown": "5.1.1|User unknown", "4.3.0  later": "4.3.0|later", "no code": "5.0.0|no code",
		"5.1 x": "5.0.0|5.1 x", "3.1.1 x": "5.0.0|3.1.1 x", "5.1.1": "5.1.1|", "": "5.0.0|", "5.1000.1 x": "5.0.0|5.1000.1 x",
	} {
		e, rest := splitStatus(text, def)
		if got := e.String() + "|" + rest; got != want {
			t.Errorf("splitStatus(%q) = %q, want %q", text, got, want)
		}
	}
}
