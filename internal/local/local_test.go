package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// What Debian's Postfix 3.7.11 does with these aliases, by its log: local(8) beside the
// same files. {id} is a queue ID.
func TestAsPostfix(t *testing.T) {
	needRoot(t)
	const aliases = `
root: admin@dest.example
list: one@dest.example, two@dest.example
single: one@dest.example
cmdok: "|cat > {dir}/files/out"
cmd1: "|echo hello world; exit 1"
cmd3: "|exit 3"
cmd64: "|exit 64"
cmd65: "|exit 65"
cmd66: "|exit 66"
cmd67: "|exit 67"
cmd68: "|exit 68"
cmd69: "|exit 69"
cmd70: "|exit 70"
cmd71: "|exit 71"
cmd72: "|exit 72"
cmd73: "|exit 73"
cmd74: "|exit 74"
cmd75: "|echo later; exit 75"
cmd76: "|exit 76"
cmd77: "|exit 77"
cmd78: "|exit 78"
cmd79: "|exit 79"
cmdsig: "|kill -9 \$\$"
cmddsn: "|echo 4.7.9 my own text; exit 1"
cmddsn5: "|echo 5.7.9 my own text; exit 1"
cmdmissing: |/no/such/command
cmdmissing2: "|nosuchcmd arg"
cmdnoread: |/bin/true
cmdarg: "|/bin/echo a b"
file: {dir}/files/mbox
filenodir: {dir}/nodir/mbox
fileroot: /etc/passwd
filedev: /dev/null
filedir: {dir}/files
filelink: {dir}/files/link
filehard: {dir}/files/hard1
fileexec: {dir}/files/exe
maildir: {dir}/files/md/
inc: :include:{dir}/inc
incmissing: :include:{dir}/nosuch
increl: :include:relative/path
incdir: :include:{dir}
incww: :include:{dir}/incww
inccmd: :include:{dir}/inccmd
incfile: :include:{dir}/incfile
inclocal: :include:{dir}/inclocal
incself: :include:{dir}/incself
unk: nosuchuser
mixed: one@dest.example, nosuchuser, "|exit 0"
mixdefer: one@dest.example, "|exit 75", "|cat > {dir}/files/mixdefer"
loopa: loopb
loopb: loopa
self: self
selfx: selfx, one@dest.example
nestcmd: cmdok
olist: one@dest.example, cmd1, "|exit 0"
owner-olist: boss@dest.example
olist2: "|exit 1"
owner-olist2: boss@dest.example
dup: one@dest.example, one@dest.example, ONE@dest.example
dupl: list, list
empty: ""
comment: (nothing)
bad: foo@[bar
ext: one@dest.example
userroot: root
mixedcmd: "|exit 1", "|exit 0", /dev/null
home: ~/x
tilde: ~user/x
`
	r := newRig(t, aliases, func(o *Options) { o.RecipientDelimiter, o.PropagateAlias = "+", true })
	r.open("files")
	r.write("inc", "# c\none@dest.example\ntwo@dest.example, three@dest.example\n", 0o644)
	r.write("incww", "one@dest.example\n", 0o666)
	r.write("inccmd", "\"|exit 0\"\none@dest.example\n", 0o644)
	r.write("incfile", "/dev/null\n", 0o644)
	r.write("inclocal", "list\n", 0o644)
	r.write("incself", ":include:{dir}/incself\n", 0o644)
	for name, mode := range map[string]os.FileMode{"target": 0o644, "hard1": 0o644, "exe": 0o755} {
		os.Chown(r.write("files/"+name, "", mode), 65534, 65534)
	}
	os.Symlink(filepath.Join(r.dir, "files/target"), filepath.Join(r.dir, "files/link"))
	os.Lchown(filepath.Join(r.dir, "files/link"), 65534, 65534)
	os.Link(filepath.Join(r.dir, "files/hard1"), filepath.Join(r.dir, "files/hard2"))

	const sent = "dsn=2.0.0, status=sent "
	for _, tt := range []struct{ name, want, forwarded string }{
		{"bad", "to=<bad@mx>, dsn=5.1.3, status=bounced (bad recipient address syntax: foo@[bar])", ""},
		{"cmd1", `to=<cmd1@mx>, dsn=5.3.0, status=bounced (Command died with status 1: "echo hello world; exit 1". Command output: hello world )`, ""},
		{"cmd3", `to=<cmd3@mx>, dsn=5.3.0, status=bounced (Command died with status 3: "exit 3")`, ""},
		{"cmd64", "to=<cmd64@mx>, dsn=5.3.0, status=bounced (command line usage error)", ""},
		{"cmd65", "to=<cmd65@mx>, dsn=5.6.0, status=bounced (data format error)", ""},
		{"cmd66", "to=<cmd66@mx>, dsn=5.3.0, status=bounced (cannot open input)", ""},
		{"cmd67", "to=<cmd67@mx>, dsn=5.1.1, status=bounced (user unknown)", ""},
		{"cmd68", "to=<cmd68@mx>, dsn=5.1.2, status=bounced (host name unknown)", ""},
		{"cmd69", "to=<cmd69@mx>, dsn=5.3.0, status=bounced (service unavailable)", ""},
		{"cmd70", "to=<cmd70@mx>, dsn=5.3.0, status=bounced (internal software error)", ""},
		{"cmd71", "to=<cmd71@mx>, dsn=4.3.0, status=deferred (system resource problem)", ""},
		{"cmd72", "to=<cmd72@mx>, dsn=5.3.0, status=bounced (critical OS file missing)", ""},
		{"cmd73", "to=<cmd73@mx>, dsn=5.2.0, status=bounced (can't create user output file)", ""},
		{"cmd74", "to=<cmd74@mx>, dsn=5.3.0, status=bounced (input/output error)", ""},
		{"cmd75", "to=<cmd75@mx>, dsn=4.3.0, status=deferred (temporary failure. Command output: later )", ""},
		{"cmd76", "to=<cmd76@mx>, dsn=5.5.0, status=bounced (remote error in protocol)", ""},
		{"cmd77", "to=<cmd77@mx>, dsn=5.7.0, status=bounced (permission denied)", ""},
		{"cmd78", "to=<cmd78@mx>, dsn=5.3.5, status=bounced (local configuration error)", ""},
		{"cmd79", `to=<cmd79@mx>, dsn=5.3.0, status=bounced (Command died with status 79: "exit 79")`, ""},
		{"cmdsig", `to=<cmdsig@mx>, dsn=4.3.0, status=deferred (Command died with signal 9: "kill -9 $$")`, ""},
		{"cmddsn", "to=<cmddsn@mx>, dsn=4.7.9, status=deferred (my own text )", ""},
		{"cmddsn5", "to=<cmddsn5@mx>, dsn=5.7.9, status=bounced (my own text )", ""},
		{"cmdmissing", "to=<cmdmissing@mx>, dsn=4.3.0, status=deferred (temporary failure. Command output: local: fatal: execvp /no/such/command: No such file or directory )", ""},
		{"cmdmissing2", `to=<cmdmissing2@mx>, dsn=5.3.0, status=bounced (Command died with status 127: "nosuchcmd arg". Command output: sh: 1: nosuchcmd: not found )`, ""},
		{"cmdnoread", "to=<cmdnoread@mx>, " + sent + "(delivered to command: /bin/true)", ""},
		{"cmdarg", "to=<cmdarg@mx>, " + sent + "(delivered to command: /bin/echo a b)", ""},
		{"cmdok", "to=<cmdok@mx>, " + sent + "(delivered to command: cat > {dir}/files/out)", ""},
		{"comment", "to=<comment@mx>, dsn=4.3.0, status=deferred (alias database unavailable)", ""},
		{"dup", "to=<dup@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example"},
		{"dupl", "to=<dupl@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example two@dest.example"},
		{"empty", "to=<MAILER-DAEMON@mx>, orig_to=<empty@mx>, " + sent + "(discarded)", ""},
		{"ext", "to=<ext@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example"},
		{"file", "to=<file@mx>, " + sent + "(delivered to file: {dir}/files/mbox)", ""},
		{"filedev", "to=<filedev@mx>, " + sent + "(delivered to file: /dev/null)", ""},
		{"filedir", "to=<filedir@mx>, dsn=5.2.0, status=bounced (cannot append message to file {dir}/files: cannot open file: Is a directory)", ""},
		{"fileexec", "to=<fileexec@mx>, dsn=5.7.1, status=bounced (cannot append message to file {dir}/files/exe: file is executable)", ""},
		{"filehard", "to=<filehard@mx>, dsn=5.2.0, status=bounced (cannot append message to file {dir}/files/hard1: file has 2 hard links)", ""},
		{"filelink", "to=<filelink@mx>, dsn=5.2.0, status=bounced (cannot append message to file {dir}/files/link: file is a symbolic link)", ""},
		{"filenodir", "to=<filenodir@mx>, dsn=5.2.0, status=bounced (cannot append message to file {dir}/nodir/mbox: cannot create file exclusively: No such file or directory)", ""},
		{"fileroot", "to=<fileroot@mx>, dsn=5.2.0, status=bounced (cannot append message to file /etc/passwd: cannot open file: Permission denied)", ""},
		{"home", "to=<home@mx>, dsn=5.3.5, status=bounced (mail system configuration error)", ""},
		{"tilde", "to=<tilde@mx>, dsn=5.3.5, status=bounced (mail system configuration error)", ""},
		{"inc", "to=<inc@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example two@dest.example three@dest.example"},
		{"inccmd", "to=<inccmd@mx>, dsn=5.7.1, status=bounced (mail to command is restricted)\nto=<inccmd@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example"},
		{"incdir", "to=<incdir@mx>, dsn=5.3.5, status=bounced (mail system configuration error)", ""},
		{"incfile", "to=<incfile@mx>, dsn=5.7.1, status=bounced (mail to file is restricted)", ""},
		{"inclocal", "to=<inclocal@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example two@dest.example"},
		{"incmissing", "to=<incmissing@mx>, dsn=5.3.5, status=bounced (mail system configuration error)", ""},
		{"increl", "to=<increl@mx>, dsn=5.3.5, status=bounced (mail system configuration error)", ""},
		{"incww", "to=<incww@mx>, dsn=5.3.5, status=bounced (mail system configuration error)", ""},
		// Postfix takes this for delivered, and the message is gone.
		{"incself", "to=<incself@mx>, dsn=5.1.1, status=bounced (\"incself\" leads to nobody)", ""},
		{"list", "to=<list@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example two@dest.example"},
		{"loopa", "to=<loopb@mx>, orig_to=<loopa@mx>, dsn=5.4.6, status=bounced (alias database loop for loopb)", ""},
		{"loopb", "to=<loopa@mx>, orig_to=<loopb@mx>, dsn=5.4.6, status=bounced (alias database loop for loopa)", ""},
		{"maildir", "to=<maildir@mx>, " + sent + "(delivered to maildir)", ""},
		{"mixdefer", "to=<mixdefer@mx>, dsn=4.3.0, status=deferred (temporary failure)\nto=<mixdefer@mx>, " + sent + "(delivered to command: cat > {dir}/files/mixdefer)", ""},
		{"mixed", "to=<nosuchuser@mx>, orig_to=<mixed@mx>, dsn=5.1.1, status=bounced (unknown user: \"nosuchuser\")\n" +
			"to=<mixed@mx>, " + sent + "(delivered to command: exit 0)\nto=<mixed@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example"},
		{"mixedcmd", "to=<mixedcmd@mx>, dsn=5.3.0, status=bounced (Command died with status 1: \"exit 1\")\n" +
			"to=<mixedcmd@mx>, " + sent + "(delivered to command: exit 0)\nto=<mixedcmd@mx>, " + sent + "(delivered to file: /dev/null)", ""},
		{"nestcmd", "to=<cmdok@mx>, orig_to=<nestcmd@mx>, " + sent + "(delivered to command: cat > {dir}/files/out)", ""},
		{"olist", "to=<cmd1@mx>, dsn=5.3.0, status=bounced (Command died with status 1: \"echo hello world; exit 1\". Command output: hello world )\n" +
			"to=<olist@mx>, " + sent + "(delivered to command: exit 0)\nto=<olist@mx>, " + sent + "(forwarded as {id})", "owner-olist@mx.example.com -> one@dest.example"},
		{"olist2", "to=<olist2@mx>, dsn=5.3.0, status=bounced (Command died with status 1: \"exit 1\")", ""},
		{"root", "to=<root@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> admin@dest.example"},
		{"self", "to=<self@mx>, dsn=5.1.1, status=bounced (unknown user: \"self\")", ""},
		{"selfx", "to=<selfx@mx>, dsn=5.1.1, status=bounced (unknown user: \"selfx\")\nto=<selfx@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example"},
		{"unk", "to=<nosuchuser@mx>, orig_to=<unk@mx>, dsn=5.1.1, status=bounced (unknown user: \"nosuchuser\")", ""},
		{"userroot", "to=<userroot@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> admin@dest.example"},
		{"nosuch", "to=<nosuch@mx>, dsn=5.1.1, status=bounced (unknown user: \"nosuch\")", ""},
		{"single+ext", "to=<single+ext@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one+ext@dest.example"},
		{"ext+Foo", "to=<ext+Foo@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one+foo@dest.example"},
		{"LIST", "to=<LIST@mx>, " + sent + "(forwarded as {id})", "sender@client.example -> one@dest.example two@dest.example"},
		{"x/y", "to=<x/y@mx>, dsn=5.1.1, status=bounced (unknown user: \"x/y\")", ""},
		{"postmaster", "to=<postmaster@mx>, " + sent + "(discarded)", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.q.sent = nil
			got := strings.TrimSuffix(r.summary(r.deliver(tt.name)), "\n")
			if len(r.q.sent) > 0 {
				got = strings.ReplaceAll(got, r.q.sent[0].env.ID.String(), "{id}")
			}
			got = strings.ReplaceAll(got, "@mx.example.com", "@mx")
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if got := r.q.String(); got != tt.forwarded {
				t.Errorf("forwarded %q, want %q", got, tt.forwarded)
			}
		})
	}
	for _, warning := range []string{
		"warning: :include:relative/path uses a relative path",
		":include: file " + r.dir + "/incww is world writable",
		"unable to lookup :include: file " + r.dir + "/nosuch: No such file or directory",
		"alias database loop for loopb",
		"no recipient in alias lookup result for comment",
		"required alias not found: postmaster",
		"unknown home directory for: ~/x",
		"unable to create lock file " + r.dir + "/nodir/mbox.lock: No such file or directory",
	} {
		if !strings.Contains(r.log.String(), strings.TrimPrefix(warning, "warning: ")) {
			t.Errorf("the log lacks %q:\n%s", warning, r.log)
		}
	}
}

