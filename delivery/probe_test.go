package delivery

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// question is a probe of some addresses.
func question(to ...string) *mail.Attempt {
	a := letter(to...)
	a.Probe, a.Body = true, nil
	a.Env.Sender = mail.SplitAddress("double-bounce@mx.example.com")
	return a
}

// What a probe finds, and what it says: MAIL and RCPT, never DATA.
func TestProbe(t *testing.T) {
	const relay = "192.0.2.1[192.0.2.1]:25"
	const said = "host 192.0.2.1[192.0.2.1] said: "
	for _, c := range []struct {
		name    string
		answers map[string]string
		want    string
		bad     bool
	}{
		{"deliverable", nil, "sent 2.1.5 R (250 2.1.5 Ok)", false},
		{"no such user", map[string]string{"RCPT": "550 5.1.1 no such user"},
			"bounced 5.1.1 R (" + said + "550 5.1.1 no such user (in reply to RCPT TO command))", false},
		{"not now", map[string]string{"RCPT": "450 4.2.0 not now"},
			"deferred 4.2.0 R (" + said + "450 4.2.0 not now (in reply to RCPT TO command))", false},
		{"sender refused", map[string]string{"MAIL": "553 5.1.8 not you"},
			"bounced 5.1.8 R (" + said + "553 5.1.8 not you (in reply to MAIL FROM command))", false},
		{"sender refused for now", map[string]string{"MAIL": "451 4.3.0 later", "RCPT": "503 5.5.1 need MAIL"},
			"deferred 4.3.0 R (" + said + "451 4.3.0 later (in reply to MAIL FROM command))", false},
		{"several lines", map[string]string{"RCPT": "250-2.1.5 yes\n250 2.1.5 indeed"}, "sent 2.1.5 R (250-2.1.5 yes 250 2.1.5 indeed)", false},
		{"lost", map[string]string{"RCPT": "close"},
			"deferred 4.4.2 R (lost connection with 192.0.2.1[192.0.2.1] while sending RCPT TO)", true},
		{"turned away", map[string]string{"RCPT": "421 4.3.2 leaving| close"},
			"deferred 4.3.2 R (" + said + "421 4.3.2 leaving (in reply to RCPT TO command))", true},
		{"refused to talk", map[string]string{"connect": "554 5.7.1 go away"},
			"bounced 5.7.1 R (host 192.0.2.1[192.0.2.1] refused to talk to me: 554 5.7.1 go away)", false},
	} {
		for _, keywords := range [][]string{nil, allKeywords} {
			t.Run(c.name, func(t *testing.T) {
				p := &peer{keywords: keywords, on: script(c.answers)}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
				src := s.send("smtp:[192.0.2.1]", question("a@dest.example"))
				if got := strings.Replace(fates(src.results[0]), " "+relay+" (", " R (", 1); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
				if bad := src.feedback[0] == mail.FeedbackBad; bad != c.bad {
					t.Errorf("feedback bad: %v, want %v", bad, c.bad)
				}
				for n := 1; n <= p.count(); n++ {
					if slices.Contains(p.commands(n), "DATA") {
						t.Errorf("a probe said DATA: %q", p.commands(n))
					}
				}
			})
		}
	}
}

// What exactly goes over the wire, for one probe and for several on one connection.
func TestProbeDialogue(t *testing.T) {
	p := &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	src := s.send("smtp:[192.0.2.1]", question("a@dest.example"), question("b@dest.example", "c@dest.example"), letter("d@dest.example"))
	s.Close()
	want := []string{
		"EHLO mx.example.com",
		"MAIL FROM:<double-bounce@mx.example.com> SIZE=38",
		"RCPT TO:<a@dest.example> ORCPT=rfc822;a@virt.example",
		"RSET",
		"MAIL FROM:<double-bounce@mx.example.com> SIZE=38",
		"RCPT TO:<b@dest.example> ORCPT=rfc822;a@virt.example",
		"RCPT TO:<c@dest.example> ORCPT=rfc822;a@virt.example",
		"RSET",
		"MAIL FROM:<sender@example.net> SIZE=72",
		"RCPT TO:<d@dest.example> ORCPT=rfc822;a@virt.example",
		"DATA",
		"QUIT",
	}
	p.serving.Wait()
	if got := p.commands(1); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(p.got()) != 1 || len(src.results) != 3 {
		t.Errorf("%d messages, %d attempts", len(p.got()), len(src.results))
	}
}

