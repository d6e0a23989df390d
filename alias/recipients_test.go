package alias

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

func TestWhatARecipientKeeps(t *testing.T) {
	const success, failure, never, delay, expanded = mail.NotifySuccess, mail.NotifyFailure, mail.NotifyNever, mail.NotifyDelay, mail.NotifyExpanded
	lines := []string{"a@virt.example one@dest.example, two@dest.example", "self@relay.example self@relay.example", "b@virt.example one@dest.example"}
	for name, c := range map[string]struct {
		addr   string
		orcpt  string
		notify mail.Notify
		want   []string // final orcpt notify
		wantN  mail.Notify
	}{
		"nothing asked":        {"a@virt.example", "", 0, []string{"one@dest.example rfc822;a@virt.example", "two@dest.example rfc822;a@virt.example"}, 0},
		"ORCPT is passed on":   {"b@virt.example", "rfc822;x@y.example", 0, []string{"one@dest.example rfc822;x@y.example"}, 0},
		"as it was spelled":    {"B@Virt.Example", "", 0, []string{"one@dest.example rfc822;B@Virt.Example"}, 0},
		"quoted":               {"odd user@relay.example", "", 0, []string{`"odd user"@relay.example rfc822;"odd user"@relay.example`}, 0},
		"failure":              {"b@virt.example", "", failure, []string{"one@dest.example rfc822;b@virt.example"}, failure},
		"never":                {"b@virt.example", "", never, []string{"one@dest.example rfc822;b@virt.example"}, never},
		"success alone":        {"b@virt.example", "", success, []string{"one@dest.example rfc822;b@virt.example"}, never | expanded},
		"success and more":     {"b@virt.example", "", success | delay, []string{"one@dest.example rfc822;b@virt.example"}, delay | expanded},
		"success, no alias":    {"x@relay.example", "", success, []string{"x@relay.example rfc822;x@relay.example"}, success},
		"success, to itself":   {"self@relay.example", "", success, []string{"self@relay.example rfc822;self@relay.example"}, success},
		"bare, as it was":      {"postmaster", "", 0, []string{"postmaster@mx.example.com rfc822;postmaster"}, 0},
		"nobody: we ourselves": {"", "", 0, []string{"MAILER-DAEMON@mx.example.com rfc822;MAILER-DAEMON@mx.example.com"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, lines, func(o *Options) { o.RelayDomains = domains(t, "relay.example") })
			addr := splitInternal(c.addr)
			rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: addr, ORcpt: c.orcpt, Notify: c.notify})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, rc := range rcpts {
				got = append(got, rc.Final.String()+" "+rc.ORcpt)
				if c.addr != "" && rc.Orig != addr {
					t.Errorf("original recipient is %v, want %v", rc.Orig, addr)
				}
				if rc.Notify != c.wantN {
					t.Errorf("%s: NOTIFY is %b, want %b", rc.Final, rc.Notify, c.wantN)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// RFC 5321 section 4.5.1, as Postfix understands it: the bare name is always valid, the
// name at a domain is an address like any other.
func TestPostmaster(t *testing.T) {
	closed := func(o *Options) { o.MyDestination = domains(t, "mx.example.com") }
	for name, c := range map[string]struct {
		addr   string
		lines  []string
		change func(*Options)
		want   string
	}{
		"bare, no entry":           {"postmaster", nil, nil, "postmaster@mx.example.com"},
		"bare, any case":           {"PostMaster", nil, nil, "PostMaster@mx.example.com"},
		"bare, aliased":            {"postmaster", []string{"postmaster pm@dest.example"}, nil, "pm@dest.example"},
		"bare, not deliverable":    {"postmaster", nil, closed, "postmaster@mx.example.com"},
		"bare, alias to nobody":    {"postmaster", []string{"postmaster x@virt.example"}, nil, "x@virt.example"},
		"at a domain, no entry":    {"postmaster@virt.example", nil, nil, unknown},
		"at a domain, aliased":     {"postmaster@virt.example", []string{"postmaster@virt.example postmaster", "postmaster pm@dest.example"}, nil, "pm@dest.example"},
		"another name, not served": {"abuse", nil, closed, localGone},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, c.lines, c.change)
			if got := answer(r, splitInternal(c.addr)); got != c.want {
				t.Errorf("%s: got %s, want %s", c.addr, got, c.want)
			}
		})
	}
}

