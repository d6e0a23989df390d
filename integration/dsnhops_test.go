package integration

import (
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// What becomes of the parameters of a delivery status notification (RFC 3461 section 5.2)
// at next hops with and without DSN is what Postfix makes of them: the same conversation
// through both, and the same envelope at the other end.
func TestDSNParametersAsPostfixPassesThem(t *testing.T) {
	t.Parallel()
	keywords := map[string][]string{
		"with DSN":     {"PIPELINING", "SIZE 1000000", "8BITMIME", "DSN"},
		"without DSN":  {"PIPELINING", "SIZE 1000000", "8BITMIME"},
		"without SIZE": {"PIPELINING", "8BITMIME", "DSN"},
		"with nothing": {},
	}
	for name, list := range keywords {
		t.Run(name, func(t *testing.T) {
			script := peers.Script{Ehlo: list}
			ours, theirs := newSink(t), newSink(t)
			ours.Behave(script)
			theirs.Behave(script)
			r := newRelay(t, base(ours), map[string]string{"virtual": "info@alias.example target@dest.example\n"})
			r.start()
			_, port, _ := net.SplitHostPort(theirs.Addr)
			p := newPostfix(t, "virtual_mailbox_domains =", "relayhost = [127.0.0.1]:"+port,
				"virtual_alias_domains = alias.example", "virtual_alias_maps = inline:{{info@alias.example=target@dest.example}}")
			n := 0
			for _, params := range []struct{ mail, rcpt string }{
				{"", ""},
				{" RET=HDRS ENVID=a+2Bb", " NOTIFY=FAILURE,DELAY ORCPT=rfc822;x+2By@z.example"},
				{" BODY=8BITMIME RET=FULL", " NOTIFY=NEVER"},
				{" BODY=7BIT SIZE=100", " NOTIFY=SUCCESS,FAILURE"},
			} {
				for _, addr := range []string{r.smtp, p.addr} {
					submitOne(t, addr, "MAIL FROM:<s@client.example>"+params.mail, "RCPT TO:<info@alias.example>"+params.rcpt)
				}
				n++
				for end := time.Now().Add(limit); len(letters(ours)) < n || len(letters(theirs)) < n; time.Sleep(20 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%v: nothing arrived\n%s\n%s", params, r.log(), p.log())
					}
				}
				a, b := letters(ours)[n-1], letters(theirs)[n-1]
				got, want := withoutSize(a.From)+" "+strings.Join(a.Rcpts, " "), withoutSize(b.From)+" "+strings.Join(b.Rcpts, " ")
				if got != want || strings.Contains(a.From, "SIZE=") != strings.Contains(b.From, "SIZE=") {
					t.Errorf("MAIL%s, RCPT%s\n   ours %s\nPostfix %s", params.mail, params.rcpt, got, want)
				}
			}
			r.stop()
		})
	}
}

// letters are the messages that are no reports.
func letters(sink *peers.Sink) (list []peers.Message) {
	for _, m := range sink.Messages() {
		if !strings.HasPrefix(m.From, "<>") {
			list = append(list, m)
		}
	}
	return list
}

// submit sends a letter with the given commands of its envelope.
func submitOne(t *testing.T, addr, from, to string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	c := textproto.NewConn(conn)
	for _, step := range []struct {
		say  string
		code int
	}{{"", 220}, {"EHLO client.example", 250}, {from, 250}, {to, 250}, {"DATA", 354}, {"Subject: x\r\n\r\nx\r\n.", 250}, {"QUIT", 221}} {
		if step.say != "" {
			c.PrintfLine("%s", step.say)
		}
		if _, _, err := c.ReadResponse(step.code); err != nil {
			t.Fatalf("%s: %v", step.say, err)
		}
	}
}

// withoutSize takes SIZE out: the Received fields of the two differ.
func withoutSize(from string) string {
	var words []string
	for word := range strings.FieldsSeq(from) {
		if !strings.HasPrefix(word, "SIZE=") {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}
