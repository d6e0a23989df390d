package mailauth

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	lib "github.com/miekg/dns"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// A header in memory is the one that is read from a file.
func FuzzHeaderInMemory(f *testing.F) {
	long := strings.Repeat("x", 5000)
	for _, s := range []string{"", "\n", "\r\n", "a: b", "a: b\r\n", "a: b\r\n\r\nbody", "a: b\n\nbody\n", "a: b\n\r\r\nbody", "\r\r\nx", "a: " + long + "\r\n\r\n",
		long[:4096] + "\r\n\r\nx", long[:4095] + "\r\n" + long + "\n\n", "a\n \n\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := readHeader(bodyOf(s))
		if err != nil {
			return // one that is too long
		}
		if got := inMemory(s).header(); string(got) != string(want) {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	})
}

// openedBody counts how often it is read.
type openedBody struct {
	text   string
	size   int64 // what it says it has
	opened *int
}

func (b *openedBody) Size() int64 { return b.size }

func (b *openedBody) Open() (io.ReadCloser, error) {
	*b.opened++
	return bodyOf(b.text).Open()
}

func TestSmallMessagesAreReadOnce(t *testing.T) {
	w := newWorld(t)
	small := w.signed("a.example", w.sealed("b.example", letter("me@a.example")))
	large := w.signed("a.example", letter("me@a.example")+strings.Repeat("x\r\n", smallBody/3))
	for _, c := range []struct {
		name, text string
		more       int64 // than there is
		opened     int
		dkim       string
	}{{"small", small, 0, 1, "pass"}, {"large", large, 0, 2, "pass"}, {"cut short", small, 1, 1, ""}} {
		opened := 0
		b := &openedBody{text: c.text, size: int64(len(c.text)) + c.more, opened: &opened}
		tx := w.verifier().Begin(t.Context(), request("192.0.2.1", "x.a.example", "me@a.example"))
		v := tx.Message(t.Context(), mail.AuthMessage{Body: b})
		tx.Close()
		if opened != c.opened {
			t.Errorf("%s: read %d times, want %d", c.name, opened, c.opened)
		}
		switch {
		case c.dkim == "" && (v.Refused == nil || v.Refused.Code != 451):
			t.Errorf("%s: %+v", c.name, v)
		case c.dkim != "" && !strings.Contains(v.Auth.Results, "dkim="+c.dkim):
			t.Errorf("%s: %s", c.name, v.Auth.Results)
		}
	}
}

// The key of a signature and the policy of the author are asked for side by side: at the
// first message of a domain its client waits for the longer of the two, not for both.
func TestQuestionsSideBySide(t *testing.T) {
	w := newWorld(t)
	w.dmarc("a.example", "reject")
	m := w.signed("a.example", letter("me@a.example"))
	synctest.Test(t, func(t *testing.T) {
		const each = time.Second
		o := w.o
		zone := w.zone.Resolver()
		o.Timeout, o.Resolver = time.Minute, dns.New(dns.Options{Servers: []string{"192.0.2.53"}, Hosts: "/dev/null",
			Exchange: func(ctx context.Context, q *lib.Msg, _ string, _ bool) (*lib.Msg, error) {
				time.Sleep(each)
				rrs, err := zone.Lookup(ctx, q.Question[0].Name, q.Question[0].Qtype)
				reply := new(lib.Msg).SetReply(q)
				if reply.Answer = rrs; err != nil {
					reply.Rcode = lib.RcodeNameError
				}
				return reply, nil
			}})
		tx := New(o).Begin(t.Context(), request("192.0.2.1", "x.a.example", "me@a.example"))
		defer tx.Close()
		time.Sleep(10 * each) // the message comes; SPF is long done
		began := time.Now()
		v := tx.Message(t.Context(), mail.AuthMessage{Body: bodyOf(m)})
		if v.Auth.DMARC != mail.AuthPass || !strings.Contains(v.Auth.Results, "dkim=pass") {
			t.Fatalf("%+v", v)
		}
		// _dmarc.a.example, then _dmarc.example; the key meanwhile.
		if took := time.Since(began); took != 2*each {
			t.Errorf("a client waits for %v, want %v", took, 2*each)
		}
	})
}
