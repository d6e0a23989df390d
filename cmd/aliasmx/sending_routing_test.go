package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
)

// The address that a virtual host connects from (postconf(5): smtp_bind_address, note 1).
func TestOnlyAddresses(t *testing.T) {
	for interfaces, want := range map[string]string{
		"192.0.2.1":                             "192.0.2.1 -",
		"192.0.2.1, [2001:db8::1]":              "192.0.2.1 2001:db8::1",
		"192.0.2.1, 192.0.2.2, 2001:db8::1":     "- 2001:db8::1",
		"127.0.0.1, ::1":                        "- -",
		"127.0.0.1, 192.0.2.1, 2001:db8::1":     "- 2001:db8::1",
		"all":                                   "- -",
		"loopback-only":                         "- -",
		"192.0.2.1, localhost":                  "- -",
		"2001:db8::1, 2001:db8::2, 192.0.2.200": "192.0.2.200 -",
	} {
		cfg, err := postconf.Load(postconf.LoadOptions{Dir: explainDir(t, "inet_interfaces = "+interfaces+"\n")})
		if err != nil {
			t.Fatal(err)
		}
		v4, v6 := onlyAddresses(cfg)
		got := ""
		for i, a := range []interface {
			IsValid() bool
			String() string
		}{v4, v6} {
			text := "-"
			if a.IsValid() {
				text = a.String()
			}
			got += []string{"", " "}[i] + text
		}
		if got != want {
			t.Errorf("%s: %s, want %s", interfaces, got, want)
		}
	}
}

// handedOut is a source that was asked for nothing, and what it was told.
type handedOut struct {
	results []mail.Result
	of      *mail.Attempt
}

func (h *handedOut) Done(a *mail.Attempt, results []mail.Result, _ mail.Feedback) {
	h.of, h.results = a, results
}

// best_mx_transport: those whose mail loops by the DNS are passed on, and nobody else; each
// is decided once.
func TestLoopingMailIsPassedOn(t *testing.T) {
	loops := mail.Result{State: mail.Failed, Status: mail.Status{Enhanced: mail.Code(5, 4, 6)}, Relay: "none"}
	says, later, sent := loops, loops, mail.Result{State: mail.Delivered, Relay: "x[192.0.2.1]:25"}
	says.Relay = "x[192.0.2.1]:25"
	later.State = mail.Deferred
	results := []mail.Result{loops, says, later, sent, loops}
	for i := range results {
		results[i].Rcpt = i
	}
	var passed []int
	h := &handedOut{}
	s := &loopingSource{Source: sourceOf{h}, pass: func(a *mail.Attempt) []mail.Result {
		passed = a.Rcpts
		return []mail.Result{{Rcpt: 0, State: mail.Delivered}, {Rcpt: 4, State: mail.Delivered}}
	}}
	a := &mail.Attempt{Rcpts: []int{0, 1, 2, 3, 4}}
	s.Done(a, results, mail.FeedbackBad)
	if !slices.Equal(passed, []int{0, 4}) || h.of != a || len(a.Rcpts) != 5 {
		t.Errorf("passed on %v, reported of %v", passed, h.of)
	}
	fates := map[int]mail.State{}
	for _, r := range h.results {
		if _, twice := fates[r.Rcpt]; twice {
			t.Errorf("recipient %d is decided twice", r.Rcpt)
		}
		fates[r.Rcpt] = r.State
	}
	for rcpt, want := range []mail.State{mail.Delivered, mail.Failed, mail.Deferred, mail.Delivered, mail.Delivered} {
		if got, ok := fates[rcpt]; !ok || got != want {
			t.Errorf("recipient %d: %v, want %v", rcpt, got, want)
		}
	}
}

// sourceOf makes a source of who hears what became of attempts.
type sourceOf struct{ *handedOut }

func (sourceOf) Next(context.Context, time.Duration) (*mail.Attempt, bool) { return nil, false }
