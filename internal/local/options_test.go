package local

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// split_addr(3): which names are divided, and where.
func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		local, delimiter string
		ownerIsPlain     bool
		user, extension  string
	}{
		{"user+ext", "+", false, "user", "ext"},
		{"user+a+b", "+", false, "user", "a+b"},
		{"user-a+b", "+-", false, "user", "a+b"},
		{"user", "+", false, "user", ""},
		{"user+ext", "", false, "user+ext", ""},
		{"+ext", "+", false, "+ext", ""},
		{"user+", "+", false, "user", ""},
		{"owner-list", "-", false, "owner-list", ""},
		{"list-request", "-", false, "list-request", ""},
		{"owner-list", "-", true, "owner", "list"},
		{"list-request", "-", true, "list", "request"},
		{"mailer-daemon", "-", false, "mailer-daemon", ""},
		{"double-bounce", "-", true, "double-bounce", ""},
	} {
		d := &delivery{settings: &settings{Options: Options{RecipientDelimiter: tt.delimiter, SplitOwnerRequest: tt.ownerIsPlain}}}
		if user, extension, _ := d.split(tt.local); user != tt.user || extension != tt.extension {
			t.Errorf("%s at %q: %q, %q; want %q, %q", tt.local, tt.delimiter, user, extension, tt.user, tt.extension)
		}
	}
}

// Parameters that change what a delivery looks like.
func TestParameters(t *testing.T) {
	needRoot(t)
	const aliases = "outer: inner\ninner: \"|cat > {dir}/files/out; pwd > {dir}/files/pwd\", one@dest.example\nlist: sub, two@dest.example\nsub: name\nowner-list: boss@dest.example\n"
	for _, tt := range []struct {
		what      string
		name      string
		change    func(*Options)
		file      string   // in the command's input
		not       string   // not there
		forwarded []string // sender -> recipients, and a line on top
	}{
		{"defaults", "outer", func(*Options) {}, "\nX-Original-To: outer@mx.example.com\nDelivered-To: outer@mx.example.com\n", "Delivered-To: inner", []string{"sender@client.example -> one@dest.example", "Delivered-To: outer@mx.example.com\r\n"}},
		{"frozen_delivered_to = no", "outer", func(o *Options) { o.ThawDelivered = true }, "\nDelivered-To: inner@mx.example.com\n", "Delivered-To: outer", []string{"sender@client.example -> one@dest.example", "Delivered-To: inner@mx.example.com\r\n"}},
		{"prepend_delivered_header = forward", "outer", func(o *Options) { o.PrependDelivered = []string{"forward"} }, "\nX-Original-To: ", "Delivered-To", []string{"sender@client.example -> one@dest.example", "Delivered-To: outer@mx.example.com\r\n"}},
		{"prepend_delivered_header = command", "outer", func(o *Options) { o.PrependDelivered = []string{"command"} }, "\nDelivered-To: outer", "x-y-z", []string{"sender@client.example -> one@dest.example", "Received: by mx.example.com"}},
		{"enable_original_recipient = no", "outer", func(o *Options) { o.EnableOriginalRecipient = false }, "\nReturn-Path: <sender@client.example>\nDelivered-To: outer", "X-Original-To", []string{"sender@client.example -> one@dest.example"}},
		{"a name in a list", "list", func(*Options) {}, "", "", []string{"owner-list@mx.example.com -> name@mx.example.com two@dest.example"}},
		{"reset_owner_alias = yes", "list", func(o *Options) { o.ResetOwnerAlias = true }, "", "", []string{"owner-list@mx.example.com -> two@dest.example"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			r := newRig(t, aliases, tt.change)
			r.open("files")
			res := r.deliver(tt.name)
			if got := r.q.String(); got != tt.forwarded[0] {
				t.Errorf("forwarded %s, want %s; %s", got, tt.forwarded[0], r.summary(res))
			}
			if len(tt.forwarded) > 1 && !strings.Contains(string(r.q.sent[0].env.Prepend), tt.forwarded[1]) {
				t.Errorf("on top: %q, want %q", r.q.sent[0].env.Prepend, tt.forwarded[1])
			}
			if tt.file == "" {
				return
			}
			text := r.read("files/out")
			if !strings.Contains(text, tt.file) || strings.Contains(text, tt.not) {
				t.Errorf("command got %q, want %q and not %q", text, tt.file, tt.not)
			}
		})
	}
}

