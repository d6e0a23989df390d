package smtpd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"aliasmx/internal/mail"
)

// The class of a reply, where the comparison with Postfix's transcripts does not reach.
func TestClassOf(t *testing.T) {
	for want, replies := range map[string][]reply{
		"": {
			plain(220, "mx ESMTP"), say(250, mail.Code(2, 1, 0), "Ok"), say(421, mail.Code(4, 3, 2), "mx Service shutting down"),
			say(421, mail.Code(4, 4, 2), "mx Error: timeout exceeded"), say(421, mail.Code(4, 3, 0), "mx Server local error"), say(554, mail.Code(5, 5, 1), "Error: no valid recipients"), plain(459, "<x>: service unavailable"),
		},
		errorBounce: {
			say(550, mail.Code(5, 1, 1), "<x>: Recipient address rejected: User unknown in relay recipient table"), say(450, mail.Code(4, 1, 1), "<x>: Recipient address rejected: User unknown in virtual alias table"),
			say(552, mail.Code(5, 3, 4), "Error: message file too big"), say(554, mail.Code(5, 4, 0), "Error: too many hops"),
		},
		errorData:     {say(451, mail.Code(4, 3, 0), "Temporary lookup failure"), say(421, mail.Code(4, 3, 0), "mx Server local data error")},
		errorResource: {say(452, mail.Code(4, 3, 1), "Insufficient system storage"), say(451, mail.Code(4, 3, 0), "Error: queue file write error")},
		errorSoftware: {say(451, mail.Code(4, 3, 5), "Server configuration error"), say(421, mail.Code(4, 3, 0), "mx Error: internal error")},
		errorPolicy: {
			say(450, mail.Code(4, 3, 0), "<x>: Recipient address rejected: come back later"), say(454, mail.Code(4, 3, 0), "Try again later"), say(450, mail.Code(4, 3, 2), "<x>: Client host rejected: Try again later"),
			say(554, mail.Code(5, 7, 1), "<x>: Relay access denied"), say(450, mail.Code(4, 7, 1), "Error: too much mail from 192.0.2.1"), say(552, mail.Code(5, 3, 4), "Message size exceeds fixed limit"),
			say(530, mail.Code(5, 7, 0), "Must issue a STARTTLS command first"), say(550, mail.Code(5, 1, 8), "<x>: Sender address rejected: Domain not found"), say(503, mail.Code(5, 5, 1), "Error: send HELO/EHLO first"),
		},
		errorProtocol: {
			say(500, mail.Code(5, 5, 2), "Error: bad syntax"), plain(501, "Syntax: HELO hostname"), say(501, mail.Code(5, 1, 7), "Bad sender address syntax"), say(501, mail.Code(5, 1, 3), "Bad recipient address syntax"),
			say(554, mail.Code(5, 5, 0), "Error: SMTP protocol synchronization"), say(421, mail.Code(4, 7, 0), "mx Error: too many errors"), say(221, mail.Code(2, 7, 0), "Error: I can break rules, too. Goodbye."),
		},
	} {
		for _, r := range replies {
			if got := classOf(r); got != want {
				t.Errorf("%d %s %s: %q, want %q", r.code, r.enhanced, r.text, got, want)
			}
		}
	}
}

// talked has a session with a server that wants transcripts of some classes, and returns
// those it sent.
func talked(t *testing.T, classes string, change func(*world), session func(c *client)) (sent []mail.Transcript) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		w.o.NotifyClasses = strings.Fields(classes)
		w.o.Postmaster = func(tr mail.Transcript) { sent = append(sent, tr) }
		if change != nil {
			change(w)
		}
		w.start()
		c := w.dial("127.0.0.2").greeting()
		session(c)
		c.hangUp()
		w.conns.Wait()
	})
	return sent
}