// A probe by LMTP ends with the answer to RCPT as well.
func TestProbeLMTP(t *testing.T) {
	p := &peer{lmtp: true, keywords: allKeywords, on: script(map[string]string{"RCPT TO:<two": "550 5.1.1 no"})}
	s := newSetup(t, map[string]any{"192.0.2.1:24": p}, Options{})
	src := s.send("lmtp:inet:[192.0.2.1]", question("one@dest.example", "two@dest.example"))
	const want = "sent 2.1.5 192.0.2.1[192.0.2.1]:24 (250 2.1.5 Ok)\n" +
		"bounced 5.1.1 192.0.2.1[192.0.2.1]:24 (host 192.0.2.1[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command))"
	if got := fates(src.results[0]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := p.commands(1); slices.Contains(got, "DATA") {
		t.Errorf("a probe said DATA: %q", got)
	}
}

// A host that cannot say goes on to the next one, as for a message.
func TestProbeNextHost(t *testing.T) {
	first := &peer{on: script(map[string]string{"RCPT": "450 4.2.0 not now"})}
	second := &peer{}
	s := newSetup(t, map[string]any{"192.0.2.1:25": first, "192.0.2.2:25": second}, Options{
		DNSEnabled: true,
		Resolver: fakeDNS{
			mx:    map[string]string{"dest.example": "10 a.example, 20 b.example"},
			addrs: map[string]string{"a.example": "192.0.2.1", "b.example": "192.0.2.2"},
		},
	})
	src := s.send("smtp:dest.example", question("x@dest.example"))
	if got := fates(src.results[0]); got != "sent 2.1.5 b.example[192.0.2.2]:25 (250 2.1.5 Ok)" {
		t.Errorf("got %s", got)
	}
}

// Neither a rewriter nor a signer has a part in a probe.
func TestProbeIsNotRewritten(t *testing.T) {
	p := &peer{}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{SenderRewriter: meddler{}, Signer: meddler{}})
	src := s.send("smtp:[192.0.2.1]", question("x@dest.example"))
	if got := src.results[0][0]; got.State != mail.Delivered {
		t.Errorf("got %s", fate(got))
	}
}

type meddler struct{}

func (meddler) RewriteSender(context.Context, *mail.Envelope, int) (mail.Address, error) {
	return mail.Address{}, &mail.Status{Code: 550, Enhanced: mail.Code(5, 0, 0), Text: "meddled"}
}

func (meddler) Sign(context.Context, mail.Outgoing) ([]byte, error) {
	return nil, &mail.Status{Code: 550, Enhanced: mail.Code(5, 0, 0), Text: "meddled"}
}

// FuzzProbe: whatever a server says to probes, none of them ends in DATA, each address has
// one answer, and nobody is found deliverable without a 2xx.
func FuzzProbe(f *testing.F) {
	for _, s := range []string{
		"220 x\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n250 ok\r\n450 no\r\n",
		"220 x\r\n250 x\r\n354 go\r\n354 go\r\n354 go\r\n", "220 x\r\n250 x\r\n250\r\n354\r\n250\r\n250\r\n250\r\n",
		"220 x\r\n250-x\r\n250 SIZE 10\r\n", "220 x\r\n421 bye\r\n", "junk\r\n220 x\r\n", "",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, says []byte, lmtp bool) {
		var conns []*deaf
		c := New(Options{TLSLevel: "none", Dial: func(context.Context, string, string) (net.Conn, error) {
			conns = append(conns, &deaf{says: bufio.NewReader(bytes.NewReader(says))})
			return conns[len(conns)-1], nil
		}})
		defer c.Close()
		dest := mail.Dest("smtp:[192.0.2.1]")
		if lmtp {
			dest = "lmtp:[192.0.2.1]"
		}
		src := &source{t: t, attempts: []*mail.Attempt{question("one@dest.example", "two@dest.example"), question("three@dest.example")}}
		c.Work(t.Context(), dest, src)
		if len(src.results) != 2 || len(conns) > 8 {
			t.Fatalf("%q: %d probes done over %d connections", says, len(src.results), len(conns))
		}
		for _, d := range conns {
			for line := range strings.Lines(d.told.String()) {
				verb, _, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), " ")
				if !slices.Contains([]string{"EHLO", "LHLO", "HELO", "MAIL", "RCPT", "RSET", "QUIT"}, verb) || !strings.HasSuffix(line, "\r\n") {
					t.Fatalf("%q: wrote %q", says, line)
				}
			}
		}
		for _, results := range src.results {
			for _, r := range results {
				if r.State == mail.Delivered && r.Status.Code/100 != 2 || r.Reason == "" {
					t.Fatalf("%q: %s", says, fate(r))
				}
			}
		}
	})
}
