package alias

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

const (
	unknown   = "550 5.1.1 Recipient address rejected: User unknown in virtual alias table"
	looping   = "451 4.6.0 Recipient address rejected: Alias expansion error"
	noAnswer  = "451 4.3.0 Temporary lookup failure"
	badSyntax = "501 5.1.3 Bad recipient address syntax"
	localGone = "550 5.1.1 Recipient address rejected: local mail delivery is disabled"
)

func TestExpand(t *testing.T) {
	relay := func(o *Options) { o.RelayDomains = domains(t, "relay.example") }
	limits := func(recursion, expansion, length int) func(*Options) {
		return func(o *Options) {
			o.RecursionLimit, o.ExpansionLimit, o.AddressLengthLimit = recursion, expansion, length
		}
	}
	for name, c := range map[string]struct {
		table  []string
		addr   string // of virt.example when it has no domain
		change func(*Options)
		want   string
	}{
		"one":                         {[]string{"a@virt.example one@dest.example"}, "a", nil, "one@dest.example"},
		"several":                     {[]string{"a@virt.example one@dest.example, two@dest.example"}, "a", nil, "one@dest.example, two@dest.example"},
		"nobody":                      {nil, "a", nil, unknown},
		"chain":                       {[]string{"a@virt.example b@virt.example", "b@virt.example c@dest.example"}, "a", nil, "c@dest.example"},
		"others wait":                 {[]string{"a@virt.example b@virt.example, x@dest.example", "b@virt.example c@dest.example, d@dest.example"}, "a", nil, "c@dest.example, x@dest.example, d@dest.example"},
		"domain to domain":            {[]string{"@virt.example @dest.example"}, "Joe", nil, "Joe@dest.example"},
		"domain to domain, quoted":    {[]string{"@virt.example @dest.example"}, "odd user", nil, `"odd user"@dest.example`},
		"domain to two domains":       {[]string{"@virt.example @d1.example, @d2.example"}, "a", nil, `"a@d1.example, "@d2.example`},
		"domain to domain, extension": {[]string{"a@virt.example @dest.example"}, "a+x", func(o *Options) { o.RecipientDelimiter = "+" }, "a+x@dest.example"},
		"domain to an empty domain":   {[]string{"a@virt.example @"}, "a", nil, "a@"},
		"duplicates":                  {[]string{"a@virt.example one@dest.example, ONE@dest.example, two@dest.example"}, "a", nil, "one@dest.example, two@dest.example"},
		"duplicate by two ways":       {[]string{"a@virt.example b@virt.example, one@dest.example", "b@virt.example one@dest.example"}, "a", nil, "one@dest.example"},

		"to itself":                {[]string{"a@virt.example a@virt.example"}, "a", nil, unknown},
		"to itself, other case":    {[]string{"a@virt.example A@VIRT.example"}, "a", nil, unknown},
		"to itself and on":         {[]string{"a@virt.example a@virt.example, b@dest.example"}, "a", nil, "a@virt.example, b@dest.example"},
		"on and to itself":         {[]string{"a@virt.example b@dest.example, a@virt.example"}, "a", nil, "b@dest.example, a@virt.example"},
		"to itself, relayed":       {[]string{"a@relay.example a@relay.example"}, "a@relay.example", relay, "a@relay.example"},
		"to itself by the domain":  {[]string{"@virt.example @virt.example"}, "a", nil, unknown},
		"to nobody of ours":        {[]string{"a@virt.example b@virt.example"}, "a", nil, unknown},
		"to nobody of ours, twice": {[]string{"a@virt.example b@virt.example, c@virt.example"}, "a", nil, unknown},
		"to nobody local":          {[]string{"a@virt.example b@[127.0.0.1]"}, "a", nil, unknown},
		"to one of two":            {[]string{"a@virt.example b@virt.example, c@dest.example"}, "a", nil, "b@virt.example, c@dest.example"},

		"mutual":                     {[]string{"a@virt.example b@virt.example", "b@virt.example a@virt.example"}, "a", nil, looping},
		"mutual, with a way out":     {[]string{"a@virt.example b@virt.example, x@dest.example", "b@virt.example a@virt.example"}, "a", nil, looping},
		"mutual, behind":             {[]string{"a@virt.example x@dest.example, b@virt.example", "b@virt.example c@virt.example", "c@virt.example b@virt.example"}, "a", nil, looping},
		"domains, mutual":            {[]string{"@virt.example @v2.example", "@v2.example @virt.example"}, "a", nil, looping},
		"growing":                    {[]string{"a@virt.example a+x@virt.example"}, "a", func(o *Options) { o.RecipientDelimiter = "+" }, looping},
		"recursion at the limit":     {[]string{"a@virt.example b@virt.example", "b@virt.example c@dest.example"}, "a", limits(3, 10, 100), "c@dest.example"},
		"recursion over":             {[]string{"a@virt.example b@virt.example", "b@virt.example c@dest.example"}, "a", limits(2, 10, 100), looping},
		"expansion at the limit":     {[]string{"a@virt.example b@d.example, c@d.example"}, "a", limits(9, 2, 100), "b@d.example, c@d.example"},
		"expansion over":             {[]string{"a@virt.example b@d.example, c@d.example, d@d.example"}, "a", limits(9, 2, 100), looping},
		"address at the limit":       {[]string{"a@virt.example 12345678@dest.example"}, "a", limits(9, 9, 21), "12345678@dest.example"},
		"address over":               {[]string{"a@virt.example x@d.example, 123456789@dest.example"}, "a", limits(9, 9, 21), looping},
		"holds no address":           {[]string{"a@virt.example ,,"}, "a", nil, noAnswer},
		"holds a broken address":     {[]string{"a@virt.example bob@"}, "a", nil, "bob@"},
		"null":                       {[]string{"a@virt.example <>"}, "a", nil, "MAILER-DAEMON@mx.example.com"},
		"bare target":                {[]string{"a@virt.example bob", "bob bob@dest.example"}, "a", nil, "bob@dest.example"},
		"not one of ours":            {nil, "a@dest.example", nil, "a@dest.example"},
		"local":                      {nil, "a@[127.0.0.1]", nil, localGone},
		"local, aliased":             {[]string{"a a@dest.example"}, "a@[127.0.0.1]", nil, "a@dest.example"},
		"malformed":                  {nil, "a@b..c", nil, badSyntax},
		"a command line option":      {[]string{"@virt.example all@dest.example"}, "-x", nil, badSyntax},
		"option, allowed":            {[]string{"@virt.example all@dest.example"}, "-x", func(o *Options) { o.AllowMinUser = true }, "all@dest.example"},
		"malformed but in the table": {[]string{"a@b..c all@dest.example"}, "a@b..c", nil, badSyntax},
		"hidden table name":          {nil, "a", func(o *Options) { o.HideTableName = true }, "550 5.1.1 Recipient address rejected: User unknown"},
		"code is another":            {nil, "a", func(o *Options) { o.UnknownVirtualAliasCode = 450 }, "450 4.1.1 Recipient address rejected: User unknown in virtual alias table"},
		"code of a dead end":         {[]string{"a@virt.example b@virt.example"}, "a", func(o *Options) { o.UnknownVirtualAliasCode = 450 }, "450 4.1.1 Recipient address rejected: User unknown in virtual alias table"},
		"transport retry":            {nil, "a@relay.example", func(o *Options) { relay(o); o.RelayTransport = "retry:4.7.0 not now" }, "450 4.7.0 Recipient address rejected: not now"},
		"transport error, code":      {nil, "a@relay.example", func(o *Options) { relay(o); o.RelayTransport = "error:5.7.1 closed" }, "550 5.7.1 Recipient address rejected: closed"},
		"alias to what is closed":    {[]string{"a@virt.example x@relay.example"}, "a", func(o *Options) { relay(o); o.RelayTransport = "error:5.7.1 closed" }, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			addr := splitInternal(c.addr)
			if addr.Domain == "" {
				addr.Domain = "virt.example"
			}
			r := newTestResolver(t, c.table, c.change)
			if got := answer(r, addr); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", addr, got, c.want)
			}
		})
	}
}