// How commands are started.
func TestCommandShell(t *testing.T) {
	needRoot(t)
	const aliases = "plain: \"|/usr/bin/env\"\nprint: \"|echo $0 `id -u` > {dir}/files/out\"\n"
	r := newRig(t, aliases, func(o *Options) { o.CommandShell = "{shell}" })
	r.open("files")
	shell := r.write("shell", "#!/bin/sh\necho \"shell $1 $2\" > {dir}/files/shell\npwd >> {dir}/files/shell\n", 0o755)
	r.o.CommandShell = shell + " -c"
	r.o.CommandDirectory = filepath.Join(r.dir, "files")
	r.tr.Update(r.o)
	if got := r.summary(r.deliver("plain")); !strings.Contains(got, "status=sent") {
		t.Errorf("local_command_shell: %s", got)
	}
	if got, want := r.read("files/shell"), "shell -c /usr/bin/env\n"+r.dir+"/files\n"; got != want {
		t.Errorf("the shell got %q, want %q", got, want)
	}
	r.o.CommandShell = ""
	r.tr.Update(r.o)
	r.deliver("print")
	if got := r.read("files/out"); got != "sh 65534\n" {
		t.Errorf("without a shell of its own: %q", got)
	}
	r.o.CommandDirectory = "/no/such/directory"
	r.tr.Update(r.o)
	if got := r.summary(r.deliver("print")); !strings.Contains(got, `dsn=4.3.0, status=deferred (temporary failure. Command output: local: fatal: cannot change directory to "/no/such/directory" for uid=65534 gid=65534: No such file or directory )`) {
		t.Errorf("no directory: %s", got)
	}
}

// What a command learns of the client.
func TestClient(t *testing.T) {
	needRoot(t)
	r := newRig(t, "cmd: \"|env > {dir}/files/env\"\n")
	r.open("files")
	r.deliverAs("cmd", letter, func(a *mail.Attempt) {
		a.Env.Client = mail.Client{Name: "client.example", Addr: netip.MustParseAddr("2001:db8::1"), Helo: "evil;$(id)", Protocol: "ESMTP"}
		a.Env.Sender = mail.Address{}
	})
	env := "\n" + r.read("files/env")
	for _, want := range []string{"CLIENT_HOSTNAME=client.example", "CLIENT_ADDRESS=2001:db8::1", "CLIENT_HELO=evil___id_", "CLIENT_PROTOCOL=ESMTP", "SENDER="} {
		if !strings.Contains(env, "\n"+want+"\n") {
			t.Errorf("no %s in %s", want, env)
		}
	}
	for _, name := range os.Environ() {
		if key, _, _ := strings.Cut(name, "="); key == "GOPATH" && strings.Contains(env, "\nGOPATH=") {
			t.Error("our own environment shows through")
		}
	}
}

// :include: files: lines of their own, links, and what is in them.
func TestInclude(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
	}{
		{"comments and empty lines", "# x, y@dest.example\n\n one@dest.example # not a comment\ntwo@dest.example", "one@dest.example #@mx.example.com not@mx.example.com a@mx.example.com comment@mx.example.com two@dest.example"},
		{"quotes", "\"odd name\"@dest.example, Name <x@dest.example>\n", `"odd name"@dest.example x@dest.example`},
		{"another file", ":include:{dir}/more\nlast@dest.example\n", "more@dest.example last@dest.example"},
		{"CRLF", "one@dest.example\r\ntwo@dest.example\r\n", "one@dest.example two@dest.example"},
		{"an alias within", "other, one@dest.example\n", "other@dest.example one@dest.example"},
		{"nobody", "# nobody yet\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "inc: :include:{dir}/link\nother: other@dest.example\n")
			r.write("members", tt.text, 0o644)
			r.write("more", "more@dest.example\n", 0o644)
			if err := os.Symlink("members", filepath.Join(r.dir, "link")); err != nil {
				t.Fatal(err)
			}
			res := r.deliver("inc")
			_, to, _ := strings.Cut(r.q.String(), " -> ")
			if to != tt.want {
				t.Errorf("forwarded to %q, want %q; %s", to, tt.want, r.summary(res))
			}
			if tt.want == "" && res.State != mail.Failed {
				t.Errorf("mail to nobody: %s", r.summary(res))
			}
		})
	}
}