func TestAcceptUnlisted(t *testing.T) {
	r := newTestResolver(t, []string{"self@virt.example self@virt.example", "loop@virt.example b@virt.example", "b@virt.example loop@virt.example"}, nil)
	for addr, want := range map[string]string{
		"nobody@virt.example": "nobody@virt.example error:5.1.1 User unknown in virtual alias table",
		"self@virt.example":   "self@virt.example error:5.1.1 User unknown in virtual alias table",
		"joe@[127.0.0.1]":     "joe@[127.0.0.1] error:local mail delivery is disabled",
		"joe@a..b":            "joe@a..b error:5.1.3 bad address syntax",
		"loop@virt.example":   looping,
	} {
		rcpts, err := r.AcceptUnlisted().Expand(context.Background(), mail.RcptRequest{Addr: splitInternal(addr)})
		got := ""
		if err != nil {
			got = err.Error()
		} else if len(rcpts) == 1 {
			got = rcpts[0].Final.String() + " " + string(rcpts[0].Dest)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
	if got := answer(r, splitInternal("nobody@virt.example")); got != unknown {
		t.Errorf("the Resolver it was made of became lax: %s", got)
	}
}

func TestReroute(t *testing.T) {
	virtual := fake("fake:virtual", "a@virt.example one@dest.example")
	r := newTestResolver(t, nil, func(o *Options) {
		o.VirtualAliasMaps = table.Maps{virtual}
		o.RelayHost = "[relay.example]"
	})
	queued := mail.Recipient{
		Final: mail.Address{Local: "one", Domain: "dest.example"}, Orig: mail.Address{Local: "a", Domain: "virt.example"},
		ORcpt: "rfc822;a@virt.example", Notify: mail.NotifyFailure, Dest: "smtp:old.example",
	}
	want := queued
	want.Dest = "smtp:[relay.example]"
	if got := r.Reroute(mail.Address{}, queued); len(got) != 1 || got[0] != want {
		t.Errorf("a new relay host: %+v", got)
	}
	virtual.entries["one@dest.example"] = "two@dest.example, three@dest.example, two@dest.example"
	got := r.Reroute(mail.Address{}, queued)
	if finals(got) != "two@dest.example, three@dest.example" || got[0].Orig != queued.Orig || got[0].ORcpt != queued.ORcpt || got[0].Notify != queued.Notify {
		t.Errorf("a new alias: %+v", got)
	}
	virtual.broken["*"] = true
	if got := r.Reroute(mail.Address{}, queued); len(got) != 1 || got[0] != queued {
		t.Errorf("tables away: %+v, want the recipient as it was", got)
	}
}

func TestDuplicateFilterLimit(t *testing.T) {
	r := newTestResolver(t, []string{"a@virt.example u1@d.example u2@d.example u3@d.example u1@d.example u3@d.example"},
		func(o *Options) { o.DuplicateFilterLimit = 2 })
	const want = "u1@d.example, u2@d.example, u3@d.example, u3@d.example"
	if got := answer(r, splitInternal("a@virt.example")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no host name":      {},
		"negative limit":    {MyHostname: "mx.example", RecursionLimit: -1},
		"code out of range": {MyHostname: "mx.example", UnknownRelayCode: 250},
		"empty nobody":      {MyHostname: "mx.example", EmptyAddressRecipient: "@"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestWarnings(t *testing.T) {
	broken := fake("fake:broken", "ok@virt.example ,,")
	broken.broken["bad@virt.example"] = true
	var log strings.Builder
	r := newTestResolver(t, []string{"a@virt.example b@virt.example", "b@virt.example a@virt.example"}, func(o *Options) {
		o.VirtualAliasMaps = append(o.VirtualAliasMaps, broken)
		o.VirtualAliasDomains = domains(t, "virt.example", "fail:oops")
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	for addr, want := range map[string]string{
		"a@virt.example":   "unreasonable virtual_alias_maps map nesting for a@virt.example -- message not accepted, try again later",
		"bad@virt.example": `fake:broken lookup error for \"bad@virt.example\": no answer`,
		"ok@virt.example":  `virtual_alias_maps lookup of ok@virt.example returns non-address result \",,\"`,
		"x@other.example":  `virtual_alias_domains lookup failure`,
		"y@other.example":  `"virtual_alias_domains: fail:oops: table lookup problem"`,
	} {
		log.Reset()
		answer(r, splitInternal(addr))
		if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("%s: logged %q, want %q", addr, log.String(), want)
		}
	}
}

// Postfix's words, with nothing behind them that a fail: table could not mean.
func TestWarningOfFailTable(t *testing.T) {
	failing, err := table.Open("fail:oops", table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	r := newTestResolver(t, nil, func(o *Options) {
		o.VirtualAliasMaps = table.Maps{failing}
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	answer(r, splitInternal("a@virt.example"))
	if want := `msg="fail:oops lookup error for \"a@virt.example\"" `; !strings.Contains(log.String(), want) {
		t.Errorf("logged %q, want %q", log.String(), want)
	}
}

func TestDomainOfTwoClasses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		class  mail.Class
		want   string
	}{
		"local and virtual alias": {func(o *Options) { o.MyDestination = domains(t, "virt.example") }, mail.ClassLocal,
			"do not list domain virt.example in BOTH mydestination and virtual_alias_domains"},
		"virtual alias and relay": {func(o *Options) { o.RelayDomains = domains(t, "virt.example") }, mail.ClassVirtualAlias,
			"do not list domain virt.example in BOTH virtual_alias_domains and relay_domains"},
		"one class":                {nil, mail.ClassVirtualAlias, ""},
		"a second list that fails": {func(o *Options) { o.RelayDomains = domains(t, "fail:oops") }, mail.ClassVirtualAlias, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			r := newTestResolver(t, nil, func(o *Options) {
				if c.change != nil {
					c.change(o)
				}
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			class, err := r.Class(context.Background(), splitInternal("a@virt.example"))
			if err != nil || class != c.class {
				t.Errorf("class %v, %v, want %v", class, err, c.class)
			}
			if got := log.String(); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	inline, err := table.Open("inline:{{a@virt.example=b@virt.example, one@dest.example}, b@virt.example=two@dest.example}", table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := newTestResolver(t, nil, func(o *Options) { o.VirtualAliasMaps = table.Maps{inline} })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if got := answer(r, mail.Address{Local: "a", Domain: "virt.example"}); got != "two@dest.example, one@dest.example" {
					t.Error(got)
				}
			}
		})
	}
	wg.Wait()
}
