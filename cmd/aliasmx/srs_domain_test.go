package main

import (
	"context"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/table"
)

// Which domains of ours an srs_domain is aligned with, and when that is only a doubt.
func TestSRSDomainProof(t *testing.T) {
	zone := dnstest.New(t, `
_dmarc.corp.example. TXT "v=DMARC1; p=reject"
_dmarc.leaf.loner.example. TXT "v=DMARC1; p=reject; psd=n"
_dmarc.loner.example. TXT "v=DMARC1; p=reject"
`)
	zone.Fail("_dmarc.lost.example", dnstest.ServFail)
	for _, c := range []struct {
		name, own      string
		list           []string
		aligned, doubt string
	}{
		{name: "separate", own: "srs.example", list: []string{"alias.example", "old.example.net"}},
		{name: "same", own: "alias.example", list: []string{"Alias.example"}, aligned: "alias.example is itself a domain of virtual_alias_domains"},
		{name: "child", own: "srs.alias.example", list: []string{"alias.example"}, aligned: "srs.alias.example lies within alias.example of virtual_alias_domains"},
		{name: "grandchild", own: "a.b.alias.example", list: []string{"alias.example"}, aligned: "a.b.alias.example lies within alias.example of virtual_alias_domains"},
		{name: "parent", own: "example.org", list: []string{"mail.example.org"}, aligned: "mail.example.org of virtual_alias_domains lies within example.org"},
		{name: "all below", own: "srs.example", list: []string{".srs.example"}, aligned: "srs.example is itself a domain of virtual_alias_domains"},
		{name: "all below one above", own: "srs.alias.example", list: []string{"inline:{{.Alias.example=x}, {joe=x}, {joe@srs.alias.example=x}}"}, aligned: "srs.alias.example lies within alias.example of virtual_alias_domains"},
		{name: "dot at the end", own: "srs.alias.example", list: []string{"alias.example."}, aligned: "srs.alias.example lies within alias.example of virtual_alias_domains"},
		{name: "no parent", own: "ample.org", list: []string{"example.org"}},
		{name: "A-label", own: "srs.xn--grn-ioa.example", list: []string{"grün.example"}, aligned: "srs.xn--grn-ioa.example lies within xn--grn-ioa.example of virtual_alias_domains"},
		{name: "sibling with a policy above", own: "srs.corp.example", list: []string{"x.example", "mail.corp.example"},
			aligned: "srs.corp.example and mail.corp.example of virtual_alias_domains are of one organisation, corp.example"},
		{name: "sibling that is one of its own", own: "srs.loner.example", list: []string{"leaf.loner.example"},
			doubt: "srs.loner.example and leaf.loner.example of virtual_alias_domains are both below loner.example, which receivers that go by the list of public suffixes take for one organisation: forged mail from there may pass; use a domain of its own"},
		{name: "below a public suffix", own: "srs.co.uk", list: []string{"alias.co.uk"}},
		{name: "no answer", own: "srs.lost.example", list: []string{"mail.lost.example"}, doubt: "whether it is of one organisation with mail.lost.example of virtual_alias_domains the DNS does not say: *"},
		{name: "in a table of patterns", own: "srs.alias.example", list: []string{"regexp:{{/^alias\\.example$/ x}}"},
			aligned: "srs.alias.example lies within alias.example of virtual_alias_domains"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := table.ParseDomainList(c.list, table.Options{Types: tableTypes()})
			if err != nil {
				t.Fatal(err)
			}
			defer list.Close()
			p := srsProof{own: c.own, ask: organisationBy(zone.Resolver())}
			p.look(context.Background(), "virtual_alias_domains", list)
			before := len(zone.Asked())
			aligned, doubt := p.verdict(context.Background())
			if c.name == "separate" && len(zone.Asked()) != before {
				t.Errorf("asked %v: a registry is nobody's organisation", zone.Asked()[before:])
			}
			if aligned != c.aligned {
				t.Errorf("aligned: %q, want %q", aligned, c.aligned)
			}
			if star := len(c.doubt) - 1; star > 0 && c.doubt[star] == '*' {
				if len(doubt) <= star || doubt[:star] != c.doubt[:star] {
					t.Errorf("doubt: %q, want %q", doubt, c.doubt)
				}
			} else if doubt != c.doubt {
				t.Errorf("doubt: %q, want %q", doubt, c.doubt)
			}
		})
	}
}
