package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/queue"
)

type textBody string

func (b textBody) Size() int64 { return int64(len(b)) }
func (b textBody) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte(b))), nil
}

// letters are two messages: one of a local user, one from a client.
func letters(id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	body := textBody("From: \"Me\" <me@x.example>\r\nSubject: hello\r\n  folded\r\n\r\nbody one\r\n.not the end\r\n last\r\n")
	env := &mail.Envelope{
		ID: id, Arrived: time.Date(2026, 11, 22, 19, 39, 12, 0, time.Local), Sender: mail.SplitAddress("s1@x.example"), Size: body.Size(),
		Prepend: []byte("Received: by mx.example.com (Postfix, from userid 0)\r\n\tid X; now\r\n"),
	}
	switch id {
	case 1:
		env.EnvID, env.Ret, env.Flags = "env1", "HDRS", mail.FlagSubmitted
		env.Rcpts = []mail.Recipient{
			{Final: mail.SplitAddress("one@dest.example"), Orig: mail.SplitAddress("a@virt.example"), ORcpt: "rfc822;a@virt.example", Notify: mail.NotifyFailure | mail.NotifyExpanded},
			{Final: mail.SplitAddress("odd, one@dest.example"), Orig: mail.SplitAddress("b@virt.example"), ORcpt: "rfc822;b@virt.example"},
		}
	case 2:
		env.Sender, env.Flags = mail.Address{}, mail.FlagSMTPUTF8|mail.FlagEightBit
		env.Client = mail.Client{Name: "localhost", Addr: netip.MustParseAddr("127.0.0.1"), Port: 54532, Helo: "x.test", Protocol: "ESMTP", UID: -1}
		env.Rcpts = []mail.Recipient{{Final: mail.SplitAddress("a@b"), Orig: mail.SplitAddress("a@b")}}
	case 3:
		return nil, nil, queue.ErrCorrupt
	default:
		return nil, nil, queue.ErrNotFound
	}
	return env, body, nil
}

