package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What Postfix 3.7 was recorded to do with the same arguments.
func TestSubmit(t *testing.T) {
	aliases := fakeRecipients{
		"a@virt.example":     "one@dest.example",
		"b@virt.example":     "two@dest.example",
		"c@virt.example":     "three@dest.example",
		"bob@mx.example.com": "bob@dest.example",
	}
	uid := os.Geteuid()
	received := func(id mail.QueueID) string {
		return fmt.Sprintf("Received: by mx.example.com (Postfix, from userid %d)\r\n\tid %s; Sat,  1 Nov 2025 10:00:00 +0000 (UTC)\r\n", uid, id)
	}
	id := mail.QueueID(1)
	added := func(from string) string {
		return "Message-Id: <20251101100000." + id.String() + "@mx.example.com>\r\nDate: Sat,  1 Nov 2025 10:00:00 +0000 (UTC)\r\n" + from
	}
	for _, tc := range []struct {
		name   string
		req    Request
		body   string
		sender string
		rcpts  string
		want   string
		from   string // in the log, when it is not sender
		flags  mail.Flags
	}{
		{
			name: "sendmail -f sender@example.net a@virt.example",
			req:  Request{Sender: mail.SplitAddress("sender@example.net"), FullName: "root", Rcpts: addresses("a@virt.example")},
			body: "Subject: t\n\nx\n", sender: "sender@example.net",
			rcpts: "one@dest.example orig_to=a@virt.example orcpt=rfc822;a@virt.example notify=0 smtp:dest.example",
			want:  "Subject: t\r\n" + added("From: root <sender@example.net>\r\n") + "\r\nx\r\n",
		},
		{
			name: "sendmail a@virt.example: the default sender is completed",
			req:  Request{Sender: mail.SplitAddress("root"), FullName: "root", Rcpts: addresses("a@virt.example")},
			body: "Subject: t\n\nx\n", sender: "root@mx.example.com", from: "root",
			rcpts: "one@dest.example orig_to=a@virt.example orcpt=rfc822;a@virt.example notify=0 smtp:dest.example",
			want:  "Subject: t\r\n" + added("From: root <root@mx.example.com>\r\n") + "\r\nx\r\n",
		},
		{
			name: "bare recipients: orig_to as written, ORCPT completed",
			req:  Request{Sender: mail.SplitAddress("sender"), FullName: "root", Rcpts: addresses("bob", "ann")},
			body: "Subject: t\n\nx\n", sender: "sender@mx.example.com", from: "sender",
			rcpts: "bob@dest.example orig_to=bob orcpt=rfc822;bob@mx.example.com notify=0 smtp:dest.example\n" +
				"ann@mx.example.com orig_to=ann orcpt=rfc822;ann@mx.example.com notify=0 smtp:mx.example.com",
			want: "Subject: t\r\n" + added("From: root <sender@mx.example.com>\r\n") + "\r\nx\r\n",
		},
		{
			name: "an unknown recipient is taken, to be returned",
			req:  Request{Sender: mail.SplitAddress("sender@example.net"), Rcpts: addresses("none@virt.example")},
			body: "Subject: t\n\nx\n", sender: "sender@example.net",
			rcpts: "none@virt.example orig_to= orcpt=rfc822;none@virt.example notify=0 error:5.1.1 User unknown in virtual alias table",
			want:  "Subject: t\r\n" + added("From: sender@example.net\r\n") + "\r\nx\r\n",
		},
		{
			name: "sendmail -t: recipients of the header, Bcc taken out",
			req: Request{Sender: mail.SplitAddress("sender@example.net"), FullName: "root",
				Found: func() ([]mail.Address, error) {
					return addresses("a@virt.example", "b@virt.example", "c@virt.example"), nil
				}},
			body: "To: a@virt.example\nCc: B <b@virt.example>\nBcc: c@virt.example\nSubject: t\n\nx\n", sender: "sender@example.net",
			rcpts: "one@dest.example orig_to=a@virt.example orcpt=rfc822;a@virt.example notify=0 smtp:dest.example\n" +
				"two@dest.example orig_to=b@virt.example orcpt=rfc822;b@virt.example notify=0 smtp:dest.example\n" +
				"three@dest.example orig_to=c@virt.example orcpt=rfc822;c@virt.example notify=0 smtp:dest.example",
			want: "To: a@virt.example\r\nCc: B <b@virt.example>\r\nSubject: t\r\n" + added("From: root <sender@example.net>\r\n") + "\r\nx\r\n",
		},
		{
			name: "sendmail -N success,failure -R hdrs -V env1 -B 8BITMIME",
			req: Request{Sender: mail.SplitAddress("sender@example.net"), EnvID: "env1", Ret: "HDRS", EightBit: true,
				Notify: mail.NotifySuccess | mail.NotifyFailure, Rcpts: addresses("a@virt.example")},
			body: "Subject: t\n\nx\n", sender: "sender@example.net", flags: mail.FlagBody8BitMIME,
			rcpts: "one@dest.example orig_to=a@virt.example orcpt=rfc822;a@virt.example notify=6 smtp:dest.example",
			want:  "Subject: t\r\n" + added("From: sender@example.net\r\n") + "\r\nx\r\n",
		},
		{
			name: "sendmail -B 7BIT",
			req:  Request{Sender: mail.SplitAddress("sender@example.net"), SevenBit: true, Gateway: true, Rcpts: addresses("a@virt.example")},
			body: "Subject: t\n\nx\n", sender: "sender@example.net", flags: mail.FlagBody7Bit,
			rcpts: "one@dest.example orig_to=a@virt.example orcpt=rfc822;a@virt.example notify=0 smtp:dest.example",
			want:  "Subject: t\r\n\r\nx\r\n",
		},
		{
			name: "sendmail -G: the header is left alone",
			req:  Request{Sender: mail.SplitAddress("sender@example.net"), Gateway: true, Rcpts: addresses("a@virt.example")},
			body: "Subject: t\n\nx\n", sender: "sender@example.net",
			rcpts: "one@dest.example orig_to=a@virt.example orcpt=rfc822;a@virt.example notify=0 smtp:dest.example",
			want:  "Subject: t\r\n\r\nx\r\n",
		},
		{
			name: "sendmail -G: bare names in the header stay",
			req:  Request{Sender: mail.SplitAddress("sender@example.net"), Gateway: true, Rcpts: addresses("a@virt.example")},
			body: "From: bob\n\nx\n", sender: "sender@example.net",
			rcpts: "one@dest.example orig_to=a@virt.example orcpt=rfc822;a@virt.example notify=0 smtp:dest.example",
			want:  "From: bob\r\n\r\nx\r\n",
		},
		{
			name: "addresses in the header are completed",
			req:  Request{Sender: mail.SplitAddress("sender@example.net"), Rcpts: addresses("a@virt.example")},
			body: "From: Bob <bob>\nTo: ann,\n  joe@example.net\nDate: x\nMessage-ID: <c>\nSubject: bob\n\nFrom: bob\n", sender: "sender@example.net",
			rcpts: "one@dest.example orig_to=a@virt.example orcpt=rfc822;a@virt.example notify=0 smtp:dest.example",
			want: "From: Bob <bob@mx.example.com>\r\nTo: ann@mx.example.com, joe@example.net\r\nDate: x\r\nMessage-ID: <c>\r\n" +
				"Subject: bob\r\n\r\nFrom: bob\r\n",
		},
		{
			name: "the null sender, an empty recipient, duplicates in any case",
			req:  Request{Rcpts: append(addresses("dup@x.example", "DUP@X.example", "dup@x.example"), mail.Address{})},
			body: "From: a\nDate: b\nMessage-ID: <c>\n\n", sender: "",
			rcpts: "dup@x.example orig_to= orcpt=rfc822;dup@x.example notify=0 smtp:x.example\n" +
				"MAILER-DAEMON@mx.example.com orig_to= orcpt= notify=0 smtp:mx.example.com",
			want: "From: a@mx.example.com\r\nDate: b\r\nMessage-ID: <c>\r\n\r\n",
		},
		{
			name: "an address in UTF-8",
			req:  Request{Sender: mail.SplitAddress("s@x.example"), Gateway: true, Rcpts: addresses("ü@x.example")},
			body: "\nx\n", sender: "s@x.example", flags: mail.FlagSMTPUTF8,
			rcpts: "ü@x.example orig_to= orcpt=utf-8;ü@x.example notify=0 smtp:x.example", want: "\r\nx\r\n",
		},
		{
			name: "a header in UTF-8",
			req:  Request{Sender: mail.SplitAddress("s@x.example"), Gateway: true, Rcpts: addresses("u@x.example")},
			body: "Subject: ü\n\nü\n", sender: "s@x.example", flags: mail.FlagSMTPUTF8,
			rcpts: "u@x.example orig_to= orcpt=rfc822;u@x.example notify=0 smtp:x.example", want: "Subject: ü\r\n\r\nü\r\n",
		},
		{
			name: "a body in UTF-8",
			req:  Request{Sender: mail.SplitAddress("s@x.example"), Gateway: true, Rcpts: addresses("u@x.example")},
			body: "Subject: u\n\nü\n", sender: "s@x.example",
			rcpts: "u@x.example orig_to= orcpt=rfc822;u@x.example notify=0 smtp:x.example", want: "Subject: u\r\n\r\nü\r\n",
		},
		{
			name: "an address that is not text is returned, the others are not",
			req:  Request{Sender: mail.SplitAddress("s@x.example"), Gateway: true, Rcpts: addresses("\xfc@x.example", "u@x.example")},
			body: "\nx\n", sender: "s@x.example", flags: mail.FlagSMTPUTF8,
			rcpts: "\xfc@x.example orig_to= orcpt=rfc822;\xfc@x.example notify=0 error:5.1.3 bad address syntax\n" +
				"u@x.example orig_to= orcpt=rfc822;u@x.example notify=0 smtp:x.example", want: "\r\nx\r\n",
		},
		{
			name: "nothing at all in it",
			req:  Request{Sender: mail.SplitAddress("s@x.example"), Rcpts: addresses("u@x.example")},
			body: "", sender: "s@x.example",
			rcpts: "u@x.example orig_to= orcpt=rfc822;u@x.example notify=0 smtp:x.example",
			want:  added("From: s@x.example\r\n"),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, aliases, nil)
			reply, err := f.submit(t, tc.req, tc.body)
			if want := (Reply{Status: ExitOK, ID: id}); err != nil || reply != want {
				t.Fatalf("got %+v, %v; want %+v", reply, err, want)
			}
			msgs, _ := f.queue.state()
			if len(msgs) != 1 {
				t.Fatalf("%d messages in the queue", len(msgs))
			}
			env := msgs[0].env
			if got := show(env.Rcpts); got != tc.rcpts {
				t.Errorf("recipients:\n got %s\nwant %s", got, tc.rcpts)
			}
			if got := string(env.Prepend); got != received(id) {
				t.Errorf("on top:\n got %q\nwant %q", got, received(id))
			}
			if msgs[0].body != tc.want {
				t.Errorf("content:\n got %q\nwant %q", msgs[0].body, tc.want)
			}
			if env.Sender.String() != tc.sender || env.ID != id || !env.Arrived.Equal(arrival) || env.Client != (mail.Client{UID: uid}) ||
				env.EnvID != tc.req.EnvID || env.Ret != tc.req.Ret || env.Flags != mail.FlagSubmitted|tc.flags {
				t.Errorf("envelope: %+v", env)
			}
			from, mid := tc.from, "<20251101100000."+id.String()+"@mx.example.com>"
			if from == "" {
				from = tc.sender
			}
			if tc.req.Gateway {
				mid = "<>"
			} else if strings.Contains(tc.body, "Message-ID") {
				mid = "<c>"
			}
			want := fmt.Sprintf("msg=pickup daemon=pickup queue_id=%s uid=%d from=%s\nmsg=message-id daemon=cleanup queue_id=%s message_id=%s\n",
				id, uid, quoted(from), id, quoted(mid))
			if got := f.logged(); got != want {
				t.Errorf("log:\n got %swant %s", got, want)
			}
		})
	}
}