// What is written above a message, and that its bytes stay below it.
func TestContent(t *testing.T) {
	needRoot(t)
	r := newRig(t, `
cmd: "|cat > {dir}/files/out"
file: {dir}/files/mbox
maildir: {dir}/files/md/
fwd: one@dest.example
`)
	r.open("files")
	const above = "Return-Path: <sender@client.example>\nX-Original-To: %@mx.example.com\nDelivered-To: %@mx.example.com\n" +
		"Received: by mx.example.com (Postfix)\n\tid X; now\nReceived: from client\nFrom: a@client.example\nMessage-Id: <x@client.example>\n\nbody\n"
	from := "From sender@client.example  " + r.o.Now().Local().Format("Mon Jan _2 15:04:05 2006") + "\n"
	r.deliver("cmd")
	if got, want := r.read("files/out"), from+strings.ReplaceAll(above, "%", "cmd")+"From here\n.x\n"; got != want {
		t.Errorf("command got\n%s\nwant\n%s", got, want)
	}
	r.deliver("file")
	r.deliverAs("file", "A: b\r\n\r\nno end\rof line", func(a *mail.Attempt) { a.Env.Sender = mail.Address{} })
	if got, want := r.read("files/mbox"), from+strings.ReplaceAll(above, "%", "file")+">From here\n.x\n\n"+
		strings.Replace(from, "sender@client.example", "MAILER-DAEMON", 1)+
		"Return-Path: <>\nX-Original-To: file@mx.example.com\nDelivered-To: file@mx.example.com\n"+
		"Received: by mx.example.com (Postfix)\n\tid X; now\nA: b\n\nno end\rof line\n\n"; got != want {
		t.Errorf("file has\n%q\nwant\n%q", got, want)
	}
	r.deliver("maildir")
	found, _ := filepath.Glob(filepath.Join(r.dir, "files/md/new/1795386728.V*I*M523863.*"))
	left, _ := filepath.Glob(filepath.Join(r.dir, "files/md/tmp/*"))
	if len(found) != 1 || len(left) != 0 {
		t.Fatalf("maildir has %v in new, %v in tmp", found, left)
	}
	if got, want := r.read("files/md/new/"+filepath.Base(found[0])), strings.ReplaceAll(above, "%", "maildir")+"From here\n.x\n"; got != want {
		t.Errorf("maildir has\n%s\nwant\n%s", got, want)
	}
	r.deliver("fwd")
	m := r.q.sent[0]
	if want := "Received: by mx.example.com (Postfix)\r\n\tid X; now\r\n" + letter; m.body != want {
		t.Errorf("forwarded\n%q\nwant\n%q", m.body, want)
	}
	if got := string(m.env.Prepend); !strings.HasPrefix(got, "Received: by mx.example.com (Postfix)\r\n\tid "+m.env.ID.String()+"; Sun, 22 Nov 2026 22:32:08 +0000 (UTC)\r\n") ||
		!strings.HasSuffix(got, "\r\nDelivered-To: fwd@mx.example.com\r\n") {
		t.Errorf("on top of it: %q", got)
	}
	if !strings.Contains(r.log.String(), "message_id=<x@client.example>") {
		t.Errorf("no message-id in the log:\n%s", r.log)
	}
}

