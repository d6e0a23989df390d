package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// localRelay is a relay with local names in mx.example.com. {dir} in aliases is the
// configuration directory, {top}/files may be written to by everybody.
func localRelay(t *testing.T, sink *peers.Sink, aliases string, change map[string]string) *relay {
	t.Helper()
	cf := base(sink)
	cf["myhostname"] = "mx.example.com"
	cf["mydestination"] = "mx.example.com"
	cf["local_transport"] = "local:$myhostname"
	cf["alias_maps"] = "hash:{dir}/aliases"
	cf["alias_database"] = "hash:{dir}/aliases"
	cf["mynetworks"] = "127.0.0.0/8"
	for name, value := range change {
		cf[name] = value
	}
	r := newRelay(t, cf, map[string]string{"virtual": "info@alias.example list@mx.example.com\nmore@alias.example three@dest.example\n"})
	files := filepath.Join(r.top, "files")
	if err := os.Mkdir(files, 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(files, 0o777)
	r.aliases(aliases)
	return r
}

// aliases writes the alias table and builds it.
func (r *relay) aliases(text string) {
	r.t.Helper()
	r.write("aliases", strings.NewReplacer("{dir}", r.dir, "{top}", r.top).Replace(text))
	if out := r.mustRun("newaliases", "-c", r.dir); out != "" {
		r.t.Errorf("newaliases: %s", out)
	}
}

func (r *relay) file(name string) string {
	b, _ := os.ReadFile(filepath.Join(r.top, "files", name))
	return string(b)
}

const aliasesOfTest = `# every form
list: one@dest.example, two@dest.example, more@alias.example
team: lead, worker@dest.example
lead: boss@dest.example
cmd: "|cat > {top}/files/out; id > {top}/files/id"
file: {top}/files/mbox
maildir: {top}/files/md/
include: :include:{dir}/members
owned: member@dest.example
owner-owned: keeper@dest.example
gone: nosuch
fail: "|echo went wrong; exit 1"
ownfail: "|echo went wrong; exit 67"
owner-ownfail: keeper@dest.example
later: "|exit 75"
`

// Each form of an alias, from the SMTP client to where it leads, with Postfix's lines.
func TestAliases(t *testing.T) {
	sink := newSink(t)
	r := localRelay(t, sink, aliasesOfTest, nil)
	r.write("members", "# members\na@dest.example\nb@dest.example\n")
	r.start()

	const numbers = `delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+`
	line := func(to, orig, result string) string {
		if orig != "" {
			orig = ", orig_to=<" + regexp.QuoteMeta(orig) + ">"
		}
		return `postfix/local\[\d+\]: \w{12}: to=<` + regexp.QuoteMeta(to) + `>` + orig + `, relay=local, ` + numbers + `, ` + result + `$`
	}
	arrived := 0
	for _, c := range []struct {
		to, line string
		rcpts    []string // of the message that arrives at the next hop
		from     string
	}{
		{"list@mx.example.com", line("list@mx.example.com", "", `dsn=2\.0\.0, status=sent \(forwarded as \w{12}\)`), []string{"one@dest.example", "three@dest.example", "two@dest.example"}, "sender@client.example"},
		{"info@alias.example", line("list@mx.example.com", "info@alias.example", `dsn=2\.0\.0, status=sent \(forwarded as \w{12}\)`), []string{"one@dest.example", "three@dest.example", "two@dest.example"}, "sender@client.example"},
		{"team@mx.example.com", line("team@mx.example.com", "", `dsn=2\.0\.0, status=sent \(forwarded as \w{12}\)`), []string{"boss@dest.example", "worker@dest.example"}, "sender@client.example"},
		{"cmd@mx.example.com", line("cmd@mx.example.com", "", `dsn=2\.0\.0, status=sent \(delivered to command: cat > .*\)`), nil, ""},
		{"file@mx.example.com", line("file@mx.example.com", "", `dsn=2\.0\.0, status=sent \(delivered to file: .*/files/mbox\)`), nil, ""},
		{"maildir@mx.example.com", line("maildir@mx.example.com", "", `dsn=2\.0\.0, status=sent \(delivered to maildir\)`), nil, ""},
		{"include@mx.example.com", line("include@mx.example.com", "", `dsn=2\.0\.0, status=sent \(forwarded as \w{12}\)`), []string{"a@dest.example", "b@dest.example"}, "sender@client.example"},
		{"owned@mx.example.com", line("owned@mx.example.com", "", `dsn=2\.0\.0, status=sent \(forwarded as \w{12}\)`), []string{"member@dest.example"}, "owner-owned@mx.example.com"},
		{"gone@mx.example.com", line("nosuch@mx.example.com", "gone@mx.example.com", `dsn=5\.1\.1, status=bounced \(unknown user: "nosuch"\)`), []string{"sender@client.example"}, ""},
		{"fail@mx.example.com", line("fail@mx.example.com", "", `dsn=5\.3\.0, status=bounced \(Command died with status 1: "echo went wrong; exit 1"\. Command output: went wrong \)`), []string{"sender@client.example"}, ""},
		{"ownfail@mx.example.com", line("ownfail@mx.example.com", "", `dsn=5\.1\.1, status=bounced \(user unknown\. Command output: went wrong \)`), []string{"keeper@dest.example"}, ""},
	} {
		t.Run(c.to, func(t *testing.T) {
			if out, code := swaks(t, r, "--to", c.to); code != 0 {
				t.Fatalf("swaks: exit status %d\n%s", code, out)
			}
			r.waitLog(c.line)
			if c.rcpts == nil {
				return
			}
			arrived++
			if !sink.Wait(arrived, limit) {
				t.Fatalf("nothing arrived\n%s", r.log())
			}
			m := sink.Messages()[arrived-1]
			var got []string
			for _, rcpt := range m.Rcpts {
				address, _, _ := strings.Cut(strings.TrimPrefix(rcpt, "<"), ">")
				got = append(got, address)
			}
			if strings.Join(got, " ") != strings.Join(c.rcpts, " ") || !strings.HasPrefix(m.From, "<"+c.from+">") {
				t.Errorf("from %s to %v, want from %s to %v", m.From, got, c.from, c.rcpts)
			}
			if strings.Contains(c.to, "fail@") && !strings.Contains(m.Data, "\r\nFinal-Recipient: rfc822; "+c.to+"\r\n") ||
				strings.Contains(c.to, "fail@") && !strings.Contains(m.Data, "\r\nDiagnostic-Code: x-unix; went wrong") {
				t.Errorf("report:\n%s", m.Data)
			}
			if c.from != "" && !strings.Contains(m.Data, "\r\nDelivered-To: ") {
				t.Errorf("no Delivered-To in\n%s", m.Data)
			}
		})
	}
	mustMatch(t, "command's input", r.file("out"), `(?s)^From sender@client\.example  \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\nReturn-Path: <sender@client\.example>\nX-Original-To: cmd@mx\.example\.com\nDelivered-To: cmd@mx\.example\.com\nReceived: from client\.example `)
	mustMatch(t, "command's rights", r.file("id"), `uid=65534`)
	if out, code := swaks(t, r, "--to", "nosuch@mx.example.com"); code == 0 || !strings.Contains(out, "550 5.1.1 <nosuch@mx.example.com>: Recipient address rejected: User unknown in local recipient table") {
		t.Errorf("unknown name: %d\n%s", code, out)
	}
	if out, code := swaks(t, r, "--to", "root@mx.example.com"); code == 0 || !strings.Contains(out, "User unknown in local recipient table") {
		t.Errorf("a user of the system without an alias: %d\n%s", code, out)
	}
	r.waitEmpty()
	r.stop()
}

// A table that is built again is in force without a word to the daemon; what is wrong in
// it is told by check, and explain shows where a name leads.
func TestAliasesChange(t *testing.T) {
	sink := newSink(t)
	r := localRelay(t, sink, "later: \"|exit 75\", \"|echo x >> {top}/files/count\"\n", map[string]string{"minimal_backoff_time": "1s", "queue_run_delay": "1s", "maximal_backoff_time": "2s"})
	r.start()
	if out, code := swaks(t, r, "--to", "later@mx.example.com"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitLog(`to=<later@mx\.example\.com>, relay=local, .*dsn=4\.3\.0, status=deferred \(temporary failure\)`)
	r.aliases("later: one@dest.example, \"|echo x >> {top}/files/count\"\nbroken: :include:/no/such/file, nosuch\n")
	r.waitEmpty()
	if !sink.Wait(1, limit) || r.file("count") != "x\n" {
		t.Errorf("%d messages, command ran %q\n%s", sink.Count(), r.file("count"), r.log())
	}
	out, _ := r.run("check", "-c", r.dir)
	for _, want := range []string{
		"aliases, line 2: alias broken: unable to lookup :include: file /no/such/file: No such file or directory",
		`aliases, line 2: alias broken: nosuch@mx.example.com: unknown user: "nosuch"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("check lacks %q:\n%s", want, out)
		}
	}
	out = r.mustRun("explain", "-c", r.dir, "later@mx.example.com")
	if want := "aliases, line 1) leads to one@dest.example, "; !strings.Contains(out, want) || !strings.Contains(out, "forwards to one@dest.example") {
		t.Errorf("explain lacks %q:\n%s", want, out)
	}
	if out := r.mustRun("postalias", "-c", r.dir, "-q", "later", "hash:"+filepath.Join(r.dir, "aliases")); !strings.HasPrefix(out, `one@dest.example, "|echo x >> `) {
		t.Errorf("postalias -q: %s", out)
	}
	r.stop()
}

// Power goes while a command runs: the message is there afterwards, and delivered again.
func TestKilledDuringCommand(t *testing.T) {
	r := localRelay(t, nil, "slow: \"|cat >> {top}/files/out; test -e {top}/files/go || sleep 20\"\n", nil)
	r.start()
	if out, code := swaks(t, r, "--to", "slow@mx.example.com"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	for end := time.Now().Add(limit); !strings.Contains(r.file("out"), "Return-Path"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the command does not run\n%s", r.log())
		}
	}
	r.kill()
	if err := os.WriteFile(filepath.Join(r.top, "files", "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.waitLog(`to=<slow@mx\.example\.com>, relay=local, .*status=sent \(delivered to command: `)
	r.waitEmpty()
	if n := strings.Count(r.file("out"), "Return-Path"); n != 2 {
		t.Errorf("the command got the message %d times, want 2: before and after", n)
	}
	r.stop()
}

// The daemon ends in time although a command hangs, and leaves nothing of it behind.
func TestStopDuringCommand(t *testing.T) {
	t.Parallel()
	r := localRelay(t, nil, "slow: \"|echo \\$\\$ > {top}/files/pid; sleep 600\"\n", nil)
	r.start()
	if out, code := swaks(t, r, "--to", "slow@mx.example.com"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	for end := time.Now().Add(limit); r.file("pid") == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the command does not run\n%s", r.log())
		}
	}
	r.stop()
	if _, err := os.Stat(fmt.Sprintf("/proc/%s", strings.TrimSpace(r.file("pid")))); err == nil {
		t.Error("the command lives on")
	}
}

// Without a domain in mydestination there are no local names, and no aliases to be read.
func TestNoAliases(t *testing.T) {
	cf := base(newSink(t))
	cf["alias_maps"] = "hash:{dir}/missing"
	cf["local_transport"] = "local:$myhostname"
	r := newRelay(t, cf, nil)
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Errorf("swaks: exit status %d\n%s", code, out)
	}
	r.stop()

	cf["mydestination"] = "mx.alias.example"
	r.configure(cf)
	if out, code := r.run("check", "-c", r.dir); code != 78 || !strings.Contains(out, "alias_maps (") || !strings.Contains(out, "aliasmx postalias hash:") {
		t.Errorf("a missing table: exit status %d\n%s", code, out)
	}
}