func quoted(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

func TestRefusals(t *testing.T) {
	loop := &mail.Status{Code: 451, Enhanced: mail.Code(4, 6, 0), Text: "Alias expansion error"}
	full := &mail.Status{Code: 452, Enhanced: mail.Code(4, 3, 1), Text: "Insufficient system storage"}
	req := func(rcpts ...string) Request {
		return Request{Sender: mail.SplitAddress("s@x.example"), Rcpts: addresses(rcpts...)}
	}
	for _, tc := range []struct {
		name   string
		change func(*Options)
		queue  failures
		req    Request
		body   string
		want   Reply
	}{
		{name: "a loop", req: req("ok@x.example", "loop@virt.example"),
			want: Reply{Status: ExitTempFail, Text: "<loop@virt.example>: Alias expansion error"}},
		{name: "an error nobody knows is temporary and tells nothing", queue: failures{commit: errors.New("pebble: secret")}, req: req("a@x.example"),
			want: Reply{Status: ExitTempFail, Text: "mail could not be queued, try again later"}},
		{name: "no room", queue: failures{admit: full}, req: req("a@x.example"), want: Reply{Status: ExitTempFail, Text: "Insufficient system storage"}},
		{name: "no room for a draft", queue: failures{stage: full}, req: req("a@x.example"), want: Reply{Status: ExitTempFail, Text: "Insufficient system storage"}},
		{name: "no room in the middle", queue: failures{write: full}, req: req("a@x.example"), body: "x\n", want: Reply{Status: ExitTempFail, Text: "Insufficient system storage"}},
		{name: "too big", change: func(o *Options) { o.MessageSizeLimit = 10 }, req: req("a@x.example"), body: "12345678901\n",
			want: Reply{Status: ExitUnavailable, Text: "message file too big"}},
		{name: "too many hops", change: func(o *Options) { o.HopcountLimit = 3 }, req: req("a@x.example"), body: "Received: a\nReceived: b\n\n",
			want: Reply{Status: ExitUnavailable, Text: "too many hops"}},
		{name: "no recipients", req: req(), want: Reply{Status: ExitDataErr, Text: "no recipients"}},
		{name: "too many recipients", change: func(o *Options) { o.RecipientLimit = 2 }, req: req("a@x.example", "b@x.example", "c@x.example"),
			want: Reply{Status: ExitUnavailable, Text: "more than 2 recipients"}},
		{name: "too many after expansion", change: func(o *Options) { o.ExpandedLimit = 2 }, req: req("many@virt.example"),
			want: Reply{Status: ExitUnavailable, Text: "the recipients lead to more than 2 addresses"}},
		{name: "not allowed", change: func(o *Options) { o.Authorized = func(uid int) bool { return uid != os.Geteuid() } }, req: req("a@x.example"),
			want: Reply{Status: ExitNoPerm, Text: fmt.Sprintf("User %d is not allowed to submit mail", os.Geteuid())}},
		{name: "a panic is the end of one connection", req: req("panic@virt.example"), want: Reply{Status: -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, fakeRecipients{"loop@virt.example": loop, "many@virt.example": "1@x 2@x 3@x", "panic@virt.example": "panic"}, tc.change)
			f.queue.failures = tc.queue
			reply, err := f.submit(t, tc.req, tc.body)
			if tc.want.Status == -1 {
				if _, lost := errors.AsType[*LostAnswerError](err); !lost {
					t.Errorf("got %+v, %v; want a lost answer", reply, err)
				}
			} else if err != nil || reply != tc.want {
				t.Errorf("got %+v, %v; want %+v", reply, err, tc.want)
			}
			if msgs, _ := f.queue.state(); len(msgs) != 0 {
				t.Errorf("%d messages in the queue", len(msgs))
			}
		})
	}
}

