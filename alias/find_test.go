package alias

import (
	"context"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// The keys that tables are asked for, in order: virtual(5), TABLE SEARCH ORDER.
func TestLookupOrder(t *testing.T) {
	plus := func(o *Options) { o.RecipientDelimiter = "+" }
	local := func(o *Options) {
		o.RecipientDelimiter = "+"
		o.MyDestination = domains(t, "local.example")
	}
	for name, c := range map[string]struct {
		addr   string
		change func(*Options)
		want   string
	}{
		"plain":              {"joe@virt.example", nil, "joe@virt.example @virt.example"},
		"no delimiter set":   {"joe+x@virt.example", nil, "joe+x@virt.example @virt.example"},
		"extension":          {"joe+x@virt.example", plus, "joe+x@virt.example joe@virt.example @virt.example"},
		"myorigin":           {"joe@mx.example.com", plus, "joe@mx.example.com joe @mx.example.com"},
		"myorigin, any case": {"joe@MX.example.com", plus, "joe@MX.example.com joe @MX.example.com"},
		"local, extension":   {"joe+x@local.example", local, "joe+x@local.example joe@local.example joe+x joe @local.example"},
		"own literal":        {"joe@[127.0.0.1]", plus, "joe@[127.0.0.1] joe @[127.0.0.1]"},
		"other literal":      {"joe@[127.0.0.9]", plus, "joe@[127.0.0.9] @[127.0.0.9]"},
		"quoted":             {"odd user@virt.example", plus, `"odd user"@virt.example @virt.example`},
		"quoted, local":      {"odd user@local.example", local, `"odd user"@local.example "odd user" @local.example`},
		"bare":               {"joe", plus, "joe"},
		"domain empty":       {"joe@", plus, "joe@"},
		"local part empty":   {"@virt.example", plus, `""@virt.example @virt.example`},
		"system name":        {"postmaster+x@virt.example", plus, "postmaster+x@virt.example postmaster@virt.example @virt.example"},
		"delimiter at front": {"+x@virt.example", plus, "+x@virt.example @virt.example"},
		"delimiter at end":   {"joe+@virt.example", plus, "joe+@virt.example joe@virt.example @virt.example"},
		"labels equated":     {"joe@münchen.example", func(o *Options) { o.EquateLabels = true }, "joe@münchen.example @münchen.example joe@xn--mnchen-3ya.example @xn--mnchen-3ya.example"},
		"labels the other way": {"joe@xn--mnchen-3ya.example", func(o *Options) { o.EquateLabels = true },
			"joe@xn--mnchen-3ya.example @xn--mnchen-3ya.example joe@münchen.example @münchen.example"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := fake("fake:x")
			r := newTestResolver(t, nil, func(o *Options) {
				o.VirtualAliasMaps = table.Maps{asked}
				if c.change != nil {
					c.change(o)
				}
			})
			if _, found, err := r.find(context.Background(), r.aliases, splitInternal(c.addr)); found || err != nil {
				t.Fatal(found, err)
			}
			got := strings.Join(asked.asked, " ")
			if got != c.want {
				t.Errorf("%s asks for\n got %s\nwant %s", c.addr, got, c.want)
			}
		})
	}
}

// A pattern could match a part of an address by accident: virtual(5), REGULAR
// EXPRESSION TABLES.
func TestPatternsSeeWholeAddressesOnly(t *testing.T) {
	patterns := fake("regexp:/etc/re")
	plain := fake("hash:/etc/virtual", "@virt.example all@dest.example")
	r := newTestResolver(t, nil, func(o *Options) {
		o.VirtualAliasMaps = table.Maps{patterns, plain}
		o.RecipientDelimiter = "+"
	})
	if got := answer(r, mail.Address{Local: "joe+x", Domain: "virt.example"}); got != "all@dest.example" {
		t.Fatal(got)
	}
	if want := []string{"joe+x@virt.example", "all@dest.example"}; !slices.Equal(patterns.asked, want) {
		t.Errorf("the pattern table was asked for %q, want %q", patterns.asked, want)
	}
}

func TestSplitExtension(t *testing.T) {
	for _, c := range []struct {
		local, delimiters string
		plain             bool
		want              string
	}{
		{"joe+x", "+", false, "joe|+x"},
		{"joe+x+y", "+", false, "joe|+x+y"},
		{"joe-x+y", "+-", false, "joe|-x+y"},
		{"joe", "+", false, "joe|"},
		{"+x", "+", false, "+x|"},
		{"joe+", "+", false, "joe|+"},
		{"joe+x", "", false, "joe+x|"},
		{"owner-list", "-", false, "owner-list|"},
		{"Owner-List", "-", false, "Owner-List|"},
		{"owner-list", "-", true, "owner|-list"},
		{"list-request", "-", false, "list-request|"},
		{"-request", "-", false, "-request|"},
		{"list-request", "-", true, "list|-request"},
		{"owner-x+y", "+", false, "owner-x|+y"},
		{"mailer-daemon", "-", false, "mailer-daemon|"},
		{"Double-Bounce", "-", false, "Double-Bounce|"},
	} {
		r := newTestResolver(t, nil, func(o *Options) { o.RecipientDelimiter, o.SplitOwnerRequest = c.delimiters, c.plain })
		bare, extension := r.splitExtension(c.local)
		if got := bare + "|" + extension; got != c.want {
			t.Errorf("splitExtension(%q) with %q = %q, want %q", c.local, c.delimiters, got, c.want)
		}
	}
}

// A table that fails is never taken for one without the key, at whatever key it fails.
func TestFailingTable(t *testing.T) {
	for _, key := range []string{"joe@virt.example", "@virt.example", "*"} {
		broken := fake("fake:broken")
		broken.broken[key] = true
		r := newTestResolver(t, nil, func(o *Options) { o.VirtualAliasMaps = append(o.VirtualAliasMaps, broken) })
		if got := answer(r, mail.Address{Local: "joe", Domain: "virt.example"}); got != "451 4.3.0 Temporary lookup failure" {
			t.Errorf("failing at %q: %s", key, got)
		}
	}
}

func TestFailingTableDuringExpansion(t *testing.T) {
	broken := fake("fake:broken", "joe@virt.example one@dest.example")
	broken.broken["one@dest.example"] = true
	r := newTestResolver(t, nil, func(o *Options) { o.VirtualAliasMaps = table.Maps{broken} })
	if got := answer(r, mail.Address{Local: "joe", Domain: "virt.example"}); got != "451 4.3.0 Temporary lookup failure" {
		t.Error(got)
	}
}

func TestEmptyResultIsAFailure(t *testing.T) {
	r := newTestResolver(t, []string{"joe@virt.example"}, nil)
	if got := answer(r, mail.Address{Local: "joe", Domain: "virt.example"}); got != "451 4.3.0 Temporary lookup failure" {
		t.Error(got)
	}
}