// Extensions reach what an alias leads to only if they may.
func TestExtensions(t *testing.T) {
	for _, tt := range []struct {
		name, delimiter string
		propagate       bool
		want            string
	}{
		{"a+x", "+", true, "one+x@dest.example"},
		{"a+x", "+", false, "one@dest.example"},
		{"a-x", "+-", true, "one-x@dest.example"},
		{"b+x", "+", true, "exact@dest.example"},
		{"owner-a", "-", true, "boss@dest.example"},
		{"a+x/y", "+", true, "one@dest.example"},
		{"i+x", "+", true, "inc@dest.example"},
	} {
		r := newRig(t, "a: one@dest.example\nb+x: exact@dest.example\nb: b@dest.example\nowner-a: boss@dest.example\ni: :include:{dir}/inc\n",
			func(o *Options) { o.RecipientDelimiter, o.PropagateAlias = tt.delimiter, tt.propagate })
		r.write("inc", "inc@dest.example\n", 0o644)
		r.deliver(tt.name)
		if _, to, _ := strings.Cut(r.q.String(), " -> "); to != tt.want {
			t.Errorf("%s with %s, propagate %v: forwarded to %q, want %q", tt.name, tt.delimiter, tt.propagate, to, tt.want)
		}
	}
}

// Loops from outside end at the second visit; the owner of a list hears of it.
func TestDeliveredTo(t *testing.T) {
	r := newRig(t, "single: one@dest.example\nlist: one@dest.example\nowner-list: boss@dest.example\n")
	loop := func(name, header string) mail.Result {
		return r.deliverAs(name, header+"\r\n\r\nDelivered-To: other@mx.example.com\r\n", nil)
	}
	if got := r.summary(loop("single", "Delivered-To: Single@MX.example.com")); !strings.Contains(got, "dsn=5.4.6, status=bounced (mail forwarding loop for single@mx.example.com)") {
		t.Errorf("loop: %s", got)
	}
	res := loop("list", "X: y\r\nDelivered-To: list@mx.example.com")
	if got := r.summary(res); !strings.Contains(got, "mail forwarding loop for list@mx.example.com") || res.Targets[0].Owner.String() != "owner-list@mx.example.com" {
		t.Errorf("loop of a list: %s, owner %v", got, res.Targets[0].Owner)
	}
	for _, header := range []string{"X-Delivered-To: single@mx.example.com", "Subject: x\r\n\r\nDelivered-To: single@mx.example.com", strings.Repeat("x", 9000) + ": y"} {
		if res := loop("single", header); res.State != mail.Delivered {
			t.Errorf("%.40q is no loop: %s", header, r.summary(res))
		}
	}
}

