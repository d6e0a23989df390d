package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/pickup"
	"aliasmx/internal/sock"
)

// machine is a configuration directory, and what one command sees of a process.
type machine struct {
	dir, spool      string
	pickup, control string // sockets
	environ         map[string]string
	stdout, stderr  strings.Builder
}

func newMachine(t *testing.T, settings string) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), environ: map[string]string{}}
	m.spool = filepath.Join(m.dir, "spool")
	if err := os.MkdirAll(filepath.Join(m.spool, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"main.cf":   "queue_directory = " + m.spool + "\nmyhostname = mx.example.com\n" + settings,
		"master.cf": "smtp inet n - n - - smtpd\n",
	} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := loadConfig(m.dir, m.env(""))
	if err != nil {
		t.Fatal(err)
	}
	m.pickup, m.control = pickupSocket(cfg), controlSocket(cfg)
	if err := os.MkdirAll(filepath.Dir(m.pickup), 0o755); err != nil {
		t.Fatal(err)
	}
	return m
}

// env is a process that reads stdin; what it wrote before is forgotten.
func (m *machine) env(stdin string) environ {
	m.stdout.Reset()
	m.stderr.Reset()
	return environ{
		stdin: strings.NewReader(stdin), stdout: &m.stdout, stderr: &m.stderr,
		getenv: func(name string) string {
			if name == "MAIL_CONFIG" {
				return m.dir
			}
			return m.environ[name]
		},
		environ: func() []string { return nil },
	}
}

func (m *machine) socket(name string) string { return filepath.Join(m.spool, "run", name) }

// localMail is the daemon's side of the pickup socket: what it takes is in taken.
type localMail struct {
	mu    sync.Mutex
	taken []string
}

func (q *localMail) Admit(int64) error                         { return nil }
func (q *localMail) NewID() mail.QueueID                       { return 1 }
func (q *localMail) Stage(context.Context) (mail.Draft, error) { return &localDraft{q: q}, nil }
func (q *localMail) Complete(a mail.Address) mail.Address      { return a }
func (q *localMail) Sender(_ context.Context, a mail.Address) (mail.Reverse, error) {
	return mail.Reverse{Path: a}, nil
}
func (q *localMail) HeaderAddress(_ context.Context, a mail.Address, _ bool, _ string) (mail.Address, error) {
	return a, nil
}
func (q *localMail) Expand(_ context.Context, r mail.RcptRequest) ([]mail.Recipient, error) {
	if r.Addr.Local == "later" {
		return nil, &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Temporary lookup failure"}
	}
	return []mail.Recipient{{Final: r.Addr, Orig: r.Addr, Notify: r.Notify}}, nil
}

type localDraft struct {
	q *localMail
	strings.Builder
}

func (d *localDraft) Commit(_ context.Context, env *mail.Envelope) error {
	var rcpts []string
	for _, r := range env.Rcpts {
		rcpts = append(rcpts, fmt.Sprintf("<%s>", r.Final))
	}
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	d.q.taken = append(d.q.taken, fmt.Sprintf("from=<%s> to=%s notify=%d ret=%s envid=%s flags=%b\n%s",
		env.Sender, strings.Join(rcpts, ","), env.Rcpts[0].Notify, env.Ret, env.EnvID, env.Flags, strings.ReplaceAll(d.String(), "\r\n", "\n")))
	return nil
}

func (d *localDraft) Abort()                   {}
func (d *localDraft) Body() (mail.Body, error) { return nil, errors.New("nobody reads it back") }