func TestPostcat(t *testing.T) {
	one, two := mail.QueueID(1).String(), mail.QueueID(2).String()
	const header = "Received: by mx.example.com (Postfix, from userid 0)\n\tid X; now\nFrom: \"Me\" <me@x.example>\nSubject: hello\n  folded\n"
	const body = "\nbody one\n.not the end\n last\n"
	created := func(id mail.QueueID) string { return "create_time: " + id.Time().Local().Format(time.ANSIC) + "\n" }
	records := "*** ENVELOPE RECORDS " + one + " ***\n" +
		"message_size:             152             400               2               0             152               0\n" +
		"message_arrival_time: Sun Nov 22 19:39:12 2026\n" + created(1) +
		"named_attribute: log_ident=" + one + "\nnamed_attribute: envelope_id=env1\nnamed_attribute: ret_flags=2\n" +
		"sender: s1@x.example\nnamed_attribute: log_message_origin=local\n" +
		"named_attribute: notify_flags=4\nnamed_attribute: dsn_orig_rcpt=rfc822;a@virt.example\noriginal_recipient: a@virt.example\nrecipient: one@dest.example\n" +
		"named_attribute: dsn_orig_rcpt=rfc822;b@virt.example\noriginal_recipient: b@virt.example\nrecipient: odd, one@dest.example\n" +
		"*** MESSAGE CONTENTS " + one + " ***\n"
	end := "*** HEADER EXTRACTED " + one + " ***\n*** MESSAGE FILE END " + one + " ***\n"
	records2 := "*** ENVELOPE RECORDS " + two + " ***\n" +
		"message_size:             152             491               1               0             152               1\n" +
		"message_arrival_time: Sun Nov 22 19:39:12 2026\n" + created(2) +
		"named_attribute: log_ident=" + two + "\nsender: \nnamed_attribute: encoding=8bit\n" +
		"named_attribute: log_client_name=localhost\nnamed_attribute: log_client_address=127.0.0.1\nnamed_attribute: log_client_port=54532\n" +
		"named_attribute: log_message_origin=localhost[127.0.0.1]\nnamed_attribute: log_helo_name=x.test\nnamed_attribute: log_protocol_name=ESMTP\n" +
		"named_attribute: client_name=localhost\nnamed_attribute: client_address=127.0.0.1\nnamed_attribute: client_port=54532\n" +
		"named_attribute: helo_name=x.test\nnamed_attribute: protocol_name=ESMTP\nnamed_attribute: client_address_type=2\n" +
		"original_recipient: a@b\nrecipient: a@b\n*** MESSAGE CONTENTS " + two + " ***\n"
	end2 := strings.ReplaceAll(end, one, two)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-q", one}, records + header + body + end},
		{[]string{"-qbeh", one}, records + header + body + end},
		{[]string{"-q", one, two}, records + header + body + end + records2 + header + body + end2},
		{[]string{"-qh", one}, header},
		{[]string{"-qb", one}, body},
		{[]string{"-qbh", one}, header + body},
		{[]string{"-qe", one}, records + end},
		{[]string{"-qvb", one}, "regular_text: \nregular_text: body one\nregular_text: .not the end\nregular_text:  last\n"},
		{[]string{"-qdb", one}, " 78 \n 78 body one\n 78 .not the end\n 78  last\n"},
		{[]string{"-qob", one}, "      519 \n      521 body one\n      531 .not the end\n      545  last\n"},
		{[]string{"-q", "-b", "-s", "530", one}, ".not the end\n last\n"},
		{[]string{"-q", "-eod", "-s", "540", one}, "*** ENVELOPE RECORDS " + one + " ***\n      552  88 *** HEADER EXTRACTED " + one + " ***\n      554  69 *** MESSAGE FILE END " + one + " ***\n"},
		{[]string{"-q"}, ""},
	} {
		for _, how := range []string{"by the daemon", "without one"} {
			m := newMachine(t, "")
			open := offline(&shelf{load: letters})
			if how == "by the daemon" {
				open = noQueue
				m.startControl(t, &shelf{load: letters}, nil)
			}
			if status := postcat(tc.args, m.env(""), open); status != exitOK || m.stdout.String() != tc.want || m.stderr.Len() > 0 {
				t.Errorf("postcat %v %s: status %d, %q\ngot\n%swant\n%s", tc.args, how, status, m.stderr.String(), m.stdout.String(), tc.want)
			}
		}
	}
}

