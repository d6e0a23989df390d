package integration

import (
	"net"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// With bounce_hide_destination a sender never sees where an alias leads: not of a failure,
// not of a delay, not of success, with two destinations or one, whatever the next hop
// says. The postmaster sees it all.
func TestHiddenDestination(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	sink.Behave(peers.Script{
		Ehlo: []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"},
		Rcpt: map[string]string{
			"gone@secret.example": "550 5.1.1 <gone@secret.example>: no mailbox gone@secret.example here", "full@other.example": "552 5.2.2 full@other.example is full",
			"late@secret.example": "450 4.2.0 <late@secret.example>: later",
		},
	})
	cf := base(sink)
	cf["virtual_alias_maps"] = "texthash:{dir}/virtual"
	cf["relay_domains"] = "direct.example"
	cf["bounce_hide_destination"] = "yes"
	cf["notify_classes"], cf["bounce_notice_recipient"] = "bounce", "pm@client.example"
	cf["delay_warning_time"], cf["minimal_backoff_time"], cf["maximal_backoff_time"] = "1s", "1s", "1s"
	r := newRelay(t, cf, map[string]string{"virtual": "both@alias.example gone@secret.example, full@other.example\n" +
		"one@alias.example gone@secret.example\nfine@alias.example ok@secret.example\nlate@alias.example late@secret.example\n"})
	r.start()
	submitOne(t, r.smtp, "MAIL FROM:<s1@client.example>", "RCPT TO:<both@alias.example>")
	submitOne(t, r.smtp, "MAIL FROM:<s2@client.example> RET=HDRS", "RCPT TO:<one@alias.example> NOTIFY=SUCCESS,FAILURE")
	submitOne(t, r.smtp, "MAIL FROM:<s3@client.example>", "RCPT TO:<fine@alias.example> NOTIFY=SUCCESS")
	submitOne(t, r.smtp, "MAIL FROM:<s4@client.example>", "RCPT TO:<late@alias.example>")
	submitOne(t, r.smtp, "MAIL FROM:<s5@client.example>", "RCPT TO:<user@direct.example> NOTIFY=SUCCESS")
	r.waitLog(`sender delay notification: \w{12}`)
	// Reports to s1, s2 (twice), s3, s4, s5, two copies, and the letters to fine and to user.
	if !sink.Wait(10, limit) {
		t.Fatalf("%d messages arrived\n%s", len(sink.Messages()), r.log())
	}
	_, port, _ := net.SplitHostPort(sink.Addr)
	aliases := map[string]string{
		"s1@client.example": "both@alias.example", "s2@client.example": "one@alias.example", "s3@client.example": "fine@alias.example",
		"s4@client.example": "late@alias.example", "s5@client.example": "user@direct.example",
	}
	seen := map[string]int{}
	for _, m := range reportsIn(sink) {
		to := strings.Trim(strings.Fields(m.Rcpts[0])[0], "<>")
		seen[to]++
		text := strings.ToLower(m.Data)
		if to == "pm@client.example" {
			if !strings.Contains(text, "final-recipient: rfc822; gone@secret.example") {
				t.Errorf("the postmaster is not told:\n%s", m.Data)
			}
			continue
		}
		parts := reportParts(t, m.Data)
		for _, secret := range []string{"secret.example", "other.example", "]:" + port, "remote-mta", "no mailbox"} {
			if strings.Contains(text, secret) && to != "s5@client.example" {
				t.Errorf("%s is told %q:\n%s", to, secret, m.Data)
			}
		}
		if n := strings.Count(parts[1], "Final-Recipient: rfc822; "+aliases[to]+"\r\n"); n != 1 || strings.Count(parts[1], "Final-Recipient:") != 1 {
			t.Errorf("%s: %d entries of %s in\n%s", to, n, aliases[to], parts[1])
		}
		if to == "s5@client.example" && !strings.Contains(parts[0], "delivery via 127.0.0.1[127.0.0.1]:"+port) {
			t.Errorf("what is no secret is not told:\n%s", parts[0])
		}
	}
	want := map[string]int{"s1@client.example": 1, "s2@client.example": 2, "s3@client.example": 1, "s4@client.example": 1, "s5@client.example": 1, "pm@client.example": 2}
	for to, n := range want {
		if seen[to] != n {
			t.Errorf("%d reports to %s, want %d\n%s", seen[to], to, n, r.log())
		}
	}
}