func (m *machine) startPickup(t *testing.T, change func(*pickup.Options)) *localMail {
	t.Helper()
	q := &localMail{}
	o := pickup.Options{
		Recipients: q, Queue: q, MyHostname: "mx.example.com", MessageDropHeaders: []string{"bcc"},
		Now: func() time.Time { return time.Date(2025, 11, 1, 10, 0, 0, 0, time.UTC) },
	}
	if change != nil {
		change(&o)
	}
	s := pickup.NewServer(o)
	l, err := sock.Listen(m.pickup, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return q
}

var joe = login{uid: 1002, name: "joe", full: "Joe User"}

const letter = "Subject: t\nFrom: f\nDate: d\nMessage-ID: <m>\n\nx\n"

func TestSendmailSubmits(t *testing.T) {
	added := "Message-Id: <20251101100000." + mail.QueueID(1).String() + "@mx.example.com>\nDate: Sat,  1 Nov 2025 10:00:00 +0000 (UTC)\n"
	plain := func(from, to string) string {
		return "from=<" + from + "> to=" + to + " notify=0 ret= envid= flags=1000000\n" + letter
	}
	for _, tc := range []struct {
		name    string
		args    []string
		stdin   string
		env     map[string]string
		want    string
		warning string
	}{
		{name: "recipient", args: []string{"a@virt.example"}, want: plain("joe", "<a@virt.example>")},
		{name: "-f", args: []string{"-f", "s@x.example", "a@virt.example"}, want: plain("s@x.example", "<a@virt.example>")},
		{name: "-r", args: []string{"-rs@x.example", "a@virt.example"}, want: plain("s@x.example", "<a@virt.example>")},
		{name: "the last -f counts", args: []string{"-f", "a@b", "-f", "c@d", "a@virt.example"}, want: plain("c@d", "<a@virt.example>")},
		{name: "null sender", args: []string{"-f", "", "a@virt.example"}, want: plain("", "<a@virt.example>")},
		{name: "null sender in brackets", args: []string{"-f", "<>", "a@virt.example"}, want: plain("", "<a@virt.example>")},
		{name: "sender in brackets", args: []string{"-f", "<x@y.example>", "a@virt.example"}, want: plain("x@y.example", "<a@virt.example>")},
		{name: "sender with too much", args: []string{"-f", "Joe <x@y.example>, b@c", "a@virt.example"}, want: plain("x@y.example", "<a@virt.example>"),
			warning: "sendmail: warning: -f option specified malformed sender: Joe <x@y.example>, b@c\n"},
		{name: "recipients in one word", args: []string{"bob, ann", "A B <ab@o.example>", "<cd@o.example>"}, want: plain("joe", "<bob>,<ann>,<ab@o.example>,<cd@o.example>")},
		{name: "options end at the first recipient", args: []string{"a@virt.example", "-f", "s@x.example"}, want: plain("joe", "<a@virt.example>,<-f>,<s@x.example>")},
		{name: "--", args: []string{"-f", "s@x.example", "--", "-dash@o.example"}, want: plain("s@x.example", "<-dash@o.example>")},
		{name: "an empty recipient", args: []string{"", "a@o.example"}, want: plain("joe", "<>,<a@o.example>")},
		{name: "options without effect", args: []string{"-oi", "-om", "-O", "x=y", "-o7", "-o8", "-L", "x", "-h", "3", "-m", "-U", "-Am", "-Ac", "-oem", "-odi", "-em",
			"-e", "m", "-c", "-x", "-p", "x", "-bm", "-X", "/tmp/log", "a@virt.example"}, want: plain("joe", "<a@virt.example>")},
		{name: "-t", args: []string{"-t"}, stdin: "To: a@b\nCc: c@d\nBcc: e@f\n" + letter,
			want: "from=<joe> to=<a@b>,<c@d>,<e@f> notify=0 ret= envid= flags=1000000\nTo: a@b\nCc: c@d\n" + letter},
		{name: "-ti with recipients as well", args: []string{"-ti", "g@h"}, stdin: "To: a@b\n" + letter + ".\n",
			want: "from=<joe> to=<g@h>,<a@b> notify=0 ret= envid= flags=1000000\nTo: a@b\n" + letter + ".\n"},
		{name: "a dot", args: []string{"a@b"}, stdin: letter + ".\nmore\n", want: plain("joe", "<a@b>")},
		{name: "a dot with -oi", args: []string{"-oi", "a@b"}, stdin: letter + ".\nmore\n", want: plain("joe", "<a@b>") + ".\nmore\n"},
		{name: "DSN", args: []string{"-N", "success,failure", "-R", "hdrs", "-V", "env1", "-B", "8BITMIME", "a@b"},
			want: "from=<joe> to=<a@b> notify=6 ret=HDRS envid=env1 flags=1001000\n" + letter},
		{name: "-B 7BIT", args: []string{"-B", "8BITMIME", "-B", "7bit", "a@b"}, want: "from=<joe> to=<a@b> notify=0 ret= envid= flags=11000000\n" + letter},
		{name: "-N never", args: []string{"-N", "never", "-R", "FULL", "a@b"}, want: "from=<joe> to=<a@b> notify=1 ret=FULL envid= flags=1000000\n" + letter},
		{name: "values that are ignored", args: []string{"-N", "bad", "-N", "never,success", "-R", "bad", "-V", "", "-V", strings.Repeat("1", 101), "a@b"}, want: plain("joe", "<a@b>"),
			warning: "sendmail: warning: unknown DSN NOTIFY command value \"bad\" in \"bad\"\nsendmail: warning: bad -N option value -- ignored\n" +
				"sendmail: warning: bad -N option value -- ignored\nsendmail: warning: bad -R option value -- ignored\n" +
				"sendmail: warning: bad syntax in -V option value -- ignored\nsendmail: warning: too long -V option value -- ignored\n"},
		{name: "full name", args: []string{"a@b"}, stdin: "x\n", want: "from=<joe> to=<a@b> notify=0 ret= envid= flags=1000000\n" + added + "From: Joe User <joe>\n\nx\n"},
		{name: "NAME", args: []string{"a@b"}, stdin: "x\n", env: map[string]string{"NAME": "Env Name"},
			want: "from=<joe> to=<a@b> notify=0 ret= envid= flags=1000000\n" + added + "From: Env Name <joe>\n\nx\n"},
		{name: "-F", args: []string{"-F", "full", "a@b"}, stdin: "x\n", env: map[string]string{"NAME": "Env Name"},
			want: "from=<joe> to=<a@b> notify=0 ret= envid= flags=1000000\n" + added + "From: full <joe>\n\nx\n"},
		{name: "-F with nothing", args: []string{"-F", "", "a@b"}, stdin: "x\n", want: "from=<joe> to=<a@b> notify=0 ret= envid= flags=1000000\n" + added + "From: joe\n\nx\n"},
		{name: "-G", args: []string{"-G", "a@b"}, stdin: "Subject: x\n\nx\n", want: "from=<joe> to=<a@b> notify=0 ret= envid= flags=1000000\nSubject: x\n\nx\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t, "")
			q := m.startPickup(t, nil)
			if tc.stdin == "" {
				tc.stdin = letter
			}
			m.environ = tc.env
			status := sendmail(tc.args, m.env(tc.stdin), joe)
			if status != exitOK || m.stderr.String() != tc.warning || m.stdout.Len() > 0 {
				t.Errorf("status %d, %q, %q", status, m.stdout.String(), m.stderr.String())
			}
			if got := strings.Join(q.taken, "AND "); got != tc.want {
				t.Errorf("got\n%swant\n%s", got, tc.want)
			}
		})
	}
}