// What a list sends on is the owner's, and nothing that the sender asked for.
func TestLists(t *testing.T) {
	const aliases = "list: one@dest.example, name\nowner-list: boss@dest.example, other@dest.example\nplain: one@dest.example\n"
	for _, tt := range []struct {
		what     string
		change   func(*Options)
		name     string
		sender   string
		orcpt    string
		orig     string
		envID    string
		notify   mail.Notify
		expanded bool
	}{
		{"a list", func(*Options) {}, "list", "owner-list@mx.example.com", "", "one@dest.example", "", mail.NotifyFailure, false},
		{"expand_owner_alias", func(o *Options) { o.ExpandOwnerAlias = true }, "list", "boss@dest.example", "", "one@dest.example", "", mail.NotifyFailure, false},
		{"owner_request_special = no", func(o *Options) { o.SplitOwnerRequest = true }, "list", "sender@client.example", "rfc822;list@mx.example.com", "list@mx.example.com", "E1", mail.NotifyFailure, true},
		{"an alias", func(*Options) {}, "plain", "sender@client.example", "rfc822;plain@mx.example.com", "plain@mx.example.com", "E1", mail.NotifyFailure, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			r := newRig(t, aliases, tt.change)
			res := r.deliverAs(tt.name, letter, func(a *mail.Attempt) {
				a.Env.EnvID, a.Env.Ret = "E1", "HDRS"
				a.Env.Rcpts[0].Notify = mail.NotifySuccess | mail.NotifyFailure
			})
			if len(r.q.sent) != 1 {
				t.Fatalf("forwarded %s; %s", r.q, r.summary(res))
			}
			env := r.q.sent[0].env
			rcpt := env.Rcpts[0]
			if env.Sender.String() != tt.sender || rcpt.ORcpt != tt.orcpt || rcpt.Orig.String() != tt.orig || env.EnvID != tt.envID || rcpt.Notify != tt.notify {
				t.Errorf("sender %s, orcpt %s, orig %s, envid %s, notify %v", env.Sender, rcpt.ORcpt, rcpt.Orig, env.EnvID, rcpt.Notify)
			}
			if res.Expanded != tt.expanded || res.State != mail.Delivered || res.Reason != "alias expanded" {
				t.Errorf("expanded %v, %v, %q", res.Expanded, res.State, res.Reason)
			}
		})
	}
}