// Recipient maps of the classes: ADDRESS_CLASS_README.
func TestRecipientMaps(t *testing.T) {
	maps := func(o *Options) {
		o.LocalTransport, o.VirtualTransport = "lmtp:unix:/run/l", "lmtp:unix:/run/v"
		o.MyDestination = domains(t, "local.example")
		o.VirtualMailboxDomains, o.RelayDomains = domains(t, "box.example"), domains(t, "relay.example")
		o.LocalRecipientMaps = append(o.LocalRecipientMaps, fake("fake:l", "joe x"))
		o.VirtualMailboxMaps = append(o.VirtualMailboxMaps, fake("fake:v", "joe@box.example x"))
		o.RelayRecipientMaps = append(o.RelayRecipientMaps, fake("fake:r", "joe@relay.example x"))
	}
	broken := fake("fake:broken")
	broken.broken["*"] = true
	for name, c := range map[string]struct {
		addr   string
		change func(*Options)
		want   string
	}{
		"local, known":          {"joe@local.example", maps, "joe@local.example"},
		"local, unknown":        {"ann@local.example", maps, "550 5.1.1 Recipient address rejected: User unknown in local recipient table"},
		"local, system name":    {"Postmaster@local.example", maps, "Postmaster@local.example"},
		"local, double":         {"double-bounce@local.example", maps, "double-bounce@local.example"},
		"local, no maps":        {"ann@local.example", func(o *Options) { maps(o); o.LocalRecipientMaps = nil }, "ann@local.example"},
		"mailbox, known":        {"JOE@box.example", maps, "JOE@box.example"},
		"mailbox, unknown":      {"ann@box.example", maps, "550 5.1.1 Recipient address rejected: User unknown in virtual mailbox table"},
		"relay, known":          {"joe@relay.example", maps, "joe@relay.example"},
		"relay, unknown":        {"ann@relay.example", maps, "550 5.1.1 Recipient address rejected: User unknown in relay recipient table"},
		"relay, code":           {"ann@relay.example", func(o *Options) { maps(o); o.UnknownRelayCode = 450 }, "450 4.1.1 Recipient address rejected: User unknown in relay recipient table"},
		"relay, failing":        {"ann@relay.example", func(o *Options) { maps(o); o.RelayRecipientMaps[0] = broken }, noAnswer},
		"alias to who may know": {"gone@virt.example", maps, "ann@relay.example"},
		"alias to the known":    {"good@virt.example", maps, "joe@relay.example"},
		"alias to both":         {"both@virt.example", maps, "ann@relay.example, joe@box.example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, []string{"gone@virt.example ann@relay.example", "good@virt.example joe@relay.example",
				"both@virt.example ann@relay.example, joe@box.example"}, c.change)
			if got := answer(r, splitInternal(c.addr)); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.addr, got, c.want)
			}
		})
	}
}