func TestSendmailFails(t *testing.T) {
	const usage = "sendmail: fatal: usage: sendmail [options]\n"
	for _, tc := range []struct {
		name   string
		args   []string
		stdin  string
		config string
		change func(*pickup.Options)
		status int
		want   string
	}{
		{name: "no recipients", status: exitTempFail, want: "sendmail: fatal: joe(1002): Recipient addresses must be specified on the command line or via the -t option\n"},
		{name: "no recipients, with a sender", args: []string{"-f", "s@x.example", "--"}, status: exitTempFail,
			want: "sendmail: fatal: s@x.example(1002): Recipient addresses must be specified on the command line or via the -t option\n"},
		{name: "none in the header", args: []string{"-t"}, stdin: "Subject: x\n\nTo: a@b\n", status: exitTempFail, want: "sendmail: fatal: joe(1002): No recipient addresses found in message header\n"},
		{name: "none in an empty group", args: []string{"-t"}, stdin: "To: undisclosed-recipients:;\n\n", status: exitTempFail, want: "sendmail: fatal: joe(1002): No recipient addresses found in message header\n"},
		{name: "too big", args: []string{"a@b"}, stdin: strings.Repeat("x\n", 6000), config: "message_size_limit = 10000\n", status: exitTempFail, want: "sendmail: fatal: joe(1002): message file too big\n"},
		{name: "unknown option", args: []string{"-z"}, status: exitTempFail, want: "sendmail: invalid option -- 'z'\n" + usage},
		{name: "option without its argument", args: []string{"-F"}, status: exitTempFail, want: "sendmail: option requires an argument -- 'F'\n" + usage},
		{name: "-t with -q", args: []string{"-q", "-t"}, status: exitTempFail, want: "sendmail: fatal: -t can be used only in delivery mode\n"},
		{name: "-bs with recipient", args: []string{"-bs", "a@b"}, status: exitTempFail, want: "sendmail: fatal: stand-alone mode requires no recipient\n"},
		{name: "-bp with recipient", args: []string{"-bp", "a@b"}, status: exitTempFail, want: "sendmail: fatal: display queue mode requires no recipient\n"},
		{name: "-q with recipient", args: []string{"-q", "a@b"}, status: exitTempFail, want: "sendmail: fatal: flush queue mode requires no recipient\n"},
		{name: "-I with recipient", args: []string{"-I", "a@b"}, status: exitTempFail, want: "sendmail: fatal: alias initialization mode requires no recipient\n"},
		{name: "-bz", args: []string{"-bz"}, status: exitTempFail, want: "sendmail: fatal: unsupported: -bz\n"},
		{name: "-B", args: []string{"-B", "bad", "a@b"}, status: exitTempFail, want: "sendmail: fatal: -B option needs 8BITMIME or 7BIT\n"},
		{name: "-qR", args: []string{"-qR"}, status: exitTempFail, want: "sendmail: fatal: specify: -qRsitename\n"},
		{name: "-qS", args: []string{"-qSfoo"}, status: exitTempFail, want: "sendmail: fatal: -qS is not implemented\n"},
		{name: "-bv without an address", args: []string{"-bv"}, status: exitTempFail, want: "sendmail: fatal: Recipient addresses must be specified on the command line or via the -t option\n"},
		{name: "-XV", args: []string{"-XV", "a@b"}, status: exitTempFail, want: "sendmail: fatal: -XV: variable envelope return paths are not supported\n"},
		{name: "-bd", args: []string{"-bd"}, status: exitTempFail, want: "sendmail: fatal: -bd: the daemon is started with 'aliasmx start'\n"},
		{name: "not now", args: []string{"ok@x.example", "later@x.example"}, status: exitTempFail, want: "sendmail: fatal: joe(1002): <later@x.example>: Temporary lookup failure\n"},
		{name: "not allowed", args: []string{"a@b"}, change: func(o *pickup.Options) { o.Authorized = func(int) bool { return false } },
			status: pickup.ExitNoPerm, want: "sendmail: fatal: User joe(1002) is not allowed to submit mail\n"},
		{name: "-bs not allowed", args: []string{"-bs"}, change: func(o *pickup.Options) { o.Authorized = func(int) bool { return false } },
			status: pickup.ExitNoPerm, want: "sendmail: fatal: User joe(1002) is not allowed to submit mail\n"},
		{name: "an address that nobody can send", args: []string{"\"a\x01\"@b"}, status: exitTempFail, want: "sendmail: fatal: joe(1002): unusable address: \"a\\x01@b\": control character\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t, tc.config)
			q := m.startPickup(t, tc.change)
			status := sendmail(tc.args, m.env(tc.stdin), joe)
			if status != tc.status || m.stderr.String() != tc.want {
				t.Errorf("status %d, %q; want %d, %q", status, m.stderr.String(), tc.status, tc.want)
			}
			if len(q.taken) > 0 {
				t.Errorf("taken: %q", q.taken)
			}
		})
	}
}

