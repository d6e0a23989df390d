package smtpd

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// enough is a Reputation that has one answer, and remembers whom it was asked about.
type enough struct {
	verdict mail.AliasVerdict
	err     error
	asked   []string
}

func (e *enough) Recipient(_ context.Context, a mail.Address) (mail.AliasVerdict, error) {
	e.asked = append(e.asked, a.Internal())
	return e.verdict, e.err
}

func TestHadEnough(t *testing.T) {
	no := &mail.Status{Code: 450, Enhanced: mail.Code(4, 7, 1), Text: "Recipient address rejected: too much mail for this address, try again later"}
	for _, tt := range []struct {
		name   string
		client string
		rcpt   string
		set    func(*Options)
		e      enough
		want   string
		log    string
		asked  int
		hold   bool
	}{
		{name: "may", client: "192.0.2.7", rcpt: "a@virt.example", want: "250 2.1.5 Ok", asked: 1},
		{name: "has had too much", client: "192.0.2.7", rcpt: "a@virt.example", e: enough{verdict: mail.AliasVerdict{Refused: no, Warn: "too much for a"}}, asked: 1,
			want: "450 4.7.1 <a@virt.example>: Recipient address rejected: too much mail for this address, try again later", log: "warning: too much for a from unknown[192.0.2.7] for service smtp"},
		{name: "table away", client: "192.0.2.7", rcpt: "a@virt.example", e: enough{err: errors.New("no answer")}, asked: 1,
			want: "451 4.3.0 <a@virt.example>: Temporary lookup failure", log: "warning: no answer"},
		{name: "on hold", client: "192.0.2.7", rcpt: "a@virt.example", e: enough{verdict: mail.AliasVerdict{Hold: "too many complaints"}}, asked: 1, hold: true,
			want: "250 2.1.5 Ok", log: "<a@virt.example>: Recipient address triggers HOLD action: too many complaints"},
		{name: "trusted by address", client: "127.0.0.1", rcpt: "a@virt.example", e: enough{verdict: mail.AliasVerdict{Refused: no}}, want: "250 2.1.5 Ok"},
		{name: "exempt", client: "192.0.2.7", rcpt: "a@virt.example", e: enough{verdict: mail.AliasVerdict{Refused: no}}, want: "250 2.1.5 Ok",
			set: func(o *Options) { o.ClientLimitExceptions = networks{netip.MustParseAddr("192.0.2.7")} }},
		{name: "nobody by that name", client: "192.0.2.7", rcpt: "nobody@virt.example", e: enough{verdict: mail.AliasVerdict{Refused: no}}, want: "550 5.1.1 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := usual(t)
				w.o.Reputation = &tt.e
				if tt.set != nil {
					tt.set(&w.o)
				}
				w.start()
				c := w.dialAs(Peer{Addr: netip.MustParseAddr(tt.client), Name: "unknown"}).greeting()
				c.expect("EHLO c.example", "250", "MAIL FROM:<s@x.example>", "250 ")
				if got := c.do("RCPT TO:<" + tt.rcpt + ">"); !strings.HasPrefix(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
				if tt.hold {
					c.expect("DATA", "354 ", "Subject: x\r\n\r\nx\r\n.", "250 ")
				}
				c.hangUp()
				w.conns.Wait()
				if len(tt.e.asked) != tt.asked {
					t.Errorf("asked about %q", tt.e.asked)
				}
				if !slices.ContainsFunc(w.log.all(), func(l string) bool { return strings.Contains(l, tt.log) }) {
					t.Errorf("no %q in the log:\n%s", tt.log, strings.Join(w.log.all(), "\n"))
				}
				if tt.hold && (len(w.store.messages) != 1 || w.store.messages[0].env.Flags&mail.FlagHold == 0) {
					t.Error("it does not go on hold")
				}
			})
		})
	}
}

// waits is a GreylistTable with one answer.
type waits struct {
	wait  time.Duration
	known bool
	asked []string
}

func (g *waits) Known(netip.Addr, mail.Address, mail.Address) bool { return g.known }

func (g *waits) Check(client netip.Addr, sender, rcpt mail.Address) time.Duration {
	g.asked = append(g.asked, client.String()+" "+sender.Internal()+" "+rcpt.Internal())
	return g.wait
}