func TestTranscript(t *testing.T) {
	session := func(c *client) {
		c.expect("HELO x", "250 ", "MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@b.example>", "554 ", "FOO", "500 ", "AUTH PLAIN AGEAYg==", "503 ", "QUIT", "221 ")
	}
	for classes, want := range map[string]int{"policy": 1, "protocol": 1, "bounce data resource software": 0, "": 0} {
		sent := talked(t, classes, nil, session)
		if len(sent) != want {
			t.Errorf("%q: %d transcripts, want %d", classes, len(sent), want)
			continue
		}
		if want == 0 {
			continue
		}
		lines := []string{
			"Out: 220 mx.example.com ESMTP Postfix", "In:  HELO x", "Out: 250 mx.example.com", "In:  MAIL FROM:<s@example.net>", "Out: 250 2.1.0 Ok",
			"In:  RCPT TO:<a@b.example>", "Out: 554 5.7.1 <a@b.example>: Relay access denied", "In:  FOO", "Out: 500 5.5.2 Error: command not recognized",
			"In:  AUTH ", "Out: 503 5.5.1 Error: authentication not enabled", "In:  QUIT", "Out: 221 2.0.0 Bye",
		}
		if tr := sent[0]; tr.Client != "unknown[127.0.0.2]" || tr.Reason != "" || tr.Unknown || !slices.Equal(tr.Lines, lines) {
			t.Errorf("%q: %+v", classes, tr)
		}
	}
}

func TestTranscriptTellsWhy(t *testing.T) {
	sent := talked(t, "policy", nil, func(c *client) {
		c.expect("HELO x", "250 ", "MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@b.example>", "554 ")
	})
	if len(sent) != 1 || sent[0].Reason != "lost connection" {
		t.Errorf("sent: %+v", sent)
	}
	sent = talked(t, "bounce", nil, func(c *client) {
		c.expect("HELO x", "250 ", "MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<nobody@virt.example>", "550 ", "QUIT", "221 ")
	})
	if len(sent) != 1 || !sent[0].Unknown {
		t.Errorf("an unknown recipient: %+v", sent)
	}
}

// A disk that is full is a resource, and told of by default.
func TestTranscriptOfTrouble(t *testing.T) {
	full := func(w *world) { w.store.admit = status(452, mail.Code(4, 3, 1), "Insufficient system storage") }
	session := func(c *client) { c.expect("HELO x", "250 ", "MAIL FROM:<s@example.net>", "452 ", "QUIT", "221 ") }
	if sent := talked(t, "resource software", full, session); len(sent) != 1 {
		t.Errorf("a full disk: %+v", sent)
	}
	if sent := talked(t, "data", func(w *world) { w.o.Recipients.(*book).broken = true }, func(c *client) {
		c.expect("HELO x", "250 ")
		c.do("MAIL FROM:<s@example.net>")
		c.expect("RCPT TO:<a@virt.example>", "451 ", "QUIT", "221 ")
	}); len(sent) != 1 {
		t.Errorf("a table that is away: %+v", sent)
	}
}

// Whatever a client says, little is kept of it; of a long session transcripts come between
// its transactions.
func TestTranscriptIsBounded(t *testing.T) {
	long := strings.Repeat("x", 1000)
	sent := talked(t, "protocol", func(w *world) { w.o.HardErrorLimit, w.o.SoftErrorLimit = 1000, 1000 }, func(c *client) {
		for range 200 {
			c.expect(long, "500 ")
		}
	})
	if len(sent) != 1 {
		t.Fatalf("%d transcripts", len(sent))
	}
	size := 0
	for _, line := range sent[0].Lines {
		size += len(line)
	}
	if last := sent[0].Lines[len(sent[0].Lines)-1]; size > maxTranscript || !strings.HasSuffix(last, " more lines)") {
		t.Errorf("%d octets, and in the end %q", size, last)
	}

	sent = talked(t, "policy", func(w *world) { w.o.HistoryFlushThreshold, w.o.HardErrorLimit = 10, 1000 }, func(c *client) {
		c.expect("HELO x", "250 ")
		for range 4 {
			c.expect("MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@b.example>", "554 ", "RSET", "250 ")
		}
	})
	var lines []string
	for _, tr := range sent {
		lines = append(lines, fmt.Sprint(len(tr.Lines)))
	}
	if len(sent) < 2 {
		t.Errorf("transcripts of %v lines, want several", lines)
	}
}

// Without anybody to send it to nothing is noted.
func TestNoTranscript(t *testing.T) {
	for name, o := range map[string]Options{
		"no postmaster": {NotifyClasses: []string{errorPolicy}}, "no classes": {Postmaster: func(mail.Transcript) {}},
	} {
		c := &conn{o: &o}
		c.heard([]byte("FOO"))
		c.told(say(554, mail.Code(5, 7, 1), "no"))
		if c.talk.lines != 0 || c.talk.text != nil {
			t.Errorf("%s: noted %q", name, c.talk.text)
		}
	}
}