// Whatever the tables say, an expansion ends, within its limits, and always the same.
func TestRandomTables(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		names := []string{"a@virt.example", "b@virt.example", "c@virt.example", "@virt.example", "d@dest.example", "@dest.example", "user", "user@mx.example.com", "a+x@virt.example"}
		results := append([]string{"@virt.example", "@dest.example", "e@other.example", `"x y"@virt.example`, "bob@", "<>", ",", "|x", "a%b@virt.example", "-x@dest.example"}, names...)
		var lines []string
		for _, n := range names {
			if rng.IntN(3) == 0 {
				continue
			}
			var values []string
			for range 1 + rng.IntN(4) {
				values = append(values, results[rng.IntN(len(results))])
			}
			lines = append(lines, n+" "+strings.Join(values, ", "))
		}
		r := newTestResolver(t, lines, func(o *Options) {
			o.RecipientDelimiter = "+"
			o.RecursionLimit, o.ExpansionLimit, o.AddressLengthLimit = 20, 30, 60
		})
		for _, addr := range []string{"a@virt.example", "zz@virt.example", "d@dest.example", "user", "a+q@virt.example"} {
			first := answer(r, splitInternal(addr))
			if second := answer(r, splitInternal(addr)); second != first {
				t.Fatalf("seed %d, %s: %q, then %q\n%s", seed, addr, first, second, strings.Join(lines, "\n"))
			}
			checkTargets(t, r, addr, fmt.Sprintf("seed %d\n%s", seed, strings.Join(lines, "\n")))
		}
	}
}

func checkTargets(t *testing.T, r *Resolver, addr, what string) {
	t.Helper()
	ctx := context.Background()
	strict, strictErr := r.Expand(ctx, mail.RcptRequest{Addr: splitInternal(addr)})
	lax, laxErr := r.AcceptUnlisted().Expand(ctx, mail.RcptRequest{Addr: splitInternal(addr)})
	if laxErr != nil && !mail.StatusOf(laxErr).Temporary() {
		t.Fatalf("%s: accepting the unlisted, but %v\n%s", addr, laxErr, what)
	}
	if strictErr != nil {
		return
	}
	if laxErr != nil || len(lax) != len(strict) {
		t.Fatalf("%s: %v; accepting the unlisted %v, %v\n%s", addr, strict, lax, laxErr, what)
	}
	if len(strict) == 0 || len(strict) > 30 {
		t.Fatalf("%s: %d targets\n%s", addr, len(strict), what)
	}
	var seen []string
	for _, rc := range strict {
		key := strings.ToLower(rc.Final.Internal())
		if slices.Contains(seen, key) && rc.Final.Local != "MAILER-DAEMON" {
			t.Fatalf("%s: %s twice\n%s", addr, rc.Final, what)
		}
		seen = append(seen, key)
		if rc.Dest.Transport() == "" || rc.Dest.NextHop() == "" {
			t.Fatalf("%s: %s has destination %q\n%s", addr, rc.Final, rc.Dest, what)
		}
	}
}

func TestGivenUpClient(t *testing.T) {
	r := newTestResolver(t, []string{"a@virt.example one@dest.example"}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Expand(ctx, mail.RcptRequest{Addr: mail.Address{Local: "a", Domain: "virt.example"}}); mail.StatusOf(err).Error() != noAnswer {
		t.Error(err)
	}
}
