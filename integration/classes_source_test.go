package integration

import (
	"net"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// Mail of each class leaves from its own address, under its own name, and a connection of
// one class never carries another's.
func TestSourceAddresses(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	sink.Behave(peers.Script{Rcpt: map[string]string{"gone@dest.example": "550 5.1.1 no such user"}})
	cf := base(sink)
	cf["smtp_bind_address_maps"] = "hash:{dir}/sources"
	cf["smtp_helo_name_maps"] = "inline:{ 127.0.0.2=forward.alias.example 127.0.0.3=notice.alias.example }"
	cf["smtp_connection_cache_destinations"] = "127.0.0.1"
	cf["smtpd_authorized_xclient_hosts"] = "127.0.0.1"
	_, port, _ := net.SplitHostPort(sink.Addr)
	hop := "[127.0.0.1]:" + port
	r := newRelay(t, cf, map[string]string{
		"virtual": virtualTable + "gone@alias.example gone@dest.example\n",
		"sources": "forwarded 127.0.0.2\nnotice 127.0.0.3, ::1\nsubmitted@" + hop + " 127.0.0.4\nsubmitted@127.0.0.1 127.0.0.44\nsubmitted 127.0.0.44\n",
	})
	r.mustRun("postmap", "-c", r.dir, "hash:"+r.dir+"/sources")
	r.start()
	forward := func(rcpt string) {
		t.Helper()
		if got := playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, rcpt)); !strings.HasPrefix(got[5], "250 ") {
			t.Fatalf("%q", got)
		}
	}
	forward("info@alias.example")
	forward("gone@alias.example") // its report is a notice
	if out, code := r.runWith("Subject: hi\n\nbody\n", "sendmail", "-C", r.dir, "-f", "me@client.example", "you@dest.example"); code != 0 {
		t.Fatal(out)
	}
	if !sink.Wait(3, limit) {
		t.Fatalf("%s", r.log())
	}
	forward("info@alias.example")
	if !sink.Wait(4, limit) {
		t.Fatalf("%s", r.log())
	}
	want := map[string]string{"<sender@client.example>": "127.0.0.2", "<>": "127.0.0.3", "<me@client.example>": "127.0.0.4"}
	from := map[int]string{} // by connection
	for _, m := range sink.Messages() {
		sender, _, _ := strings.Cut(m.From, " ")
		host, _, _ := net.SplitHostPort(m.Client)
		if host != want[sender] {
			t.Errorf("%s came from %s, want %s", sender, host, want[sender])
		}
		if other, seen := from[m.Conn]; seen && other != host {
			t.Errorf("connection %d had mail of %s and %s", m.Conn, other, host)
		}
		from[m.Conn] = host
	}
	for host, name := range map[string]string{"127.0.0.2": "forward.alias.example", "127.0.0.3": "notice.alias.example", "127.0.0.4": "mx.alias.example"} {
		if got := sink.Greetings()[host]; got != name {
			t.Errorf("%s introduces itself as %q, want %s", host, got, name)
		}
	}
}

// An address that is not there, and a table that cannot answer, keep mail; other classes go.
func TestSourceMissing(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := base(sink)
	cf["smtp_bind_address_maps"] = "inline:{ forwarded@127.0.0.1=192.0.2.77 }"
	r := newRelay(t, cf, nil)
	r.start()
	playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, "info@alias.example"))
	r.waitLog(`warning: smtp_connect_addr: bind 192\.0\.2\.77: Cannot assign requested address`)
	r.waitLog(`to=<target@dest\.example>, .* dsn=4\.4\.0, status=deferred \(server configuration error\)`)
	if out, code := r.runWith("Subject: hi\n\nbody\n", "sendmail", "-C", r.dir, "-f", "me@client.example", "you@dest.example"); code != 0 {
		t.Fatal(out)
	}
	if !sink.Wait(1, limit) || sink.Messages()[0].From[:18] != "<me@client.example" {
		t.Fatalf("%v\n%s", sink.Messages(), r.log())
	}
	cf["smtp_bind_address_maps"] = "tcp:127.0.0.1:1"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, "info@alias.example"))
	r.waitLog(`status=deferred \(cannot tell which address to connect from\)`)
	cf["smtp_bind_address_maps"] = "inline:{ forwarded=::1 }"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, "info@alias.example"))
	r.waitLog(`status=deferred \(127\.0\.0\.1: no address to connect from for this class of mail\)`)
	if n := sink.Count(); n != 1 {
		t.Errorf("%d messages came, want one", n)
	}
}

// What nothing says the author of leaves from another address than what is genuine.
func TestSourceOfUnauthenticated(t *testing.T) {
	t.Parallel()
	r := newAuthRelay(t, "smtp_bind_address_maps", "inline:{ unauthenticated=127.0.0.2 forwarded=127.0.0.3 }")
	for i, tt := range []struct{ sender, from string }{{"a@ok.example", "127.0.0.3"}, {"a@unknown.example", "127.0.0.2"}, {"b@ok.example", "127.0.0.3"}} {
		letter := "From: " + tt.sender + "\r\nSubject: x\r\n\r\nbody\r\n"
		if got := playClient(t, r.smtp, letterTo(tt.sender, letter, "info@alias.example")); !strings.HasPrefix(got[5], "250 ") || !r.sink.Wait(i+1, limit) {
			t.Fatalf("%s: %q\n%s", tt.sender, got, r.log())
		}
		if host, _, _ := net.SplitHostPort(r.sink.Messages()[i].Client); host != tt.from {
			t.Errorf("%s: came from %s, want %s", tt.sender, host, tt.from)
		}
	}
}
