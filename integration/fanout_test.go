package integration

import (
	"slices"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// One alias with three targets: each gets the message once.
func TestFanOut(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	if out, code := swaks(t, r, "--to", "team@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitEmpty()
	if got, want := recipients(sink.Messages()), []string{"one@dest.example", "three@dest.example", "two@other.example"}; !slices.Equal(got, want) {
		t.Errorf("recipients %v, want %v", got, want)
	}
}

// An alias of which one target does not exist in our own domain: the good one gets
// the mail, the sender hears of the other.
func TestOneBrokenTarget(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	if out, code := swaks(t, r, "--to", "half@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitEmpty()
	r.waitLog(`postfix/error\[\d+\]: \w{12}: to=<nobody@alias\.example>, orig_to=<half@alias\.example>, relay=none, .*dsn=5\.1\.1, status=bounced \(User unknown in virtual alias table\)`)
	if got, want := recipients(sink.Messages()), []string{"good@dest.example", "sender@client.example"}; !slices.Equal(got, want) {
		t.Errorf("recipients %v, want %v", got, want)
	}
}

// recipients of messages that arrived, sorted, without brackets and parameters.
func recipients(messages []peers.Message) []string {
	var all []string
	for _, m := range messages {
		for _, r := range m.Rcpts {
			addr, _, _ := strings.Cut(strings.TrimPrefix(r, "<"), ">")
			all = append(all, addr)
		}
	}
	slices.Sort(all)
	return all
}
