package integration

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// TestKillUnderLoad sends 1,000 messages over 20 sessions, kills the daemon with
// SIGKILL in the middle, starts it again, and compares the clients' ledger of 250s
// with what the next hop got: nothing acknowledged may be missing. Duplicates are
// possible and counted.
func TestKillUnderLoad(t *testing.T) {
	const sessions, each = 20, 50
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()

	var acked sync.Map // subject -> true, for each 250
	var count atomic.Int64
	var wg sync.WaitGroup
	for s := range sessions {
		wg.Go(func() {
			for n := 0; n < each; {
				n += session(r.smtp, fmt.Sprintf("s%d", s), n, each, func(subject string) {
					acked.Store(subject, true)
					count.Add(1)
				})
				// The daemon is away for a moment: knock again.
				if n < each {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	for count.Load() < sessions*each*4/10 {
		time.Sleep(time.Millisecond)
	}
	r.kill()
	r.start()
	wg.Wait()
	r.waitEmpty()

	seen := map[string]int{}
	for _, m := range sink.Messages() {
		_, rest, _ := strings.Cut(m.Data, "Subject: ")
		subject, _, _ := strings.Cut(rest, "\r\n")
		seen[subject]++
		if want := body(subject); !strings.HasSuffix(m.Data, want) {
			t.Errorf("%s arrived altered", subject)
		}
	}
	lost, duplicates := 0, 0
	acked.Range(func(subject, _ any) bool {
		switch n := seen[subject.(string)]; {
		case n == 0:
			lost++
		case n > 1:
			duplicates++
		}
		return true
	})
	t.Logf("%d acknowledged, %d lost, %d arrived twice", count.Load(), lost, duplicates)
	if lost > 0 {
		t.Errorf("%d messages that got 250 are lost", lost)
	}
	if duplicates > sessions*20 {
		t.Errorf("%d duplicates: more than what can have been in flight", duplicates)
	}
}

// session sends messages from number n on over one connection and returns how many
// got 250.
func session(addr, name string, n, end int, acked func(subject string)) (done int) {
	c, err := smtp.Dial(addr)
	if err != nil {
		return 0
	}
	defer c.Close()
	c.CommandTimeout, c.SubmissionTimeout = limit, limit
	for ; n < end; n++ {
		subject := fmt.Sprintf("%s-%d", name, n)
		letter := "From: sender@client.example\r\nSubject: " + subject + "\r\n\r\n" + body(subject)
		if err := c.SendMail("sender@client.example", []string{"info@alias.example"}, strings.NewReader(letter)); err != nil {
			return done
		}
		acked(subject)
		done++
	}
	return done
}

// body differs from message to message, so that a mix-up shows.
func body(subject string) string {
	return strings.Repeat("line of "+subject+"\r\n", 40)
}
