package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/alias"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/srs"
	"aliasmx/internal/table"
)

func newRewriter(t *testing.T) *srsRewriter {
	t.Helper()
	codec, err := srs.New(srs.Options{Domain: "srs.example", Secrets: []string{"a secret of the tests"}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := table.ParseDomainList([]string{"alias.example"}, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := alias.New(alias.Options{MyHostname: "mx.alias.example", MyOrigin: "alias.example", AppendAtMyOrigin: true, VirtualAliasDomains: list, Returns: srsReturns{codec}})
	if err != nil {
		t.Fatal(err)
	}
	return &srsRewriter{
		codec: codec, enabled: true, resolver: resolver, bounces: new(bounceCounts), unit: time.Minute,
		now: func() time.Time { return time.Unix(1900000000, 0) }, log: slog.New(slog.DiscardHandler),
	}
}

// A report of our own, a bare name and a bounce keep their sender; who came by a bare name of
// ours does not.
func TestRewriteSender(t *testing.T) {
	w := newRewriter(t)
	bounce, err := w.codec.Forward(mail.SplitAddress("author@client.example"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, from, orig, final string
		flags                   mail.Flags
		rewritten               bool
	}{
		{"alias", "a@client.example", "info@alias.example", "x@dest.example", 0, true},
		{"bare name", "a@client.example", "info", "x@dest.example", 0, true},
		{"postmaster of srs_domain", "a@client.example", "postmaster@srs.example", "x@dest.example", 0, true},
		{"notice", "double-bounce@client.example", "info@alias.example", "x@dest.example", mail.FlagNotice, false},
		{"sender without a domain", "a", "info@alias.example", "x@dest.example", 0, false},
		{"bounce", "robot@else.example", bounce.String(), "author@client.example", 0, false},
		{"relayed by another domain's name", "a@client.example", "info@else.example", "x@dest.example", 0, false},
	} {
		from := mail.SplitAddress(c.from)
		env := &mail.Envelope{Sender: from, Flags: c.flags, Rcpts: []mail.Recipient{{Orig: mail.SplitAddress(c.orig), Final: mail.SplitAddress(c.final)}}}
		got, err := w.RewriteSender(context.Background(), env, 0)
		if err != nil || (got.Domain == "srs.example") != c.rewritten || !c.rewritten && got != from {
			t.Errorf("%s: got %v, %v", c.name, got, err)
		}
	}
}

// What a stranger has not proven keeps no sender, by whichever way it leaves for somebody else.
func TestRewriteUnprovenSender(t *testing.T) {
	w := newRewriter(t)
	w.excluded = func(_ context.Context, domain string) (bool, error) { return domain == "customer.example", nil }
	bounce, err := w.codec.Forward(mail.SplitAddress("author@client.example"))
	if err != nil {
		t.Fatal(err)
	}
	failed := mail.Authentic{Author: "customer.example", SPF: mail.AuthFail, DMARC: mail.AuthNone}
	for _, c := range []struct {
		name, from, orig, final string
		auth                    mail.Authentic
		rewritten               bool
	}{
		{"excluded", "a@customer.example", "info@alias.example", "x@dest.example", failed, true},
		{"excluded, SPF passes", "a@customer.example", "info@alias.example", "x@dest.example", mail.Authentic{SPF: mail.AuthPass}, false},
		{"excluded, DKIM passes", "a@customer.example", "info@alias.example", "x@dest.example", mail.Authentic{SPF: mail.AuthFail, Vouched: true}, false},
		{"excluded, submitted", "a@customer.example", "info@alias.example", "x@dest.example", mail.Authentic{Author: "customer.example"}, false},
		{"excluded, SPF was not asked", "a@customer.example", "info@alias.example", "x@dest.example", mail.Authentic{DMARC: mail.AuthNone}, true},
		{"ours", "a@alias.example", "info@alias.example", "x@dest.example", failed, true},
		{"sent on by an action", "a@customer.example", "x@dest.example", "x@dest.example", failed, true},
		{"to a bounce address", "a@customer.example", bounce.String(), "author@client.example", failed, true},
		{"to one of ours", "a@customer.example", "info@alias.example", "x@alias.example", failed, false},
		{"null", "", "info@alias.example", "x@dest.example", failed, false},
	} {
		from := mail.SplitAddress(c.from)
		env := &mail.Envelope{Sender: from, Auth: c.auth, Rcpts: []mail.Recipient{{Orig: mail.SplitAddress(c.orig), Final: mail.SplitAddress(c.final)}}}
		got, err := w.RewriteSender(context.Background(), env, 0)
		if err != nil || (got.Domain == "srs.example") != c.rewritten || !c.rewritten && got != from {
			t.Errorf("%s: got %v, %v", c.name, got, err)
		}
	}
}

// A table that cannot be asked is tried again: mail never leaves as it is because of it.
func TestRewriteSenderLater(t *testing.T) {
	w := newRewriter(t)
	w.excluded = func(context.Context, string) (bool, error) { return false, errors.New("no answer") }
	env := &mail.Envelope{Sender: mail.SplitAddress("a@client.example"), Rcpts: []mail.Recipient{{Orig: mail.SplitAddress("info@alias.example"), Final: mail.SplitAddress("x@dest.example")}}}
	if got, err := w.RewriteSender(context.Background(), env, 0); err == nil || !mail.StatusOf(err).Temporary() || !got.IsNull() {
		t.Errorf("got %v, %v; want a temporary error", got, err)
	}
	if refused := w.MayLeave(context.Background(), env.Sender, env.Rcpts[0].Orig, env.Rcpts); refused != nil {
		t.Errorf("the client is told %v", refused)
	}
}

func TestBounceCounts(t *testing.T) {
	var c bounceCounts
	now := time.Unix(1900000000, 0)
	a, b := mail.SplitAddress("a@client.example"), mail.SplitAddress("b@client.example")
	for i, step := range []struct {
		sender mail.Address
		later  time.Duration
		want   int
	}{
		{a, 0, 1}, {mail.SplitAddress("A@Client.example"), 0, 2}, {b, 59 * time.Second, 1}, {a, 0, 3}, {a, time.Second, 1}, {b, 0, 1},
		{b, -2 * time.Hour, 1}, // the clock was set back
	} {
		now = now.Add(step.later)
		if n, known := c.count(step.sender, time.Minute, now); n != step.want || !known {
			t.Errorf("step %d: %d, %v; want %d", i, n, known, step.want)
		}
	}
	for i := range maxBounced {
		c.count(mail.Address{Local: itoa(i), Domain: "flood.example"}, time.Minute, now)
	}
	if len(c.of) != maxBounced {
		t.Errorf("%d senders are kept", len(c.of))
	}
	if n, known := c.count(mail.SplitAddress("one@more.example"), time.Minute, now); n != 0 || known {
		t.Errorf("one more: %d, %v", n, known)
	}
	if n, _ := c.count(b, time.Minute, now); n != 2 {
		t.Errorf("who was there has %d", n)
	}
}

// The command: only the address on standard output, nothing where there is none.
func TestSRSCommand(t *testing.T) {
	good, short := writeTemp(t, "a secret of the tests\n"), writeTemp(t, "tops3cr3t\n")
	for _, c := range []struct {
		args, stdout, stderr string
		status               int
	}{
		{"forward test@otherdomain.com --secret-file SHORT --domain example.com --now 1577836860", "SRS0=vmyz=2W=otherdomain.com=test@example.com\n", "warning: *: the first secret has 9 bytes", 0},
		{"--now 1577836860 --secret-file=SHORT --domain example.com --separator + forward test@otherdomain.com", "SRS0+vmyz=2W=otherdomain.com=test@example.com\n", "", 0},
		{"--separator - forward --now 1577836860 <test@otherdomain.com> --secret-file SHORT --domain example.com", "SRS0-vmyz=2W=otherdomain.com=test@example.com\n", "", 0},
		{"reverse srs0-vmyz=2w=otherdomain.com=test@example.com --secret-file SHORT --domain example.com --now 1577836860", "test@otherdomain.com\n", "", 0},
		{"reverse SRS0=vmyz=2W=otherdomain.com=test@example.com --secret-file GOOD --domain example.com --now 1577836860", "", "hash in the SRS address is wrong", 1},
		{"reverse SRS0=vmyz=2W=otherdomain.com=test@example.com --secret-file SHORT --domain example.com", "", "has expired", 1},
		{"reverse SRS0=vmyz@example.com --secret-file GOOD --domain example.com", "", "malformed", 1},
		{"reverse test@example.com --secret-file GOOD --domain example.com", "", "not an SRS address", 1},
		{"forward test --secret-file GOOD --domain example.com", "", "no domain", 1},
		{"forward test@x.example --secret-file NONE --domain example.com", "", "no such file", 78},
		{"sideways test@x.example --secret-file GOOD --domain example.com", "", "neither forward nor reverse", 64},
		{"forward test@x.example --domain example.com", "", "secret-file", 64},
		{"forward test@x.example --secret-file GOOD --domain example.com --separator #", "", "separator", 64},
	} {
		var stdout, stderr strings.Builder
		args := strings.Fields(strings.NewReplacer("GOOD", good, "SHORT", short, "NONE", good+".none").Replace(c.args))
		status := srsCommand(args, environ{stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }})
		before, after, _ := strings.Cut(c.stderr, "*")
		if status != c.status || stdout.String() != c.stdout || !strings.Contains(stderr.String(), before) || !strings.Contains(stderr.String(), after) {
			t.Errorf("%s: exit status %d, %q, %q", c.args, status, stdout.String(), stderr.String())
		}
	}
}

func writeTemp(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What nothing proves leaves as it came only for servers of ours, and for those of relay_domains
// where no SPF record of its sender could let us.
func TestRewriteUnproven(t *testing.T) {
	w := newRewriter(t)
	relayed, err := table.ParseDomainList([]string{"relayed.example"}, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if w.resolver, err = alias.New(alias.Options{MyHostname: "mx.alias.example", RelayDomains: relayed}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		auth      mail.Authentic
		rewritten bool
	}{
		{mail.Authentic{}, false},
		{mail.Authentic{SPF: mail.AuthPass, DMARC: mail.AuthFail}, false},
		{mail.Authentic{SPF: mail.AuthFail, DMARC: mail.AuthPass, Vouched: true}, false},
		{mail.Authentic{SPF: mail.AuthNone, DMARC: mail.AuthNone}, false},
		{mail.Authentic{SPF: mail.AuthSoftFail, DMARC: mail.AuthNone}, true},
		{mail.Authentic{SPF: mail.AuthFail, DMARC: mail.AuthFail}, true},
		{mail.Authentic{SPF: mail.AuthTempError, DMARC: mail.AuthTempError}, true},
	} {
		x := mail.SplitAddress("x@relayed.example")
		env := &mail.Envelope{Sender: mail.SplitAddress("a@client.example"), Auth: c.auth, Rcpts: []mail.Recipient{{Orig: x, Final: x}}}
		a, err := w.RewriteSender(t.Context(), env, 0)
		if err != nil || (a != env.Sender) != c.rewritten {
			t.Errorf("%+v: %s, %v", c.auth, a, err)
		}
	}
}
