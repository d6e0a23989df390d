package dkim

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// book has keys by domain, as a table would: ".a.example" is for those below it.
type book map[string][]Key

func (b book) of(_ context.Context, domain string) ([]Key, error) {
	for name, rest := domain, domain; ; name = "." + rest {
		if keys := b[name]; keys != nil {
			return keys, nil
		}
		var more bool
		if _, rest, more = strings.Cut(rest, "."); !more {
			return nil, nil
		}
	}
}

func bookOf(domains ...string) book {
	b := book{}
	for _, d := range domains {
		b[d] = []Key{{strings.TrimPrefix(d, "."), "ed", edKey()}}
	}
	return b
}

func outgoing(text string, env mail.Envelope, sender string) mail.Outgoing {
	env.ID = max(env.ID, 1)
	return mail.Outgoing{Env: &env, Sender: mail.SplitAddress(sender), Prepend: []byte("Received: by us\r\n"), Body: &content{text: text}}
}

// signedBy are the domains of the signatures in fields.
func signedBy(t testing.TB, made []byte) (list []string) {
	t.Helper()
	header, err := readHeader(crlfReader(bytes.NewReader(made)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range header {
		tags, err := parseTags(string(f.value()))
		if err != nil || f.name != fieldName {
			t.Fatalf("%q: %v", f.raw, err)
		}
		d, _ := tags.get("d")
		list = append(list, d)
	}
	return list
}

// TestSigner_Who: which mail is signed, and by whom.
func TestSigner_Who(t *testing.T) {
	keys := bookOf("a.example", ".wide.example", "host.example", "srs.example", "srs.example.net")
	vouched := func(author string) mail.Envelope {
		return mail.Envelope{Auth: mail.Authentic{Author: author, Vouched: true}}
	}
	judged := func(author, path string, spf mail.AuthResult) mail.Envelope {
		return mail.Envelope{Sender: mail.SplitAddress(path), Auth: mail.Authentic{Author: author, Vouched: true, SPF: spf, DMARC: mail.AuthPass}}
	}
	from := func(addr string) string { return "From: " + addr + "\r\n\r\nHi.\r\n" }
	notice := mail.Envelope{Flags: mail.FlagNotice}
	for _, c := range []struct {
		name, text string
		env        mail.Envelope
		sender     string
		forwarding string
		want       string
	}{
		{"submitted", from("x@a.example"), vouched("a.example"), "x@a.example", "", "a.example"},
		{"submitted, of a subdomain", from("x@sub.a.example"), vouched("sub.a.example"), "x@sub.a.example", "", ""},
		{"submitted, of a subdomain that its parent signs for", from("x@sub.wide.example"), vouched("sub.wide.example"), "", "", "wide.example"},
		{"submitted, without a key", from("x@b.example"), vouched("b.example"), "x@b.example", "", ""},
		{"not vouched for", from("x@a.example"), mail.Envelope{Auth: mail.Authentic{Author: "a.example"}}, "x@a.example", "", ""},
		{"vouched for, by nobody's name", from("x@a.example"), vouched(""), "x@a.example", "srs.example", ""},
		{"a report", from("MAILER-DAEMON@mx.host.example (Mail Delivery System)"), notice, "", "", "host.example"},
		{"a report, the standard way", from("Mail Delivery System <MAILER-DAEMON@host.example>"), notice, "", "", "host.example"},
		{"a report of nobody", "Subject: x\r\n\r\n", notice, "", "", ""},
		{"a report of two", from("a@host.example, b@a.example"), notice, "", "", ""},
		{"a report with two From fields", "From: a@host.example\r\n" + from("b@a.example"), notice, "", "", ""},
		{"a report without a key", from("MAILER-DAEMON@mx.other.example"), notice, "", "", ""},
		{"forwarded", from("x@b.example.net"), mail.Envelope{Auth: mail.Authentic{Author: "b.example.net"}}, "SRS0=x@srs.example", "srs.example", "srs.example"},
		{"forwarded, of an author with a key and a voucher", from("x@a.example"), vouched("a.example"), "SRS0=x@srs.example", "srs.example", "a.example"},
		{"a stranger's, by SPF", from("x@a.example"), judged("a.example", "x@mail.a.example", mail.AuthPass), "SRS0=x@srs.example", "srs.example", "a.example"},
		{"a stranger's, by DKIM alone", from("x@a.example"), judged("a.example", "x@a.example", mail.AuthFail), "SRS0=x@srs.example", "", ""},
		{"a stranger's, by DKIM, and SPF of another", from("x@a.example"), judged("a.example", "x@else.example", mail.AuthPass), "SRS0=x@srs.example", "srs.example", "srs.example"},
		{"a stranger's, by DKIM, that could align", from("x@srs.example"), judged("srs.example", "x@else.example", mail.AuthPass), "SRS0=x@srs.example", "srs.example", ""},
		{"a stranger's, by DKIM, without a path", from("x@a.example"), judged("a.example", "", mail.AuthPass), "SRS0=x@srs.example.net", "srs.example.net", "srs.example.net"},
		{"forwarded, with a voucher only", from("x@srs.example"), vouched("srs2.example"), "SRS0=x@SRS.example", "srs.example", "srs.example"},
		{"forwarded, when it is not to be signed", from("x@b.example.net"), mail.Envelope{Auth: mail.Authentic{Author: "b.example.net"}}, "SRS0=x@srs.example", "", ""},
		{"forwarded, but not rewritten", from("x@b.example.net"), mail.Envelope{Auth: mail.Authentic{Author: "b.example.net"}}, "x@b.example.net", "srs.example", ""},
		{"forwarded, of nobody known", from("x@b.example.net"), mail.Envelope{}, "SRS0=x@srs.example", "srs.example", ""},
		{"forwarded, as if of the rewriting domain", from("x@srs.example"), mail.Envelope{Auth: mail.Authentic{Author: "srs.example"}}, "SRS0=x@srs.example", "srs.example", ""},
		{"forwarded, as if of one below it", from("x@a.srs.example"), mail.Envelope{Auth: mail.Authentic{Author: "a.srs.example"}}, "SRS0=x@srs.example", "srs.example", ""},
		{"forwarded, as if of one above it", from("x@example"), mail.Envelope{Auth: mail.Authentic{Author: "example"}}, "SRS0=x@srs.example", "srs.example", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSigner(Options{Keys: keys.of, Forwarding: c.forwarding, Now: func() time.Time { return now }})
			made, err := s.Sign(t.Context(), outgoing(c.text, c.env, c.sender))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(signedBy(t, made), " "); got != c.want {
				t.Errorf("signed by %q, want %q", got, c.want)
			}
		})
	}
}

// TestSigner_NeverLaunders: whatever the message and the keys, mail that nobody vouches for
// and that is no report of ours never leaves with a signature aligned with its author, for
// whoever has the most generous idea of an organizational domain.
func TestSigner_NeverLaunders(t *testing.T) {
	labels := []string{"a", "b", "mail", "x"}
	name := func(r *rand.Rand) string {
		d := []string{"example.com", "example.net", "co.uk", "b.example.com", "uk"}[r.IntN(5)]
		for range r.IntN(3) {
			d = labels[r.IntN(len(labels))] + "." + d
		}
		return d
	}
	signed, aligned := 0, 0
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 7))
		author, forwarding := name(r), name(r)
		keys := book{}
		for range 4 {
			for k, v := range bookOf([]string{"", "."}[r.IntN(2)] + name(r)) {
				keys[k] = v
			}
		}
		for k, v := range bookOf([]string{"", "."}[r.IntN(2)] + forwarding) {
			keys[k] = v
		}
		auth := mail.Authentic{Author: author, Vouched: r.IntN(4) == 0, DMARC: []mail.AuthResult{"", mail.AuthPass, mail.AuthFail}[r.IntN(3)]}
		if r.IntN(8) == 0 {
			auth.Author = ""
		}
		s := NewSigner(Options{Keys: keys.of, Forwarding: forwarding, Now: func() time.Time { return now }})
		sender := "SRS0=h=t=d=l@" + []string{forwarding, strings.ToUpper(forwarding), author, "else.example"}[r.IntN(4)]
		made, err := s.Sign(t.Context(), outgoing("From: x@"+author+"\r\n\r\nHi.\r\n", mail.Envelope{Auth: auth}, sender))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range signedBy(t, made) {
			signed++
			common := commonLabels(author, d)
			if loose := common > 1 || common == min(strings.Count(author, "."), strings.Count(d, "."))+1; !loose {
				continue
			}
			if aligned++; !auth.Vouched {
				t.Fatalf("seed %d: mail of %s, which nobody vouches for, was signed by %s", seed, author, d)
			}
		}
	}
	if signed < 300 || aligned < 30 {
		t.Errorf("%d signed, %d of them aligned: the property was not put to the test", signed, aligned)
	}
}

