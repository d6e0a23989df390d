package verify

import (
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// As verify_sender_addr.ref of Postfix has it: a sender with a stamp holds for its own
// period and the ones beside it.
func TestProbeSender(t *testing.T) {
	now := time.Unix(1_764_000_000, 0)
	for _, c := range []struct {
		name, sender string
		ttl          time.Duration
		want         string
		holds        [5]bool // two periods before to two after
		base         string
	}{
		{"default", "double-bounce", 0, "double-bounce@mx.example.com", [5]bool{true, true, true, true, true}, "double-bounce@mx.example.com"},
		{"with a domain", "aa@bb.example", 0, "aa@bb.example", [5]bool{true, true, true, true, true}, "aa@bb.example"},
		{"with a stamp", "aa@bb.example", time.Hour, "aaJFWG@bb.example", [5]bool{false, true, true, true, false}, "aa@bb.example"},
		{"stamp without domain", "aa", time.Hour, "aaJFWG@mx.example.com", [5]bool{false, true, true, true, false}, "aa@mx.example.com"},
		{"null", "", time.Hour, "", [5]bool{true, true, true, true, true}, ""},
		{"null, spelt out", "<>", 0, "", [5]bool{true, true, true, true, true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Params{Sender: c.sender, SenderTTL: c.ttl, Complete: complete}
			got := p.probeSender(now)
			want(t, "sender", got.String(), c.want)
			for i, holds := range c.holds {
				base, ok := p.isProbeSender(got, now.Add(time.Duration(i-2)*time.Hour))
				if ok != holds || ok && base.String() != c.base {
					t.Errorf("%d periods later: %v, %v", i-2, base, ok)
				}
			}
		})
	}
}

func TestIsProbeSender(t *testing.T) {
	now := time.Unix(1_764_000_000, 0)
	for _, c := range []struct {
		sender string
		ttl    time.Duration
		addr   string
		want   bool
	}{
		{"double-bounce", 0, "DOUBLE-bounce@MX.example.com", true},
		{"double-bounce", 0, "double-bounces@mx.example.com", false},
		{"double-bounce", 0, "double-bounce@other.example", false},
		{"double-bounce", 0, "double", false},
		{"double-bounce", time.Hour, "double-bounce@mx.example.com", false},
		{"double-bounce", time.Hour, "double-bounceJFWGx@mx.example.com", false},
		{"double-bounce", time.Hour, "double-bounceZZZZZZZZZZZZZZZZZZZZZZZZZ@mx.example.com", false},
		{"double-bounce", time.Hour, "double-bounce0000JFWG@mx.example.com", true},
		{"", 0, "a@b.example", false},
	} {
		p := Params{Sender: c.sender, SenderTTL: c.ttl, Complete: complete}
		if _, got := p.isProbeSender(mail.SplitAddress(c.addr), now); got != c.want {
			t.Errorf("%q, %v: %s: %v", c.sender, c.ttl, c.addr, got)
		}
	}
}

func TestCheckSender(t *testing.T) {
	for s, ok := range map[string]bool{"": true, "<>": true, "a": true, "a@b": true, "@b": false, "a@": false, "@": false} {
		if err := CheckSender(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}
