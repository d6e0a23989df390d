package mailauth

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/authres"
)

// table is mailauth_policy_maps; the value "!" is a table that cannot answer.
type table map[string]string

func (m table) Lookup(_ context.Context, key string) (string, bool, error) {
	v, ok := m[key]
	if v == "!" {
		return "", false, errors.New("no answer")
	}
	return v, ok, nil
}

type clients []string

func (c clients) Match(_ context.Context, name string, addr netip.Addr) (bool, error) {
	if slices.Contains(c, "!") {
		return false, errors.New("no answer")
	}
	return slices.Contains(c, name) || slices.Contains(c, addr.String()), nil
}

func TestOverrides(t *testing.T) {
	w := newWorld(t)
	w.dmarc("a.example", "reject") // and SPF fails: 550 5.7.1 without a table
	for _, tt := range []struct {
		name  string
		table table
		want  string
	}{
		{"none", table{}, "550 5.7.1"},
		{"author", table{"a.example": "dmarc=ignore"}, "accept"},
		{"author's parent", table{".example": "dmarc=ignore"}, "accept"},
		{"author's parent, without a dot", table{"example": "dmarc=ignore"}, "550 5.7.1"},
		{"a reverse-path that anybody can write", table{"nothing.b.example": "dmarc=hold"}, "550 5.7.1"},
		{"a reverse-path, of itself", table{"a.example": "dmarc=ignore", "nothing.b.example": "spf=reject"}, "550 5.7.23"},
		{"client name", table{"lists.c.example": "dmarc_reject=defer"}, "451 4.7.1"},
		{"above the client's name", table{".c.example": "dmarc_reject=defer"}, "451 4.7.1"},
		{"client address", table{"192.0.2.9": "dmarc=tag"}, "accept"},
		{"client network", table{"192.0": "dmarc=tag"}, "accept"},
		{"the author comes first", table{"a.example": "dmarc=hold", "192.0.2.9": "dmarc=tag"}, "hold"},
		{"each action by itself", table{"a.example": "hosted=ignore", "192.0.2.9": "dmarc=tag spf=reject"}, "550 5.7.23"},
		{"no answer", table{"192.0.2.9": "!"}, "451 4.3.5"},
		{"a mistake", table{"a.example": "dmarc=forgive"}, "451 4.3.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := *w
			at.o.Overrides = tt.table
			r := request("192.0.2.9", "h", "x@nothing.b.example")
			r.Client.Name = "lists.c.example"
			at.zone.Remove("nothing.b.example")
			at.zone.AddTXT("nothing.b.example", "v=spf1 -all")
			v := at.verdict(r, letter("<x@a.example>"))
			if got := outcome(v); got != tt.want {
				t.Errorf("%s, want %s: %s", got, tt.want, v.Reason)
			}
		})
	}
	// What is authentic counts, and a hosted domain is for its own entry.
	for _, c := range []struct {
		table              table
		client, path, from string
		want               string
	}{
		{table{"b.example": "dmarc=ignore"}, "192.0.2.2", "x@b.example", "x@a.example", "accept"},
		{table{"b.example": "dmarc=ignore"}, "192.0.2.9", "x@b.example", "x@a.example", "550 5.7.1"},
		{table{"b.example": "hosted=tag"}, "192.0.2.9", "x@hosted.example", "x@b.example", "550 5.7.1"},
		{table{"b.example": "hosted=tag"}, "192.0.2.2", "x@b.example", "x@hosted.example", "550 5.7.1"},
		{table{"hosted.example": "hosted=tag"}, "192.0.2.2", "x@b.example", "x@hosted.example", "accept"},
		{table{"192.0.2.2": "hosted=tag"}, "192.0.2.2", "x@b.example", "x@hosted.example", "accept"},
	} {
		at := *w
		at.o.Overrides = c.table
		if got := outcome(at.verdict(request(c.client, "h", c.path), letter("<"+c.from+">"))); got != c.want {
			t.Errorf("%v, MAIL FROM:<%s>, From: %s: %s, want %s", c.table, c.path, c.from, got, c.want)
		}
	}
	w.o.Overrides, w.o.Subdomains = table{"example": "dmarc=ignore"}, true
	if got := outcome(w.verdict(request("192.0.2.9", "h", "x@b.example"), letter("<x@a.example>"))); got != "accept" {
		t.Errorf("with subdomains: %s", got)
	}
}

