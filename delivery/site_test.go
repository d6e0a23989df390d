package delivery

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

func TestSite(t *testing.T) {
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("%d mx%02d.long.example", i, i)
	}
	backwards := make([]string, len(many))
	for i := range many {
		backwards[len(many)-1-i] = fmt.Sprintf("%d mx%02d.long.example", len(many)-i, i)
	}
	zone := fakeDNS{mx: map[string]string{
		"one.example": "10 MX1.example", "two.example": "10 mx1.example, 20 mx2.example", "turned.example": "10 mx2.example, 20 MX1.example",
		"twice.example": "10 mx1.example, 20 mx1.example", "null.example": "null", "fail.example": "fail",
		"backup.example": "10 mx1.example, 20 MX.example.com, 20 mx2.example, 30 mx3.example", "self.example": "10 mx.example.com, 20 mx1.example",
		"long.example": strings.Join(many, ", "), "backwards.example": strings.Join(backwards, ", "),
	}}
	for _, c := range []struct{ dest, want string }{
		{"smtp:one.example", "mx1.example of mx1.example"},
		{"smtp:two.example", "mx1.example,mx2.example of mx1.example mx2.example"},
		{"smtp:turned.example", "mx1.example,mx2.example of mx2.example mx1.example"},
		{"relay:two.example", "mx1.example,mx2.example of mx1.example mx2.example"},
		{"slow:two.example", "mx1.example,mx2.example of mx1.example mx2.example"},
		{"smtp:twice.example", "mx1.example of mx1.example"},
		{"smtp:one.example:2525", "mx1.example:2525 of mx1.example"},
		{"smtp:[MX1.example]", "mx1.example of mx1.example"},
		{"smtp:[mx1.example]:587", "mx1.example:587 of mx1.example"},
		{"smtp:[192.0.2.1]", "192.0.2.1 of 192.0.2.1"},
		{"smtp:[ipv6:2001:DB8::1]:2525", "[2001:db8::1]:2525 of 2001:db8::1"},
		{"smtp:two.example, one.example", "mx1.example,mx2.example of mx1.example mx2.example"},
		{"smtp:[gone.example] one.example", "gone.example of gone.example"},
		{"smtp:host.example", "host.example of host.example"},
		{"smtp:backup.example", "mx1.example of mx1.example"},
		{"smtp:backup.example:2525", "mx.example.com,mx1.example,mx2.example,mx3.example:2525 of mx1.example mx.example.com mx2.example mx3.example"},
		{"smtp:self.example", "mail for self.example loops back to myself"},
		{"smtp:null.example", "Domain null.example does not accept mail (nullMX)"},
		{"smtp:gone.example", "Host or domain name not found. Name service error for name=gone.example type=MX: Host not found"},
		{"smtp:fail.example", "Host or domain name not found. Name service error for name=fail.example type=MX: Host not found, try again"},
		{"smtp:[unclosed", `next hop "[unclosed": missing "]"`},
		{"smtp:", "empty next hop"},
		{"lmtp:unix:/run/lmtp", "/run/lmtp of "},
		{"lmtp:inet:two.example", "two.example:24 of two.example"},
		{"local:somebody", " of "},
		{"error:5.1.1 no", " of "},
	} {
		site, err := testSites(t, zone, true).Site(t.Context(), mail.Dest(c.dest))
		got := site.Name + " of " + strings.Join(site.Hosts, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.dest, got, c.want)
		}
	}
	if site, err := testSites(t, zone, false).Site(t.Context(), "smtp:two.example"); err != nil || site.Name != "two.example" {
		t.Errorf("without DNS: %v %v", site, err)
	}
	a, err := testSites(t, zone, true).Site(t.Context(), "smtp:long.example")
	b, err2 := testSites(t, zone, true).Site(t.Context(), "smtp:backwards.example")
	if err != nil || err2 != nil || a.Name != b.Name || len(a.Name) > siteName {
		t.Errorf("many hosts: %q and %q, %v %v", a.Name, b.Name, err, err2)
	}
	zone.mx["long.example"] += ", 99 other.example"
	if c, _ := testSites(t, zone, true).Site(t.Context(), "smtp:long.example"); c.Name == a.Name {
		t.Errorf("other hosts have the same name %q", c.Name)
	}
}

func testSites(t *testing.T, zone fakeDNS, withDNS bool) *Client {
	// Only what has no MX records and yet is a host has an implicit one.
	c := New(Options{MyHostname: "mx.example.com", Resolver: implicitMX{zone}, DNSEnabled: withDNS, Transports: map[string]string{"slow": "smtp"}})
	t.Cleanup(c.Close)
	return c
}

// implicitMX has a host.example without MX records.
type implicitMX struct{ fakeDNS }

func (r implicitMX) MX(ctx context.Context, domain string) ([]dns.MX, error) {
	if domain == "host.example" {
		return nil, &dns.Error{Name: domain, Type: "MX", Kind: dns.NoData}
	}
	return r.fakeDNS.MX(ctx, domain)
}

// Name servers that do not answer hold nobody up for ever.
func TestSiteIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Resolver: deafDNS{}, DNSEnabled: true})
		defer c.Close()
		began := time.Now()
		if _, err := c.Site(t.Context(), "smtp:dest.example"); err == nil {
			t.Error("there is an answer")
		}
		if took := time.Since(began); took != siteTime {
			t.Errorf("it took %s", took)
		}
	})
}

type deafDNS struct{ fakeDNS }

func (deafDNS) MX(ctx context.Context, domain string) ([]dns.MX, error) {
	<-ctx.Done()
	return nil, &dns.Error{Name: domain, Type: "MX", Kind: dns.Temporary, Cause: ctx.Err()}
}

// A next hop that is a host itself costs what the answer is made of, and finding out that
// the host is no address.
func TestSiteOfAHostIsCheap(t *testing.T) {
	c := testSites(t, fakeDNS{}, true)
	for dest, most := range map[mail.Dest]float64{"smtp:[mx1.example]": 2, "smtp:[192.0.2.1]": 2, "smtp:[mx1.example]:587": 4} {
		if n := testing.AllocsPerRun(100, func() { c.Site(t.Context(), dest) }); n > most {
			t.Errorf("%s: %v allocations, want no more than %v", dest, n, most)
		}
	}
}