// commonLabels counts from the right.
func commonLabels(a, b string) (n int) {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	slices.Reverse(x)
	slices.Reverse(y)
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}

// TestSigner_Trouble: what cannot be signed for now waits, and the log knows why.
func TestSigner_Trouble(t *testing.T) {
	s := NewSigner(Options{Keys: func(context.Context, string) ([]Key, error) { return nil, errors.New("the table is away") }})
	_, err := s.Sign(t.Context(), outgoing("From: x@a.example\r\n\r\n", mail.Envelope{Auth: mail.Authentic{Author: "a.example", Vouched: true}}, ""))
	status, ok := errors.AsType[*mail.Status](err)
	if !ok || status.Code != 451 || status.Enhanced != mail.Code(4, 7, 5) || strings.Contains(status.Text, "table") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(err.Error(), "the table is away") {
		t.Errorf("the operator is not told: %v", err)
	}
}

// TestSigner_LongHeader: waiting would not help.
func TestSigner_LongHeader(t *testing.T) {
	var log bytes.Buffer
	s := NewSigner(Options{Keys: bookOf("a.example").of, Log: slog.New(slog.NewTextHandler(&log, nil))})
	text := "From: x@a.example\r\nX: " + strings.Repeat("x", maxHeader) + "\r\n\r\n"
	made, err := s.Sign(t.Context(), outgoing(text, mail.Envelope{Auth: mail.Authentic{Author: "a.example", Vouched: true}}, ""))
	if made != nil || err != nil || !strings.Contains(log.String(), "not signed by a.example") {
		t.Errorf("%q, %v, %s", made, err, log.String())
	}
}