// A whole message that is refused in its middle: the client learns why, not that its
// connection broke.
func TestRefusalWhileSending(t *testing.T) {
	f := start(t, nil, func(o *Options) { o.MessageSizeLimit = 1000 })
	reply, err := f.submit(t, Request{Rcpts: addresses("a@x.example")}, strings.Repeat("0123456789\n", 1<<20))
	if want := (Reply{Status: ExitUnavailable, Text: "message file too big"}); err != nil || reply != want {
		t.Errorf("got %+v, %v; want %+v", reply, err, want)
	}
}

func TestAddressesThatCannotBeSent(t *testing.T) {
	f := start(t, nil, nil)
	for _, a := range []string{"a\r\nRCPT TO:<b@x.example>@x.example", "a@x.example\n", "\x01@x.example", "a@" + strings.Repeat("x", maxAddress)} {
		if reply, err := f.submit(t, Request{Rcpts: addresses(a)}, ""); err == nil {
			t.Errorf("recipient %q: got %+v, want the client to refuse it", a, reply)
		}
		// And a client that does not mind is refused by the server.
		l := f.open(t, Request{})
		addr := mail.SplitAddress(a)
		l.write(kindRcpts, []byte(addr.Local+"\x00"+addr.Domain+"\x00"))
		if reply, err := l.answer(); err != nil || reply.Status != ExitDataErr {
			t.Errorf("recipient %q: got %+v, %v; want status %d", a, reply, err, ExitDataErr)
		}
	}
}

