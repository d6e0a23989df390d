package integration

import (
	"bufio"
	"strings"
	"testing"
)

// The recordings hold the same facts twice: as they were, and taken apart. What takes
// ours apart must read the recorded ones as the recorder did, or TestPostfixCases would
// compare too little.
func TestReadingOfRecordings(t *testing.T) {
	cases, err := loadCases("testdata/postfix")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		sessionOf := map[string]int{}
		for _, d := range c.Deliveries {
			sessionOf[d.QueueID] = d.Session
		}
		o := outcome{
			postmap: c.Postmap, messages: c.Messages, queue: c.Queue, log: c.Log,
			deliveries: deliveriesOf(c.Log, sessionOf),
			bounces:    bouncesOf(c.Messages),
		}
		for _, s := range c.Sessions {
			o.sessions = append(o.sessions, s.Replies)
			result := recordedCommand{}
			if s.Result != nil {
				result = *s.Result
			}
			o.sendmail = append(o.sendmail, result)
		}
		for _, d := range compare(c, o) {
			t.Errorf("%s: %s", c.Name, d)
		}
		if len(c.Sessions) == 0 {
			t.Errorf("%s: no sessions", c.Name)
		}
	}
}

func TestReadReply(t *testing.T) {
	for in, want := range map[string]reply{
		"250 2.1.5 Ok\r\n":                   {Code: 250, Enhanced: "2.1.5", Text: "Ok"},
		"250-mx\r\n250-SIZE\r\n250 DSN\r\n":  {Code: 250, Text: "mx\nSIZE\nDSN"},
		"554-5.7.1 one\r\n554 5.7.1 two\r\n": {Code: 554, Enhanced: "5.7.1", Text: "one\ntwo"},
		"220 2.example ESMTP\r\n":            {Code: 220, Text: "2.example ESMTP"},
	} {
		if got, err := readReply(bufio.NewReader(strings.NewReader(in))); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "250 Ok\n", "25\r\n", "abc def\r\n", "250-half\r\n"} {
		if got, err := readReply(bufio.NewReader(strings.NewReader(in))); err == nil {
			t.Errorf("%q: taken as %v", in, got)
		}
	}
}

func TestUnderWay(t *testing.T) {
	const id = "4cZVwB0J2Bz1"
	taken := "Nov 22 20:00:00 mx postfix/cleanup[1]: " + id + ": message-id=<x@y>\n"
	active := "Nov 22 20:00:00 mx postfix/qmgr[1]: " + id + ": from=<a@b>, size=1, nrcpt=2 (queue active)\n"
	sent := "Nov 22 20:00:00 mx postfix/smtp[1]: " + id + ": to=<c@d>, relay=none, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 Ok)\n"
	deferred := strings.ReplaceAll(sent, "status=sent", "status=deferred")
	removed := "Nov 22 20:00:00 mx postfix/qmgr[1]: " + id + ": removed\n"
	for name, c := range map[string]struct {
		log  string
		want bool
	}{
		"nothing":                  {"", false},
		"taken":                    {taken, true},
		"active":                   {taken + active, true},
		"one of two tried":         {taken + active + deferred, true},
		"both tried, not removed":  {taken + active + sent + sent, true},
		"both tried, one deferred": {taken + active + sent + deferred, false},
		"removed":                  {taken + active + sent + sent + removed, false},
		"tried again":              {taken + active + sent + deferred + active, true},
	} {
		if got := underWay(c.log); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
