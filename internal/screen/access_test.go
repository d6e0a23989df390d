package screen

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// everybody and nobody are lists of networks; a broken one cannot answer.
type everybody struct{ err error }

func (e everybody) Match(context.Context, string, netip.Addr) (bool, error) {
	return e.err == nil, e.err
}

func TestAccess(t *testing.T) {
	tables := words{
		"permit:192.0.2.1": "permit", "reject:192.0.2.1": "REJECT", "dunno:192.0.2.1": "dunno", "odd:192.0.2.1": "maybe",
		"list:192.0.2.1": "dunno, reject", "nets:192.0.2.1": "permit_mynetworks reject", "nested:192.0.2.1": "cidr:/x", "fails:192.0.2.1": "fails",
	}
	open := func(spec string) (Table, error) { return prefixed{spec, tables}, nil }
	for _, c := range []struct {
		list string
		nets Networks
		want verdict
		warn string
	}{
		{"", nil, dunno, ""},
		{"permit_mynetworks", nil, dunno, ""},
		{"permit_mynetworks", everybody{}, permit, ""},
		{"permit_mynetworks reject", everybody{errors.New("x")}, failed, "mynetworks lookup error"},
		{"Permit", nil, permit, ""},
		{"reject permit", nil, reject, ""},
		{"dunno reject", nil, dunno, ""},
		{"t:permit reject", nil, permit, ""},
		{"t:none t:reject permit", nil, reject, ""},
		{"t:dunno reject", nil, reject, ""},
		{"t:list permit", nil, permit, ""},
		{"t:nets permit", nil, reject, ""},
		{"t:nets reject", everybody{}, permit, ""},
		{"t:odd reject", nil, failed, "t:odd: unknown command: maybe -- ignoring the remainder of this access list"},
		{"t:nested reject", nil, reject, `table t:nested: lookup result "cidr:/x" is not allowed -- ignoring remainder of access list`},
		{"t:fails reject", nil, failed, "t:fails: table lookup error -- ignoring the remainder of this access list"},
	} {
		p := newPlace(t, func(o *Options) {
			rules, err := ParseAccess(strings.Fields(c.list), open)
			if err != nil {
				t.Fatal(err)
			}
			o.Access, o.MyNetworks = rules, c.nets
		})
		got := p.d.judge(context.Background(), netip.MustParseAddr("192.0.2.1"))
		if warned := p.log.take(); got != c.want || (warned == "") != (c.warn == "") || !strings.Contains(warned, c.warn) {
			t.Errorf("%s: %d, %q; want %d, %q", c.list, got, warned, c.want, c.warn)
		}
	}
	if _, err := ParseAccess([]string{"permit_sasl_authenticated"}, open); err == nil {
		t.Error("a rule that is none is taken")
	}
}

// prefixed is a table in a table.
type prefixed struct {
	spec string
	all  words
}

func (p prefixed) Name() string { return p.spec }
func (p prefixed) Lookup(ctx context.Context, key string) (string, bool, error) {
	return p.all.Lookup(ctx, strings.TrimPrefix(p.spec, "t:")+":"+key)
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"EHLO a\r\n": `EHLO a\r\n`, "\x00\x7f\xff": `\000\177\377`, `a\b`: `a\\b`, "\a\b\f\t\v": `\a\b\f\t\v`, "": "",
	} {
		expect(t, in, escape([]byte(in)), want)
	}
}

func TestActions(t *testing.T) {
	for in, want := range map[string]Action{"ignore": Ignore, "continue": Ignore, "Enforce": Enforce, "drop": Drop} {
		if got, err := ParseAction(in); got != want || err != nil {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	if _, err := ParseAction("kill"); err == nil {
		t.Error("an action that is none is taken")
	}
}