func TestNothingReadWhenNobodyTakesIt(t *testing.T) {
	f := start(t, nil, func(o *Options) { o.Authorized = func(int) bool { return false } })
	for _, socket := range []string{f.socket, f.socket + "-none"} {
		body := &countingReader{}
		reply, err := Submit(t.Context(), socket, Request{Rcpts: addresses("a@x.example")}, body)
		if body.n != 0 || (err == nil) == (reply.Status == ExitOK) {
			t.Errorf("%s: %d reads, %+v, %v", socket, body.n, reply, err)
		}
	}
}

type countingReader struct{ n int }

func (r *countingReader) Read([]byte) (int, error) { r.n++; return 0, io.EOF }

func TestDown(t *testing.T) {
	_, err := Submit(t.Context(), t.TempDir()+"/pickup", Request{}, strings.NewReader(""))
	if !errors.Is(err, ErrDown) {
		t.Errorf("Submit: %v", err)
	}
	if _, err := DialSMTP(t.Context(), t.TempDir()+"/pickup"); !errors.Is(err, ErrDown) {
		t.Errorf("DialSMTP: %v", err)
	}
}

func TestSourceFails(t *testing.T) {
	f := start(t, nil, nil)
	broken := errors.New("broken pipe of the user's program")
	r := Request{Rcpts: addresses("a@x.example")}
	for name, body := range map[string]io.Reader{
		"at once":                        errReader{broken},
		"after some bytes":               io.MultiReader(strings.NewReader("Subject: x\n\n"), errReader{broken}),
		"with what looks like an end":    io.MultiReader(strings.NewReader("Subject: x\n\n"), errReader{io.ErrUnexpectedEOF}),
		"after more than one frame held": io.MultiReader(strings.NewReader(strings.Repeat("x\n", maxFrame)), errReader{broken}),
	} {
		if reply, err := Submit(t.Context(), f.socket, r, body); err == nil {
			t.Errorf("%s: got %+v, want an error", name, reply)
		}
	}
	r.Found = func() ([]mail.Address, error) { return nil, broken }
	if _, err := f.submit(t, r, "x\n"); err != broken {
		t.Errorf("Found: got %v, want %v", err, broken)
	}
	f.Shutdown(t.Context())
	if msgs, _ := f.queue.state(); len(msgs) != 0 {
		t.Errorf("%d messages in the queue", len(msgs))
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestContextEndsASubmission(t *testing.T) {
	f := start(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		w.Write(make([]byte, maxFrame)) // sent, so the connection is in use
		cancel()
		w.Write(make([]byte, 2*maxFrame))
		w.Close()
	}()
	if reply, err := Submit(ctx, f.socket, Request{Rcpts: addresses("a@x.example")}, r); err == nil {
		t.Errorf("got %+v, want an error", reply)
	}
	r.Close()
}