// What was delivered is not delivered again because something else was deferred.
func TestRetry(t *testing.T) {
	needRoot(t)
	r := newRig(t, "mix: \"|echo x >> {dir}/files/count\", \"|test -e {dir}/files/go || exit 75\", one@dest.example, {dir}/files/mbox\n")
	r.open("files")
	first := r.deliver("mix")
	if first.State != mail.Deferred || r.q.String() != "" {
		t.Fatalf("first attempt: %s, forwarded %s", r.summary(first), r.q)
	}
	r.write("files/go", "", 0o644)
	r.next-- // the same message
	second := r.deliver("mix")
	if second.State != mail.Delivered || len(second.Targets) != 2 || r.q.String() != "sender@client.example -> one@dest.example" {
		t.Errorf("second attempt: %s, forwarded %s", r.summary(second), r.q)
	}
	if got := r.read("files/count"); got != "x\n" {
		t.Errorf("the first command ran %q", got)
	}
	if n := strings.Count(r.read("files/mbox"), "Return-Path"); n != 1 {
		t.Errorf("%d messages in the file", n)
	}
	if third := r.deliver("mix"); third.State != mail.Delivered || len(third.Targets) != 4 {
		t.Errorf("another message: %s", r.summary(third))
	}
}

func TestTrouble(t *testing.T) {
	r := newRig(t, "a: later@dest.example\nb: x@broken.example\nc: refused@dest.example, ok@dest.example\nd: virtual@dest.example\ne: one@dest.example\n")
	for name, want := range map[string]string{
		"a": "dsn=4.3.0, status=deferred (unable to forward message)",
		"b": "dsn=4.3.0, status=deferred (address resolver failure)",
		"c": "status=sent (forwarded as",
		"d": "status=sent (forwarded as",
	} {
		if got := r.summary(r.deliver(name)); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	got := r.q.String()
	for _, want := range []string{"refused@dest.example ok@dest.example", "v1@dest.example v2@dest.example"} {
		if !strings.Contains(got, want) {
			t.Errorf("forwarded %s, want %s", got, want)
		}
	}
	many := strings.Repeat("Received: x\r\n", 49) + "\r\nx\r\n"
	if got := r.summary(r.deliverAs("e", many, nil)); !strings.Contains(got, "dsn=5.4.6, status=bounced (too many hops)") {
		t.Errorf("many hops: %s", got)
	}
	r.q.fail = &mail.Status{Code: 452, Enhanced: mail.Code(4, 3, 1), Text: "Insufficient system storage"}
	if got := r.summary(r.deliver("e")); !strings.Contains(got, "status=deferred (unable to forward message)") {
		t.Errorf("no space: %s", got)
	}
	fail, err := table.Open("fail:x", table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.o.Aliases = table.Maps{fail}
	if err := r.tr.Update(r.o); err != nil {
		t.Fatal(err)
	}
	if got := r.summary(r.deliver("e")); !strings.Contains(got, "status=deferred (alias database unavailable)") {
		t.Errorf("failing table: %s", got)
	}
	bad := r.o
	bad.DefaultPrivs = User{Name: "root"}
	if err := r.tr.Update(bad); err == nil || !strings.Contains(err.Error(), "privileged") {
		t.Errorf("default_privs = root: %v", err)
	}
}
