package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// verifying is a relay that probes every recipient before it takes it.
func verifying(t *testing.T, sink *peers.Sink, change map[string]string) *relay {
	t.Helper()
	cf := base(sink)
	cf["virtual_alias_maps"] = "texthash:{dir}/virtual"
	cf["smtpd_recipient_restrictions"] = "reject_unverified_recipient"
	cf["unverified_recipient_reject_code"] = "550"
	cf["address_verify_poll_delay"] = "2s"
	for name, value := range change {
		cf[name] = value
	}
	r := newRelay(t, cf, map[string]string{"virtual": virtualTable + "@alias.example @dest.example\n"})
	r.start()
	return r
}

// rcpt asks about one recipient over a new connection.
func rcpt(t *testing.T, r *relay, to string) string {
	t.Helper()
	c := dialSMTP(t, r.smtp)
	defer c.Close()
	c.say("EHLO client.example")
	c.say("MAIL FROM:<sender@client.example>")
	return c.say("RCPT TO:<" + to + ">")
}

var friendly = peers.Script{Rcpt: map[string]string{
	"bad@dest.example":  "550 5.1.1 no such user",
	"full@dest.example": "452 4.2.2 mailbox full",
}}

const (
	unverified    = `^450 4\.1\.1 <\S+>: Recipient address rejected: unverified address: `
	undeliverable = `^550 5\.1\.1 <\S+>: Recipient address rejected: undeliverable address: host 127\.0\.0\.1\[127\.0\.0\.1\] said: 550 5\.1\.1 no such user \(in reply to RCPT TO command\)`
)

// What the next hop says of an address is what the client gets to hear, and the next hop
// gets no message by it. What was found out outlives a restart, also one by force, once it
// was written.
func TestVerifyRecipient(t *testing.T) {
	sink := newSink(t)
	sink.Behave(friendly)
	r := verifying(t, sink, nil)
	ask := func() {
		t.Helper()
		mustMatch(t, "good", rcpt(t, r, "good@alias.example"), `^250 2\.1\.5`)
		mustMatch(t, "bad", rcpt(t, r, "bad@alias.example"), undeliverable)
		mustMatch(t, "full", rcpt(t, r, "full@alias.example"), unverified+`host .* said: 452 4\.2\.2 mailbox full`)
		mustMatch(t, "several", rcpt(t, r, "team@alias.example"), `^250 2\.1\.5`)
	}
	ask()
	before := sink.Verbs()
	if before["DATA"] != 0 || before["RCPT"] < 3 || before["RCPT"] > 4 || sink.Count() != 0 {
		t.Errorf("the next hop was asked %v and got %d messages", before, sink.Count())
	}
	if queue := r.mustRun("mailq", "-c", r.dir); !strings.Contains(queue, "Mail queue is empty") {
		t.Errorf("a probe is in the queue:\n%s", queue)
	}
	ask()
	r.stop()
	r.start()
	ask()
	if after := sink.Verbs(); after["RCPT"] != before["RCPT"] {
		t.Errorf("what was known was asked again: %v, then %v", before, after)
	}
	// The message itself goes its way.
	if out, code := swaks(t, r, "--to", "good@alias.example"); code != 0 {
		t.Errorf("swaks: %s", out)
	}
	if !sink.Wait(1, limit) {
		t.Errorf("the message does not arrive")
	}
	r.stop()

	path := filepath.Join(r.top, "data", "verify_cache")
	if err := os.WriteFile(path, []byte("aliasmx verify_cache 1 0\nrubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.waitLog(`postfix/verify\[\d+\]: warning: address_verify_map .*/verify_cache: .*starting with an empty cache`)
	ask()
	if n := strings.Count(r.log(), "starting with an empty cache"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

// Many clients that ask about one address at once cause one probe, and many addresses do
// not flood the next hop with connections.
func TestVerifyDoesNotFlood(t *testing.T) {
	sink := newSink(t)
	sink.Behave(peers.Script{Delay: 20 * time.Millisecond})
	r := verifying(t, sink, map[string]string{"initial_destination_concurrency": "2", "address_verify_poll_delay": "20s"})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { mustMatch(t, "same", rcpt(t, r, "same@alias.example"), `^250 2\.1\.5`) })
	}
	wg.Wait()
	if verbs := sink.Verbs(); verbs["RCPT"] != 1 {
		t.Errorf("one address was asked for %v", verbs)
	}
	most := 0
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				most = max(most, sink.Open())
			}
		}
	})
	for i := range 30 {
		wg.Go(func() { mustMatch(t, "each", rcpt(t, r, fmt.Sprintf("user%d@alias.example", i)), `^250 2\.1\.5`) })
	}
	wg.Wait()
	close(done)
	watch.Wait()
	// A connection that is closed is not gone at the same moment.
	if most > 4 {
		t.Errorf("%d connections at once", most)
	}
}