// TestSigner_Once: several destinations at once get the signature of the first, until it is
// old or the bytes are others.
func TestSigner_Once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := NewSigner(Options{Keys: bookOf("a.example").of, Log: slog.New(slog.NewTextHandler(&log, nil))})
		m := outgoing("From: x@a.example\r\n\r\nHi.\r\n", mail.Envelope{Auth: mail.Authentic{Author: "a.example", Vouched: true}}, "")
		sign := func() string {
			made, err := s.Sign(t.Context(), m)
			if err != nil {
				t.Error(err)
			}
			return string(made)
		}
		first := sign()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got := sign(); got != first {
					t.Errorf("got %q, want %q", got, first)
				}
			})
		}
		wg.Wait()
		body := m.Body.(*content)
		if body.read != 1 || strings.Count(log.String(), `"DKIM-Signature field added (s=ed, d=a.example)"`) != 1 {
			t.Errorf("read %d times; log:\n%s", body.read, log.String())
		}
		m.Prepend = []byte("Received: by others\r\n")
		if sign(); body.read != 2 {
			t.Errorf("with other bytes above: read %d times", body.read)
		}
		time.Sleep(madeAge)
		if second := sign(); second == first || body.read != 3 {
			t.Errorf("an old signature is still used")
		}
		for i := range madeMax + 10 {
			other := m
			env := *m.Env
			env.ID = mail.QueueID(100 + i)
			other.Env = &env
			if _, err := s.Sign(t.Context(), other); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(s.made.by); n != madeMax || len(s.made.order) != n {
			t.Errorf("%d signatures are kept, in an order of %d", n, len(s.made.order))
		}
	})
}

// TestSigner_Forgets: a failure is not kept.
func TestSigner_Forgets(t *testing.T) {
	var c made
	n := 0
	fail := func() ([]byte, error) {
		if n++; n == 1 {
			return nil, errors.New("disk")
		}
		return []byte("x"), nil
	}
	if _, err := c.get(t.Context(), madeKey{}, time.Now, fail); err == nil {
		t.Error("no error")
	}
	if got, err := c.get(t.Context(), madeKey{}, time.Now, fail); string(got) != "x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSigner_Strays: what leaves by DATA without its stray CR is signed without.
func TestSigner_Strays(t *testing.T) {
	keys := bookOf("a.example")
	s := NewSigner(Options{Keys: keys.of, Now: func() time.Time { return now }})
	env := mail.Envelope{Flags: mail.FlagStrayEnds, Auth: mail.Authentic{Author: "a.example", Vouched: true}}
	made, err := s.Sign(t.Context(), outgoing("From: x@a.example\r\n\r\na\rb\nc", env, ""))
	if err != nil {
		t.Fatal(err)
	}
	z := zoneOf(t, keys["a.example"]...)
	if sigs := verify(t, z, string(made)+"Received: by us\r\nFrom: x@a.example\r\n\r\na b\r\nc\r\n"); len(sigs) != 1 || sigs[0].Result != mail.AuthPass {
		t.Errorf("%+v", sigs)
	}
}
