package postconf

import (
	"testing"
)

// The files that we ship must load, say nothing odd, and forward only.
func TestShippedConfiguration(t *testing.T) {
	c, err := Load(LoadOptions{Dir: "../../configs"})
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	for name, want := range map[string]string{
		"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
		"mydestination":            "",
		"relay_domains":            "",
		"relayhost":                "",
		"virtual_alias_maps":       "hash:../../configs/virtual",
	} {
		if got := c.Get(name); got != want || !c.Set(name) && name != "relayhost" {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	list, err := c.Listeners()
	if err != nil || len(list) != 1 || list[0].Service != "smtp" {
		t.Errorf("listeners: %+v, %v", list, err)
	}
}

func BenchmarkLoad(b *testing.B) {
	o := optionsOf(debianMain, postfixMaster)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	c, err := Load(optionsOf(debianMain, postfixMaster))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Get("smtpd_banner")
	}
}