func TestSendmailDown(t *testing.T) {
	m := newMachine(t, "")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"a@b"}, "sendmail: fatal: joe(1002): the mail was not queued: mail system is down (connect to " + m.pickup + ": no such file or directory)\n"},
		{[]string{"-bs"}, "sendmail: fatal: mail system is down (connect to " + m.pickup + ": no such file or directory)\n"},
	} {
		if status := sendmail(tc.args, m.env(letter), joe); status != exitTempFail || m.stderr.String() != tc.want {
			t.Errorf("%v: status %d, %q", tc.args, status, m.stderr.String())
		}
	}
}

func TestSendmailSMTP(t *testing.T) {
	m := newMachine(t, "")
	m.startPickup(t, func(o *pickup.Options) {
		o.ServeSMTP = func(conn net.Conn, _ int) {
			io.WriteString(conn, "220 mx.example.com ESMTP\r\n")
			in := bufio.NewReader(conn)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				fmt.Fprintf(conn, "250 %s", line)
			}
		}
	})
	status := sendmail([]string{"-bs"}, m.env("EHLO x\r\nQUIT\r\n"), joe)
	if want := "220 mx.example.com ESMTP\r\n250 EHLO x\r\n250 QUIT\r\n"; status != exitOK || m.stdout.String() != want || m.stderr.Len() > 0 {
		t.Errorf("status %d, %q, %q", status, m.stdout.String(), m.stderr.String())
	}
}

