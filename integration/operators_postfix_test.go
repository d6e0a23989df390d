package integration

import (
	"net/smtp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// onlyPostfixHas are records of Postfix's that say what our envelopes do not keep.
var onlyPostfixHas = regexp.MustCompile(`(?m)^ *(?:\d+ )*named_attribute: (?:rewrite_context|reverse_client_name|server_address|server_port)=.*\n`)

// Debian's Postfix and we have the same message on hold: postcat and qshape show it alike.
func TestOperatorsBesidePostfix(t *testing.T) {
	cf := base(nil)
	cf["virtual_alias_maps"] = "texthash:{dir}/virtual"
	cf["smtpd_client_restrictions"] = "check_client_access static:HOLD"
	cf["compatibility_level"] = "3.6"
	ours := newRelay(t, cf, nil)
	theirs := newRecorder(t, cf, freeAddr(t))
	theirs.write("virtual", virtualTable)
	for _, s := range []subject{ours, theirs} {
		s.start()
		sendOdd(t, s.address())
	}
	find := regexp.MustCompile(`(?m)^([0-9A-Za-z]{10,})! `)
	names := map[subject]string{}
	list := func(s subject, args ...string) string {
		t.Helper()
		dir, _ := s.places()
		out, code := s.run(append([]string{args[0], "-c", dir}, args[1:]...)...)
		if code != 0 {
			t.Fatalf("%v: %d %s", args, code, out)
		}
		return out
	}
	for _, s := range []subject{ours, theirs} {
		m := find.FindStringSubmatch(list(s, "postqueue", "-p"))
		if m == nil {
			t.Fatalf("nothing is on hold\n%s", s.log())
		}
		names[s] = m[1]
	}
	alike := strings.NewReplacer(names[ours], "ID", names[theirs], "ID")
	for _, options := range []string{"-q", "-qe", "-qh", "-qb", "-qbh", "-qeb", "-qed", "-qbd", "-qhd"} {
		show := func(s subject) string {
			text := alike.Replace(list(s, "postcat", options, names[s]))
			text = onlyPostfixHas.ReplaceAllString(text, "")
			for pattern, with := range map[string]string{
				`(?m)^((?: 67 )?message_size: ).*`:                                           "$1...",
				`(?m)^((?: 84 )?message_arrival_time: |(?: 65 )?create_time: ).*`:            "$1...",
				`(client_port=)\d+`:                                                          "$1...",
				`(?s)(HEADER EXTRACTED hold/ID \*\*\*\n).*?( 69 )?(\*\*\* MESSAGE FILE END)`: "$1$2$3", // encoding, again
				`(?s)(?: 78 )?Received: from.*?\(UTC\)\n`:                                    "Received\n",
			} {
				text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
			}
			return text
		}
		if got, want := show(ours), show(theirs); got != want {
			t.Errorf("postcat %s: got\n%swant\n%s", options, got, want)
		}
	}
	for _, options := range [][]string{nil, {"-s"}, {"-p", "-m", "1"}, {"-b", "3", "-t", "1"}, {"-l", "-b", "4"}} {
		got := list(ours, append(append([]string{"qshape"}, options...), "hold")...)
		_, top := theirs.places()
		want := list(theirs, append(append([]string{"qshape"}, options...), filepath.Join(top, "queue/hold"))...)
		a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
		slices.Sort(a) // rows that are alike come in any order
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("qshape %v: got\n%swant\n%s", options, got, want)
		}
	}
}

// sendOdd sends a message with all that postcat has a record for.
func sendOdd(t *testing.T, addr string) {
	t.Helper()
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("client.example"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []struct {
		code int
		text string
	}{
		{250, "MAIL FROM:<sender@client.example> RET=HDRS ENVID=abc BODY=8BITMIME"},
		{250, "RCPT TO:<info@alias.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;orig@x.example"},
		{250, "RCPT TO:<team@alias.example>"},
		{354, "DATA"},
		{250, "Message-Id: <1@client.example>\r\nDate: Sun, 29 Nov 2026 20:35:47 +0000\r\nFrom: a@b.example\r\nSubject: test\r\n  folded\r\n\r\nbody one\r\n..dot\r\n" +
			strings.Repeat("x", 900) + "\r\nf\xfcnf\r\n last\r\n."},
	} {
		id, err := c.Text.Cmd("%s", line.text)
		if err == nil {
			c.Text.StartResponse(id)
			_, _, err = c.Text.ReadResponse(line.code)
			c.Text.EndResponse(id)
		}
		if err != nil {
			t.Fatalf("%s: %v", line.text, err)
		}
	}
}
