package alias

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/table"
)

// A table that has every key accepts every address.
func TestAcceptsEverything(t *testing.T) {
	static, err := table.Open("static:x", table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := newTestResolver(t, nil, func(o *Options) {
		o.VirtualMailboxDomains, o.VirtualMailboxMaps = domains(t, "box.example"), table.Maps{static}
		o.VirtualTransport = "lmtp:unix:/run/lmtp"
	})
	open := false
	if err := r.Accepts(context.Background(), "box.example", func(a Acceptance) { open = a.Open }, func(Accepted) bool { return true }); err != nil || !open {
		t.Errorf("open=%v, %v", open, err)
	}
}

// What each class of domain accepts.
func TestAccepts(t *testing.T) {
	dir := t.TempDir()
	virtual := textTable(t, dir, "virtual", `info@virt.example  joe@dest.example, bob
bob                bob@dest.example
gone@virt.example  nobody@virt.example
virt.example       x
@all.example       @virt.example
z@all.example      joe@dest.example
@virt.example.     never
anyone@one.example a@dest.example
@one.example       b@dest.example
x@mx.example.com   y@dest.example
`)
	relay := textTable(t, dir, "relay", "known@relay.example x\n")
	r := newTestResolver(t, nil, func(o *Options) {
		o.VirtualAliasMaps = table.Maps{virtual, fake("regexp:/etc/re")}
		o.VirtualAliasDomains = domains(t, "virt.example", "all.example", "one.example")
		o.RelayDomains = domains(t, "relay.example", "virt.example")
		o.RelayRecipientMaps = table.Maps{relay}
		o.MyDestination = domains(t, "mx.example.com")
		o.VirtualMailboxDomains = domains(t, "box.example")
		o.VirtualTransport = "lmtp:unix:/run/lmtp"
	})
	for _, c := range []struct {
		domain, begin string
		want          []string
	}{
		{"Virt.example", "virtual alias [virtual_alias_domains relay_domains] open=false [regexp:/etc/re]", []string{
			"gone@virt.example: 550 5.1.1 Recipient address rejected: User unknown in virtual alias table (line 3)",
			"info@virt.example: joe@dest.example, bob@dest.example (line 1)",
		}},
		{"all.example", "virtual alias [virtual_alias_domains] open=false [regexp:/etc/re]", []string{
			"z@all.example: joe@dest.example (line 6)", "@all.example: @virt.example (line 5)",
		}},
		{"one.example", "virtual alias [virtual_alias_domains] open=false [regexp:/etc/re]", []string{
			"anyone@one.example: a@dest.example (line 8)", "@one.example: b@dest.example (line 9)",
		}},
		{"relay.example", "relay [relay_domains] open=false [regexp:/etc/re]", []string{"known@relay.example: known@relay.example (line 1)"}},
		{"mx.example.com", "local [mydestination] open=false [regexp:/etc/re]", []string{
			"bob: bob@dest.example (line 2)", "x@mx.example.com: y@dest.example (line 10)",
		}},
		{"box.example", "virtual mailbox [virtual_mailbox_domains] open=true [regexp:/etc/re]", nil},
		{"other.example", "default [] open=false [regexp:/etc/re]", nil},
	} {
		t.Run(c.domain, func(t *testing.T) {
			var begin string
			var got []string
			err := r.Accepts(context.Background(), c.domain, func(a Acceptance) {
				begin = fmt.Sprintf("%s %v open=%v %v", a.Class, a.Lists, a.Open, a.Unlisted)
			}, func(x Accepted) bool {
				_, line, _ := strings.Cut(x.Where, ", ")
				what := finals(x.Targets)
				if x.Refusal != nil {
					what = x.Refusal.Error()
				}
				got = append(got, fmt.Sprintf("%s: %s%s (%s)", x.Key, x.Mirror, what, line))
				return true
			})
			if err != nil || begin != c.begin || !slices.Equal(got, c.want) {
				t.Errorf("%v\n%s\n%s\nwant\n%s\n%s", err, begin, strings.Join(got, "\n"), c.begin, strings.Join(c.want, "\n"))
			}
		})
	}
}

// A list that cannot be asked is an error, and not a domain that is not ours.
func TestAcceptsFailing(t *testing.T) {
	r := newTestResolver(t, nil, func(o *Options) { o.RelayDomains = domains(t, "fail:relay") })
	err := r.Accepts(context.Background(), "x.example", func(Acceptance) { t.Error("it began") }, func(Accepted) bool { return true })
	if err == nil {
		t.Error("no error")
	}
}
