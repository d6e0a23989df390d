package integration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// Domains with the same hosts are one site, and a group is one, too: check site says so, and
// which line each limit is from.
func TestCheckSite(t *testing.T) {
	dns, err := peers.NewDNS(`one.example. MX 10 mx1.hosts.example.
one.example. MX 20 mx2.hosts.example.
two.example. MX 10 MX2.hosts.example.
two.example. MX 20 mx1.hosts.example.
a.example. MX 10 a-example.mail.provider.example.
b.example. MX 10 b-example.mail.provider.example.
none.example. MX 0 .
`)
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	dns.Fail("away.example", true)
	cf := base(nil)
	delete(cf, "smtp_dns_support_level")
	cf["smtp_shaping_maps"] = "hash:{dir}/shaping"
	r := newRelay(t, cf, map[string]string{"virtual": virtualTable, "shaping": ".mail.provider.example site=provider concurrency=3\n"})
	shaping := filepath.Join(r.dir, "shaping")
	r.mustRun("postmap", "hash:"+shaping)
	type site struct {
		Destination, Site, Reason string
		Hosts                     []string
		Limits                    []struct{ Name, Value, From string }
	}
	ask := func(dest string, want int) (s site) {
		t.Helper()
		out, code := r.run("check", "site", "-c", r.dir, "--json", "--resolver", dns.Addr, dest)
		if code != want {
			t.Errorf("%s: exit status %d, want %d\n%s", dest, code, want, out)
		}
		if line := out[strings.LastIndex("\n"+out, "\n{"):]; json.Unmarshal([]byte(line), &s) != nil {
			t.Errorf("%s: %s", dest, out)
		}
		return s
	}
	one, two := ask("one.example", 0), ask("somebody@two.example", 0)
	if one.Site != "mx1.hosts.example,mx2.hosts.example" || two.Site != one.Site || fmt.Sprint(two.Hosts) != "[mx2.hosts.example mx1.hosts.example]" {
		t.Errorf("sites %+v and %+v", one, two)
	}
	a, b := ask("a.example", 0), ask("b.example", 0)
	if a.Site != "provider" || b.Site != "provider" || len(a.Limits) == 0 || a.Limits[0].Value != "3" ||
		a.Limits[0].From != shaping+", line 1, entry .mail.provider.example" {
		t.Errorf("groups %+v and %+v", a, b)
	}
	if s := ask("none.example", 1); !strings.Contains(s.Reason, "nullMX") {
		t.Errorf("null MX: %+v", s)
	}
	ask("away.example", 75)
}

// A table that cannot be read stops the start, with file, line and remedy.
func TestBrokenShapingTable(t *testing.T) {
	cf := base(newSink(t))
	cf["smtp_shaping_maps"] = "texthash:{dir}/shaping"
	r := newRelay(t, cf, map[string]string{"virtual": virtualTable, "shaping": "a.example concurrency=2\nb.example rate=fast\n"})
	out, code := r.run("start", "-c", r.dir)
	if want := filepath.Join(r.dir, "shaping") + ", line 2: b.example: rate=fast: not a number and a time; write them as in 100/1m"; code != 78 || !strings.Contains(out, want) {
		t.Errorf("exit status %d\n%s\nwant %s", code, out, want)
	}
}

// What a line allows is what a next hop sees, however much waits for it; without one it
// sees more.
func TestShapedSite(t *testing.T) {
	for line, most := range map[string]int{"": 20, "concurrency=2": 2, "host_connections=1": 1, "delay=10ms": 1} {
		sink := newSink(t)
		sink.Behave(peers.Script{Delay: 20 * time.Millisecond})
		cf := base(sink)
		cf["smtp_destination_recipient_limit"] = "1"
		cf["smtp_initial_destination_concurrency"] = "12"
		if line != "" {
			cf["smtp_shaping_maps"] = "inline:{ { 127.0.0.1 = " + line + " } }"
		}
		var targets []string
		for i := range 12 {
			targets = append(targets, fmt.Sprintf("t%d@dest.example", i))
		}
		r := newRelay(t, cf, map[string]string{"virtual": "many@alias.example " + strings.Join(targets, ", ") + "\n"})
		r.start()
		if out, code := swaks(t, r, "--to", "many@alias.example"); code != 0 {
			t.Fatalf("exit status %d\n%s", code, out)
		}
		r.waitEmpty()
		if n := len(sink.Messages()); n != len(targets) {
			t.Errorf("%q: %d messages", line, n)
		}
		// One that ends is there for a moment more, as the sink sees it.
		if n := sink.Most(); n > most+1 || line == "" && n < 6 {
			t.Errorf("%q: %d connections at a time", line, n)
		}
		if log := r.log(); strings.Contains(log, "status=deferred") {
			t.Errorf("%q: something was deferred\n%s", line, log)
		}
		r.stop()
	}
}