// A next hop that is down or does not answer keeps nobody waiting for long, neither the
// client nor the operator who stops the daemon.
func TestVerifyWithoutNextHop(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	sink.Behave(peers.Script{Hang: "RCPT"})
	r := verifying(t, sink, nil)
	begin := time.Now()
	mustMatch(t, "hangs", rcpt(t, r, "one@alias.example"), unverified+`Address verification in progress`)
	if d := time.Since(begin); d < 3*time.Second || d > 15*time.Second {
		t.Errorf("the client waited for %v", d)
	}
	r.stop()
	sink.Behave(peers.Script{})
	r.start()
	mustMatch(t, "once it answers", rcpt(t, r, "one@alias.example"), `^250 2\.1\.5`)
	sink.Stop()
	mustMatch(t, "down", rcpt(t, r, "two@alias.example"), unverified+`connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused`)
	mustMatch(t, "still down", rcpt(t, r, "three@alias.example"), unverified+`delivery temporarily suspended: connect to `)
	mustMatch(t, "known", rcpt(t, r, "one@alias.example"), `^250 2\.1\.5`)
}

// Two relays that verify each other's senders come to an end: mail for the sender of
// probes is taken without a probe in return.
func TestVerifyEachOther(t *testing.T) {
	sink := newSink(t)
	first := verifying(t, sink, nil)
	other := base(nil)
	_, port, _ := strings.Cut(first.smtp, ":")
	other["relayhost"] = "[127.0.0.1]:" + port
	other["virtual_alias_maps"] = "texthash:{dir}/virtual"
	other["smtpd_sender_restrictions"] = "reject_unverified_sender"
	other["smtpd_recipient_restrictions"] = "reject_unverified_recipient"
	second := newRelay(t, other, map[string]string{"virtual": "info@alias.example info@alias.example\n"})
	second.start()
	mustMatch(t, "our own sender", rcpt(t, second, "double-bounce@mx.alias.example"), `^250 2\.1\.5`)
	mustMatch(t, "no probe for it", fmt.Sprint(sink.Verbs()["RCPT"]), `^0$`)
	if strings.Contains(second.log()+first.log(), "status=deliverable") {
		t.Errorf("it was probed:\n%s", second.log())
	}
}

// A place for the cache that cannot be one is said at start, and a changed one at reload.
func TestVerifyMapIsChecked(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["address_verify_map"] = "memcache:/etc/cache.cf"
	r := newRelay(t, cf, nil)
	out, code := r.run("check", "-c", r.dir)
	if code == 0 || !strings.Contains(out, "address_verify_map") {
		t.Errorf("check: %d %s", code, out)
	}
	cf["address_verify_map"] = ""
	r.configure(cf)
	r.start()
	cf["address_verify_map"] = "btree:{top}/elsewhere"
	r.configure(cf)
	if out, code := r.run("reload", "-c", r.dir); code == 0 {
		t.Errorf("reload says nothing: %s", out)
	}
	r.waitLog(`error: reload: address_verify_map .* has changed, which takes a restart`)
}
