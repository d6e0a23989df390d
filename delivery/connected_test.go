package delivery

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// Whoever hands an attempt out is asked before the end of the content leaves, once in each
// transaction that has one. With a no the server has no message, and no QUIT: it would be
// content.
func TestEnding(t *testing.T) {
	for _, way := range []struct {
		name     string
		keywords []string
	}{{"DATA", allKeywords}, {"BDAT", chunkKeywords}} {
		for _, large := range []bool{false, true} {
			for _, yes := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, large %v, %v", way.name, large, yes), func(t *testing.T) {
					p := &peer{keywords: way.keywords}
					s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
					asked := 0
					a := letter("one@dest.example")
					a.Until, a.Ending = t.Context(), func() bool { asked++; return yes }
					if large {
						a.Body = largeBody
					}
					src := s.send("smtp:[192.0.2.1]", a)
					s.net.wait()
					want, got := mail.Deferred, 0
					if yes {
						want, got = mail.Delivered, 1
					}
					if r := src.results[0][0]; r.State != want || len(p.got()) != got || asked != 1 {
						t.Errorf("%s; %d messages, asked %d times", fate(r), len(p.got()), asked)
					}
					if said := strings.Join(p.commands(1), " "); !yes && strings.Contains(said, "QUIT") {
						t.Errorf("said %q", said)
					}
				})
			}
		}
	}
}

// Nobody is asked where there is nothing to end.
func TestEndingIsNotAsked(t *testing.T) {
	for _, verb := range []string{"MAIL", "RCPT", "DATA"} {
		p := &peer{keywords: allKeywords, on: script(map[string]string{verb: "550 no"})}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		a := letter("one@dest.example")
		a.Ending = func() bool { t.Errorf("asked although %s was refused", verb); return true }
		if src := s.send("smtp:[192.0.2.1]", a); src.results[0][0].State != mail.Failed {
			t.Errorf("%s: %s", verb, fate(src.results[0][0]))
		}
	}
}

// An attempt that is given up ends at once, wherever it waits, and blames nobody.
func TestUntil(t *testing.T) {
	for _, at := range []string{"dial", "connect", "EHLO", "MAIL", "RCPT", "DATA"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{keywords: []string{"SIZE"}, on: script(map[string]string{at: "stall"})}
				peers := map[string]any{"192.0.2.1:25": p}
				if at == "dial" {
					peers["192.0.2.1:25"] = "silent"
				}
				s := newSetup(t, peers, Options{})
				a := letter("one@dest.example")
				until, giveUp := context.WithTimeout(context.Background(), 7*time.Second)
				defer giveUp()
				a.Until = until
				a.Ending = func() bool { t.Error("asked"); return true }
				began := time.Now()
				src := s.send("smtp:[192.0.2.1]", a)
				if took := time.Since(began); took != 7*time.Second {
					t.Errorf("it ended after %v", took)
				}
				if r := src.results[0][0]; r.State != mail.Deferred {
					t.Error(fate(r))
				}
				for addr, state := range s.hosts.byAddr {
					if state.penalty.on(time.Now()) {
						t.Errorf("%v is in penalty", addr)
					}
				}
				s.net.wait()
				s.Close()
			})
		})
	}
}

// A connection outlives the attempt that it was made for, and whatever becomes of its Until.
func TestUntilIsForOneAttempt(t *testing.T) {
	p := &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{CacheTime: time.Minute, ReuseTime: time.Minute})
	first, second, third := letter("one@dest.example"), letter("two@dest.example"), letter("three@dest.example")
	until, giveUp := context.WithCancel(context.Background())
	first.Until, first.Ending = until, func() bool { return true }
	again, giveUpAgain := context.WithCancel(context.Background())
	second.Until, second.Ending = again, func() bool { giveUp(); return true }
	third.Ending = func() bool { giveUpAgain(); return true }
	src := s.send("smtp:[192.0.2.1]", first, second, third)
	for i := range src.results {
		if r := src.results[i][0]; r.State != mail.Delivered {
			t.Errorf("%d: %s", i, fate(r))
		}
	}
	if p.count() != 1 || len(p.got()) != 3 {
		t.Errorf("%d connections, %d messages", p.count(), len(p.got()))
	}
}