func TestCheckGreylist(t *testing.T) {
	const grey = "450 4.2.0 <a@virt.example>: Recipient address rejected: Greylisted, try again in 300 seconds"
	spf := func(_ context.Context, client mail.Client, sender mail.Address) bool {
		return client.Addr.String() == "192.0.2.7" && client.Helo == "c.example" && sender.Domain == "passes.example"
	}
	for _, tt := range []struct {
		name, list, sender, rcpt, want string
		g                              waits
		set                            func(*Options)
		asked                          string // "": not
	}{
		{name: "new", list: "check_greylist", g: waits{wait: 5 * time.Minute}, want: grey, asked: "192.0.2.7 s@x.example a@virt.example"},
		{name: "rounded up", list: "check_greylist", g: waits{wait: 299*time.Second + 1}, want: grey, asked: "192.0.2.7 s@x.example a@virt.example"},
		{name: "null sender", list: "check_greylist", sender: "<>", g: waits{wait: 5 * time.Minute}, want: grey, asked: "192.0.2.7  a@virt.example"},
		{name: "has waited", list: "check_greylist", g: waits{}, want: "250 2.1.5 Ok", asked: "192.0.2.7 s@x.example a@virt.example"},
		{name: "permitted before", list: "permit, check_greylist", g: waits{wait: time.Minute}, want: "250 2.1.5 Ok"},
		{name: "refused after", list: "check_greylist, reject", g: waits{wait: time.Minute}, want: "554 5.7.1 <a@virt.example>: Recipient address rejected: Access denied", asked: "192.0.2.7 s@x.example a@virt.example"},
		{name: "no relay", list: "check_greylist", rcpt: "a@elsewhere.example", g: waits{wait: time.Minute}, want: "554 5.7.1 <a@elsewhere.example>: Relay access denied"},
		{name: "only warned of", list: "warn_if_reject, check_greylist", g: waits{wait: time.Minute}, want: "250 2.1.5 Ok", asked: "192.0.2.7 s@x.example a@virt.example"},
		{name: "whitelisted", list: "check_greylist", g: waits{wait: time.Minute}, want: "250 2.1.5 Ok",
			set: func(o *Options) { o.Greylist.Whitelist = networks{netip.MustParseAddr("192.0.2.7")} }},
		{name: "SPF passes", list: "check_greylist", sender: "<s@passes.example>", g: waits{wait: time.Minute}, want: "250 2.1.5 Ok",
			set: func(o *Options) { o.Greylist.SPFPasses = spf }},
		{name: "SPF does not", list: "check_greylist", g: waits{wait: 5 * time.Minute}, want: grey, asked: "192.0.2.7 s@x.example a@virt.example",
			set: func(o *Options) { o.Greylist.SPFPasses = spf }},
		{name: "known: SPF is not asked", list: "check_greylist", g: waits{known: true}, want: "250 2.1.5 Ok", asked: "192.0.2.7 s@x.example a@virt.example",
			set: func(o *Options) {
				o.Greylist.SPFPasses = func(context.Context, mail.Client, mail.Address) bool { t.Error("asked"); return true }
			}},
		{name: "at another stage", list: "permit", g: waits{wait: time.Minute}, want: "250 2.1.5 Ok",
			set: func(o *Options) { o.DelayReject, o.Client = false, greyList(t, "check_greylist") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := usual(t)
				w.o.Greylist = &Greylist{List: &tt.g}
				w.o.Recipient = greyList(t, strings.Fields(strings.ReplaceAll(tt.list, ",", " "))...)
				if tt.set != nil {
					tt.set(&w.o)
				}
				w.start()
				c := w.dialAs(Peer{Addr: netip.MustParseAddr("192.0.2.7"), Name: "unknown"}).greeting()
				c.expect("EHLO c.example", "250", "MAIL FROM:"+orElse(tt.sender, "<s@x.example>"), "250 ")
				if got := c.do("RCPT TO:<" + orElse(tt.rcpt, "a@virt.example") + ">"); !strings.HasPrefix(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
				c.hangUp()
				w.conns.Wait()
				if got := strings.Join(tt.g.asked, "; "); got != tt.asked {
					t.Errorf("asked %q, want %q", got, tt.asked)
				}
			})
		})
	}
}

func greyList(t *testing.T, names ...string) []Restriction {
	list, err := (&Language{Greylist: true}).Parse(names)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Without a table the restriction is none: a list that relied on it would let everybody in.
func TestGreylistNotThere(t *testing.T) {
	if _, err := ParseRestrictions([]string{"check_greylist"}); err == nil {
		t.Error("check_greylist is taken where nobody can be asked")
	}
}