// The queue of a message and who has it already are known of its way through the queue.
func TestPostcatDone(t *testing.T) {
	m := newMachine(t, "")
	id := mail.QueueID(1)
	listed := mail.Listed{Queue: "deferred", ID: id, Rcpts: []mail.ListedRcpt{{Address: mail.SplitAddress("odd, one@dest.example"), Orig: "b@virt.example"}}}
	m.startControl(t, &shelf{load: letters, msgs: []mail.Listed{listed}}, nil)
	postcat([]string{"-qe", id.String()}, m.env(""), noQueue)
	got := m.stdout.String()
	for _, want := range []string{
		"*** ENVELOPE RECORDS deferred/" + id.String() + " ***\n", "*** MESSAGE FILE END deferred/" + id.String() + " ***\n",
		"original_recipient: a@virt.example\ndone_recipient: one@dest.example\n", "original_recipient: b@virt.example\nrecipient: odd, one@dest.example\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A line that is too long for a record is shown as several, and as one where records are
// not shown.
func TestPostcatLongLines(t *testing.T) {
	for _, tc := range []struct{ body, plain, records string }{
		{"a\r\n", "a\n", "N:a "},
		{"a", "a", "L:a "},
		{"a\nb\r\n", "a\nb\n", "N:a N:b "},
		{"\r\n\r\n", "\n\n", "N: N: "},
		{strings.Repeat("x", 2048) + "\r\ny\r\n", strings.Repeat("x", 2048) + "\ny\n", "N:2048 N:y "},
		{strings.Repeat("x", 2049) + "\r\ny\r\n", strings.Repeat("x", 2049) + "\ny\n", "L:2048 N:x N:y "},
		{strings.Repeat("x", 5000) + "\r\n", strings.Repeat("x", 5000) + "\n", "L:2048 L:2048 N:904 "},
	} {
		var plain, records bytes.Buffer
		out := bufio.NewWriter(&plain)
		p := &postcatPrinter{postcatJob: &postcatJob{body: true, header: true}, out: out}
		if err := p.content(nil, textBody(tc.body)); err != nil {
			t.Fatal(err)
		}
		out.Flush()
		out = bufio.NewWriter(&records)
		p = &postcatPrinter{postcatJob: &postcatJob{body: true, header: true, decimal: true}, out: out}
		p.content(nil, textBody(tc.body))
		out.Flush()
		var kinds strings.Builder
		for line := range strings.Lines(records.String()) {
			kind, text, _ := strings.Cut(strings.TrimSuffix(strings.TrimLeft(line, " "), "\n"), " ")
			if len(text) > 100 {
				text = strconv.Itoa(len(text))
			}
			kinds.WriteString(map[string]string{"78": "N:", "76": "L:"}[kind] + text + " ")
		}
		if plain.String() != tc.plain || kinds.String() != tc.records {
			t.Errorf("%.20q of %d bytes: %.30q of %d bytes, records %s, want %s", tc.body, len(tc.body), plain.String(), plain.Len(), kinds.String(), tc.records)
		}
	}
}

func TestPostcatTypes(t *testing.T) {
	m := newMachine(t, "")
	postcat([]string{"-qed", mail.QueueID(1).String()}, m.env(""), offline(&shelf{load: letters}))
	var kinds []string
	for _, line := range strings.Split(m.stdout.String(), "\n")[1:] {
		kind, _, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		kinds = append(kinds, kind)
	}
	if got, want := strings.Join(kinds, " "), "67 84 65 65 65 65 83 65 65 65 79 82 65 79 82 77 88 69 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPostcatErrors(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-q", "NOSUCH"}, "postcat: fatal: open queue file NOSUCH: No such file or directory\n"},
		{[]string{"-q", mail.QueueID(99).String()}, "postcat: fatal: open queue file 00000000001v: No such file or directory\n"},
		{[]string{"-q", "bad name"}, "postcat: fatal: bad mail queue ID: bad name\n"},
		{[]string{"-q", mail.QueueID(3).String()}, "postcat: fatal: 000000000003: corrupt queue entry\n"},
		{[]string{"-z"}, "postcat: invalid option -- 'z'\npostcat: fatal: usage: " + postcatUsage + "\n"},
		{[]string{"FILE"}, "postcat: fatal: messages are not in files here; specify -q and queue IDs, as postqueue -p shows them\n"},
		{[]string{"-s", "x", "-q", "X"}, "postcat: fatal: bad offset: x\n"},
	} {
		m := newMachine(t, "")
		m.startControl(t, &shelf{load: letters}, nil)
		if status := postcat(tc.args, m.env(""), noQueue); status != exitFailure || m.stderr.String() != tc.want || m.stdout.Len() > 0 {
			t.Errorf("%v: status %d, %q", tc.args, status, m.stderr.String())
		}
	}
}

// Commands of users whom the daemon does not let.
func TestForbidden(t *testing.T) {
	q := direct{forbidden{&shelf{}}}
	j := &postcatJob{envelope: true}
	if err := j.show(t.Context(), nil, q, mail.QueueID(1).String()); err == nil || err.Error() != "open queue file 000000000001: Permission denied" {
		t.Errorf("postcat: %v", err)
	}
}

type forbidden struct{ *shelf }

func (forbidden) Load(context.Context, mail.QueueID) (*mail.Envelope, mail.Body, error) {
	return nil, nil, admin.ErrForbidden
}