func TestSendmailOtherModes(t *testing.T) {
	for _, args := range [][]string{{"-bi"}, {"-I"}, {"-bh"}, {"-bH"}, {"-q30m"}} {
		m := newMachine(t, "")
		if status := sendmail(args, m.env(""), joe); status != exitOK || m.stdout.Len() > 0 {
			t.Errorf("%v: status %d, %q", args, status, m.stdout.String())
		}
	}
}

func TestSendmailConfigFile(t *testing.T) {
	m := newMachine(t, "")
	m.startPickup(t, nil)
	for _, dir := range []string{m.dir, filepath.Join(m.dir, "main.cf")} {
		env := m.env(letter)
		env.getenv = func(string) string { return "" }
		if status := sendmail([]string{"-C", dir, "a@b"}, env, joe); status != exitOK {
			t.Errorf("-C %s: status %d, %q", dir, status, m.stderr.String())
		}
	}
	env := m.env(letter)
	env.getenv = func(string) string { return filepath.Join(m.dir, "none") }
	if status := sendmail([]string{"a@b"}, env, joe); status != exitTempFail {
		t.Errorf("no configuration: status %d, %q", status, m.stderr.String())
	}
}

func TestNobody(t *testing.T) {
	m := newMachine(t, "")
	status := sendmail([]string{"a@b"}, m.env(letter), login{uid: 4711})
	if want := "sendmail: fatal: no login name found for user ID 4711; name the sender with -f\n"; status != exitTempFail || m.stderr.String() != want {
		t.Errorf("status %d, %q", status, m.stderr.String())
	}
	if got := expandGecos("& Fixture", "joe"); got != "Joe Fixture" {
		t.Errorf("gecos: %q", got)
	}
}