func TestParseOverride(t *testing.T) {
	for _, bad := range []string{"", " ", "dmarc", "dmarc=", "=tag", "dkim=tag", "dmarc=yes", "tag", "dmarc=tag,spf"} {
		if _, err := ParseOverride(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"dmarc=tag", "SPF=Reject, hosted=defer\tno_author=hold", "spf_temperror=defer dmarc_temperror=defer dmarc_reject=tag dmarc_quarantine=tag hosted_temperror=ignore"} {
		if _, err := ParseOverride(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestAddressKeys(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.9":        "192.0.2.9 192.0.2 192.0 192",
		"::ffff:192.0.2.9": "192.0.2.9 192.0.2 192.0 192",
		"2001:db8::9":      "2001:db8::9 2001:db8 2001",
		"::1":              "::1",
	} {
		f := &Findings{Request: request("192.0.2.1", "h", "")}
		f.Request.Client.Addr = netip.MustParseAddr(addr)
		if got := strings.Join(addressKeys(f), " "); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestKnownForwarders(t *testing.T) {
	w := newWorld(t)
	w.dmarc("a.example", "reject")
	w.o.Policy.SPFFail = Reject
	for _, tt := range []struct{ list, want string }{
		{"192.0.2.8", "550 5.7.1"}, {"192.0.2.9", "accept"}, {"lists.c.example", "accept"},
		{"!", "accept"}, // nobody knows: no evidence is seen where there may be none
	} {
		w.o.KnownForwarders = clients{tt.list}
		r := request("192.0.2.9", "h", "x@b.example")
		r.Client.Name = "lists.c.example"
		if v := w.verdict(r, letter("<x@a.example>")); outcome(v) != tt.want {
			t.Errorf("%s: %s, want %s: %s", tt.list, outcome(v), tt.want, v.Reason)
		}
	}
}

// What is written down: the field, what is kept with the message, the line in the log.
func TestResults(t *testing.T) {
	w := newWorld(t)
	w.dmarc("a.example", "reject")
	w.o.ReceivedSPF = true
	v := w.verdict(request("192.0.2.1", "mail.a.example", "x@a.example"), w.signed("a.example", letter("<x@a.example>")))
	fields := unfolded(v.Prepend)
	for _, want := range []string{
		"Authentication-Results: mx.own.example; dmarc=pass (p=reject dis=none) header.from=a.example; spf=pass smtp.mailfrom=x@a.example; ",
		"; dkim=pass header.d=a.example header.i=@a.example header.s=s header.a=ed25519-sha256 header.b=",
		"\r\nReceived-SPF: pass (",
	} {
		if !strings.Contains(fields, want) {
			t.Errorf("no %q in\n%s", want, fields)
		}
	}
	if want := "author=a.example dmarc=pass (p=reject) spf=pass dkim=pass:a.example arc=none action=accept"; v.Reason != want {
		t.Errorf("log %q, want %q", v.Reason, want)
	}
	if !strings.HasPrefix(v.Auth.Results, "dmarc=pass (p=reject dis=none) header.from=a.example; spf=pass ") {
		t.Errorf("results %q", v.Auth.Results)
	}
	if got := v.Auth; got.SPF != mail.AuthPass || got.DMARC != mail.AuthPass || got.ARC != mail.AuthNone || !got.Vouched {
		t.Errorf("kept %+v", got)
	}

	// Without the field, but where the action says so.
	w.o.ResultsHeader, w.o.ReceivedSPF = false, false
	if v := w.verdict(request("192.0.2.1", "h", "x@a.example"), letter("<x@a.example>")); v.Prepend != nil || v.Auth.Results == "" {
		t.Errorf("fields %q, results %q", v.Prepend, v.Auth.Results)
	}
	if v := w.verdict(request("192.0.2.2", "h", "x@b.example"), letter("<x@a.example>")); !strings.HasPrefix(string(v.Prepend), "Authentication-Results: ") {
		t.Errorf("tagged: %q", v.Prepend)
	}
}

// Whatever a stranger writes ends up inside of a field, a line of the log, a reply.
func TestResultsOfHostileNames(t *testing.T) {
	w := newWorld(t)
	w.o.Policy.SPFFail, w.o.ReceivedSPF = Reject, true
	hostile := "x\r\nX-Injected: y; (\"\\é"
	r := request("192.0.2.9", hostile, "")
	r.Sender = mail.Address{Local: hostile, Domain: "a.example"}
	for _, from := range []string{"<x@a.example>", "<" + hostile + ">", "<x@[" + strings.Repeat("a", 9000) + "]>"} {
		v := w.verdict(r, letter(from))
		for line := range strings.SplitSeq(strings.TrimSuffix(string(v.Prepend), "\r\n"), "\r\n") {
			if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "Authentication-Results: ") && !strings.HasPrefix(line, "Received-SPF: ") {
				t.Errorf("a field of its own: %q", line)
			}
		}
		_, value, _ := strings.Cut(string(v.Prepend), ":")
		value, _, _ = strings.Cut(value, "\r\nReceived-SPF:")
		if _, _, err := authres.Parse([]byte(value)); err != nil {
			t.Errorf("%v: %q", err, value)
		}
		if strings.ContainsAny(v.Reason, "\r\n") || v.Refused == nil || strings.ContainsAny(v.Refused.Text, "\r\n") || len(v.Refused.Text) > 480 {
			t.Errorf("%q %+v", v.Reason, v.Refused)
		}
	}
}

func TestPathAtRcpt(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, ip string
		at       bool
		action   Action
		want     string
	}{
		{"not asked for", "192.0.2.9", false, Reject, "accept"},
		{"fails", "192.0.2.9", true, Reject, "550 5.7.23"},
		{"fails, later", "192.0.2.9", true, Defer, "451 4.7.23"},
		{"fails, and that is no reason", "192.0.2.9", true, Tag, "accept"},
		{"held at the end, not here", "192.0.2.9", true, Hold, "accept"},
		{"passes", "192.0.2.1", true, Reject, "accept"},
	} {
		w.o.RejectAtRcpt, w.o.Policy.SPFFail = tt.at, tt.action
		tx := w.verifier().Begin(context.Background(), request(tt.ip, "h", "x@a.example"))
		if got := outcome(mail.AuthVerdict{Refused: tx.Path(context.Background())}); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		tx.Close()
	}
	w.zone.Fail("a.example", dnstest.ServFail)
	w.o.RejectAtRcpt, w.o.Policy.SPFTempError = true, Defer
	tx := w.verifier().Begin(context.Background(), request("192.0.2.1", "h", "x@a.example"))
	defer tx.Close()
	if got := outcome(mail.AuthVerdict{Refused: tx.Path(context.Background())}); got != "451 4.7.24" {
		t.Errorf("no answer: %s", got)
	}
}

// How many questions a message costs: of one that is signed, of one that is not, when nothing
// is known, and when all of it is.
func TestQuestions(t *testing.T) {
	w := newWorld(t)
	w.dmarc("a.example", "reject; psd=n")
	w.zone.AddTXT("mail.a.example", "v=spf1 ip4:192.0.2.1 -all")
	for _, tt := range []struct {
		name, message string
		cold          int
	}{
		// SPF of the reverse-path, and of the HELO name; the key; the record of the author.
		{"signed", w.signed("a.example", letter("<x@a.example>")), 4},
		{"not signed", letter("<x@a.example>"), 3},
	} {
		v := w.verifier()
		for _, want := range []int{tt.cold, 0} {
			tx := v.Begin(context.Background(), request("192.0.2.1", "mail.a.example", "x@a.example"))
			tx.Message(context.Background(), mail.AuthMessage{Body: bodyOf(tt.message)})
			tx.Close()
			if asked := w.zone.Asked(); len(asked) != want {
				t.Errorf("%s: %d questions, want %d: %v", tt.name, len(asked), want, asked)
			}
		}
	}
	v := w.verifier()
	tx := v.Begin(context.Background(), request("192.0.2.1", "mail.a.example", "x@a.example"))
	tx.Close()
	if asked := w.zone.Asked(); len(asked) > 2 {
		t.Errorf("without a message: %v", asked)
	}
}

// Large messages wait for their turn, and no longer than their time.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1)
		large, small := bodyOf(strings.Repeat("x", bigBody)), bodyOf("x")
		leave, err := g.enter(context.Background(), large)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.enter(context.Background(), small); err != nil {
			t.Errorf("a small one: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := g.enter(ctx, large); err == nil {
			t.Error("two at a time")
		}
		leave()
		leave, err = g.enter(context.Background(), large)
		if err != nil {
			t.Error(err)
		}
		leave()
	})
}

// A large message that has had no turn is neither signed nor unsigned.
func TestNoTurn(t *testing.T) {
	w := newWorld(t)
	w.dmarc("a.example", "reject")
	w.o.Gate = NewGate(1)
	large := w.signed("a.example", letter("<x@a.example>")+strings.Repeat("body\r\n", bigBody/6+1))
	leave, _ := w.o.Gate.enter(context.Background(), bodyOf(large))
	defer leave()
	w.o.Timeout = time.Millisecond
	v := w.verdict(request("192.0.2.9", "h", "x@b.example"), large)
	if v.Refused != nil || v.Auth.Vouched || !strings.Contains(v.Reason, "dkim=temperror") {
		t.Errorf("%+v", v)
	}
}

type unreadable struct{}

func (unreadable) Size() int64                  { return 10 }
func (unreadable) Open() (io.ReadCloser, error) { return nil, errors.New("the disk is broken") }

func TestUnreadable(t *testing.T) {
	w := newWorld(t)
	tx := w.verifier().Begin(context.Background(), request("192.0.2.1", "h", "x@a.example"))
	defer tx.Close()
	v := tx.Message(context.Background(), mail.AuthMessage{Body: unreadable{}})
	if outcome(v) != "451 4.3.0" || strings.Contains(v.Refused.Text, "disk") || !strings.Contains(v.Reason, "disk") {
		t.Errorf("%+v", v)
	}
}
