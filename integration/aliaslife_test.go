package integration

import (
	"strings"
	"testing"
)

// What a client hears of aliases with attributes, and what check and explain say of them.
func TestAliasLife(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := base(sink)
	cf["virtual_alias_maps"] = "inline:{ {fair@alias.example = x@dest.example} {club@alias.example = x@dest.example} {old@alias.example = x@dest.example} {shop@alias.example = x@dest.example} {plain@alias.example = x@dest.example} }"
	cf["alias_attribute_maps"] = "hash:{dir}/attributes"
	cf["recipient_delimiter"] = "+"
	r := newRelay(t, cf, map[string]string{"attributes": "fair@alias.example expires=2020-12-31\n" +
		"club@alias.example senders=@club.example,joe@example.net\n" +
		"old@alias.example suspended=\"550 5.2.1 please write to office@alias.example\"\n" +
		"shop@alias.example rate=2/d\n"})
	r.mustRun("postmap", "hash:"+r.dir+"/attributes")
	r.start()
	d := dialSMTP(t, r.smtp)
	d.say("EHLO client.example")
	for _, c := range []struct{ from, to, want string }{
		{"joe@example.net", "fair@alias.example", `^550 5\.1\.1 <fair@alias\.example>: Recipient address rejected: User unknown in virtual alias table$`},
		{"joe@example.net", "club@alias.example", `^250 `},
		{"Any@Club.example", "Club+x@alias.example", `^250 `},
		{"jim@example.net", "club@alias.example", `^550 5\.7\.1 <club@alias\.example>: Recipient address rejected: Access denied$`},
		{"", "club@alias.example", `^550 5\.7\.1 `},
		{"", "old@alias.example", `^550 5\.2\.1 <old@alias\.example>: Recipient address rejected: please write to office@alias\.example$`},
		{"a@b.example", "shop@alias.example", `^250 `},
		{"a@b.example", "shop+x@alias.example", `^250 `},
		{"a@b.example", "shop@alias.example", `^450 4\.7\.1 <shop@alias\.example>: Recipient address rejected: too much mail for this address, try again later$`},
		{"a@b.example", "plain@alias.example", `^250 `},
	} {
		mustMatch(t, c.from+" to "+c.to, d.askFrom(c.from, c.to), c.want)
	}
	d.say("RSET")
	mustMatch(t, "VRFY", d.say("VRFY fair@alias.example"), `^550 5\.1\.1 `)
	out, status := r.run("explain", "-c", r.dir, "fair@alias.example")
	if status != 1 || !strings.Contains(out, "fair@alias.example has expired: 2021-01-01T00:00:00Z") {
		t.Errorf("explain: %d\n%s", status, out)
	}
	out, status = r.run("check", "-c", r.dir)
	if status != 0 || !strings.Contains(out, "fair@alias.example") || !strings.Contains(out, "has expired") {
		t.Errorf("check: %d\n%s", status, out)
	}
	r.stop()
}
