package queue

import (
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// In no stretch of the time that a rate is for are there more than it says, and in the
// long run nine tenths of it are used.
func TestRateIsKept(t *testing.T) {
	for _, limits := range []mail.SiteLimits{
		{Rate: 1, Per: time.Second}, {Rate: 2, Per: time.Minute}, {Rate: 10, Per: time.Minute},
		{Rate: 100, Per: time.Minute}, {Rate: 7, Per: time.Hour}, {Rate: 1000, Per: time.Second},
	} {
		var p pace
		now := start
		var begun []time.Time
		for range 5 * limits.Rate {
			now = later(now, p.from())
			p.begin(now, &TransportParams{}, &limits)
			begun = append(begun, now)
		}
		for i, j := 0, 0; j < len(begun); j++ {
			for begun[j].Sub(begun[i]) >= limits.Per {
				i++
			}
			if n := j - i + 1; n > limits.Rate {
				t.Fatalf("%d in %v: %d of them in one stretch", limits.Rate, limits.Per, n)
			}
		}
		took := begun[len(begun)-1].Sub(begun[0])
		if least := 5 * limits.Per * 9 / 10; limits.Rate >= 10 && took > 5*limits.Per*12/10 {
			t.Errorf("%d in %v: five times as many took %v, which is far more than %v", limits.Rate, limits.Per, took, least)
		}
	}
}

func TestRateLetsAFewComeTogether(t *testing.T) {
	var p pace
	limits := mail.SiteLimits{Rate: 100, Per: time.Minute}
	for range 10 {
		if !p.ready(start) {
			t.Fatal("of a hundred a minute, ten may come at once")
		}
		p.begin(start, &TransportParams{}, &limits)
	}
	if p.ready(start) {
		t.Error("eleven come at once")
	}
}

// A provider that asks for less gets half as much, at once once, and more again when it
// has not asked for a while.
func TestRepliesSlowDown(t *testing.T) {
	var p pace
	now := start
	for range 100 { // twenty a second
		p.begin(now, &TransportParams{}, &mail.SiteLimits{})
		now = now.Add(50 * time.Millisecond)
	}
	began := now
	now = now.Add(time.Second)
	if !p.slower(now, began) {
		t.Fatal("the first reply says nothing new")
	}
	if p.spacing < 70*time.Millisecond || p.spacing > 80*time.Millisecond {
		t.Errorf("spacing %v, want about 75 ms", p.spacing)
	}
	for range 19 {
		if p.slower(now, began) {
			t.Fatal("what was under way together counts twice")
		}
	}
	replies := 0
	for ; p.spacing < enough; replies++ { // a flood ends soon
		now = now.Add(p.spacing)
		p.slower(now, now)
	}
	if replies > 12 {
		t.Errorf("%d replies until deliveries are a second apart", replies)
	}
	for range 4 { // then not every one counts
		now = now.Add(time.Second)
		p.slower(now, now)
	}
	if p.spacing != enough {
		t.Errorf("after four seconds more: spacing %v", p.spacing)
	}
	for range 20 {
		now = now.Add(hearAgain)
		p.slower(now, now)
	}
	if p.spacing != mostSpacing {
		t.Errorf("in the end: spacing %v, want %v", p.spacing, mostSpacing)
	}
	p.ease(now.Add(easeAfter - time.Second))
	if p.spacing != mostSpacing {
		t.Error("eased too early")
	}
	deliveries := 0
	for ; p.spacing > 0 && deliveries < 100; deliveries++ {
		now = now.Add(max(5*p.spacing, easeAfter))
		p.ease(now)
	}
	if p.spacing != 0 || deliveries > 30 || !p.idle(now.Add(mostSpacing)) {
		t.Errorf("nobody asks any more: spacing %v after %d deliveries", p.spacing, deliveries)
	}
}

// What a provider bears is found between the last spacing that was too little and the last
// that was not.
func TestSpacingFindsTheRate(t *testing.T) {
	for _, bears := range []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second, 4 * time.Second, 20 * time.Second} {
		var p pace
		now, refused, taken := start, 0, 0
		for now.Before(start.Add(2 * time.Hour)) {
			began := now
			p.begin(now, &TransportParams{}, &mail.SiteLimits{})
			now = now.Add(5 * time.Millisecond)
			if p.spacing < bears {
				refused++
				p.slower(now, began)
			} else {
				taken++
				p.ease(now)
			}
			now = later(now, p.from())
		}
		if most := int(2 * time.Hour / bears); taken < most/2 || refused > taken/2+20 {
			t.Errorf("one each %v: %d taken of %d that might have been, %d refused", bears, taken, most, refused)
		}
	}
}

func TestWhatAsksForLess(t *testing.T) {
	site := &site{limits: mail.SiteLimits{SlowReplies: []string{"4.3.2", "4.2.", "TSS04"}}}
	for _, c := range []struct {
		code mail.Enhanced
		text string
		slow bool
	}{
		{mail.Code(4, 7, 28), "Our system has detected an unusual rate of unsolicited mail", true},
		{mail.Code(4, 7, 0), "Too many messages from you, try later", true},
		{mail.Code(4, 7, 650), "The mail server has been temporarily rate limited due to IP reputation", true},
		{mail.Code(4, 7, 0), "Messages temporarily deferred due to unexpected volume", true},
		{mail.Code(4, 7, 0), "[tss04] deferred", true},
		{mail.Code(4, 3, 2), "try later", true},
		{mail.Code(4, 2, 1), "mailbox busy", true},
		{mail.Code(4, 7, 1), "Greylisted, please try again in 300 seconds", false},
		{mail.Code(4, 7, 0), "Too many concurrent connections", false}, // for the window
		{mail.Code(4, 4, 1), "rate limit of a mailbox, perhaps", false},
		{mail.Code(4, 3, 1), "Insufficient system storage", false},
		{mail.Code(5, 7, 1), "rate limit: for good", false},
		{mail.Enhanced{}, "", false},
	} {
		reply := trouble{status: mail.Status{Enhanced: c.code, Text: c.text}}
		if got := site.asksForLess(reply); got != c.slow {
			t.Errorf("%v %s: %v, want %v", c.code, c.text, got, c.slow)
		}
	}
}
