package integration

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// deferOne puts one message into the deferred queue and returns its queue ID.
func deferOne(t *testing.T, r *relay, to string) string {
	t.Helper()
	before := strings.Count(r.log(), "status=deferred")
	out, code := swaks(t, r, "--to", to)
	m := regexp.MustCompile(`queued as (\w{12})`).FindStringSubmatch(out)
	if code != 0 || m == nil {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	for end := time.Now().Add(limit); strings.Count(r.log(), "status=deferred") <= before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not deferred\n%s", r.log())
		}
	}
	return m[1]
}

func TestOperatorCommands(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	sink.Stop()
	r.start()
	held, deleted, kept := deferOne(t, r, "info@alias.example"), deferOne(t, r, "info@alias.example"), deferOne(t, r, "info@alias.example")

	out := r.mustRun("mailq", "-c", r.dir)
	mustMatch(t, "mailq", out, `^-Queue ID- +--Size-- ----Arrival Time---- -Sender/Recipient-------\n`)
	mustMatch(t, "mailq", out, `(?m)^`+held+` +\d+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d +sender@client\.example\n *\(connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused\)\n +target@dest\.example\n`)
	mustMatch(t, "mailq", out, `-- \d+ Kbytes in 3 Requests\.\n$`)

	mustMatch(t, "postcat", r.mustRun("postcat", "-c", r.dir, "-q", held), `(?s)sender: sender@client\.example.*original_recipient: info@alias\.example.*recipient: target@dest\.example.*Subject: test`)

	mustMatch(t, "postsuper -h", r.mustRun("postsuper", "-c", r.dir, "-h", held), `postsuper: `+held+`: placed on hold\n.*Placed on hold: 1 message`)
	mustMatch(t, "mailq", r.mustRun("mailq", "-c", r.dir), `(?m)^`+held+`!`)
	mustMatch(t, "postsuper -d", r.mustRun("postsuper", "-c", r.dir, "-d", deleted), `postsuper: `+deleted+`: removed\n.*Deleted: 1 message`)

	restart(t, sink)
	r.mustRun("postqueue", "-c", r.dir, "-i", kept)
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived after postqueue -i\n%s", r.log())
	}
	out, code := r.runWith(held+"\n", "postsuper", "-c", r.dir, "-H", "-")
	if code != 0 {
		t.Fatalf("postsuper -H -: %s", out)
	}
	r.mustRun("postqueue", "-c", r.dir, "-f")
	if !sink.Wait(2, limit) {
		t.Fatalf("nothing arrived after postsuper -H\n%s", r.log())
	}
	r.waitEmpty()
	if n := sink.Count(); n != 2 {
		t.Errorf("%d messages arrived, want the two that were not deleted", n)
	}
}

func TestDeleteAll(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	sink.Stop()
	r.start()
	for range 3 {
		deferOne(t, r, "team@alias.example")
	}
	mustMatch(t, "postsuper -d ALL", r.mustRun("postsuper", "-c", r.dir, "-d", "ALL"), `Deleted: 3 messages`)
	r.waitEmpty()
}

// Requeued mail is expanded and routed anew: by then the table says another target.
func TestRequeue(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	sink.Stop()
	r.start()
	id := deferOne(t, r, "info@alias.example")
	other := newSink(t)
	r.configure(base(other))
	r.mustRun("reload", "-c", r.dir)
	mustMatch(t, "postsuper -r", r.mustRun("postsuper", "-c", r.dir, "-r", id), `Requeued: 1 message`)
	if !other.Wait(1, limit) {
		t.Fatalf("nothing arrived at the new relayhost\n%s", r.log())
	}
}

// The operator's commands work on the queue of a daemon that is not running.
func TestOperatorsWhileStopped(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	sink.Stop()
	r.start()
	id := deferOne(t, r, "info@alias.example")
	r.stop()
	mustMatch(t, "mailq", r.mustRun("mailq", "-c", r.dir), id)
	mustMatch(t, "postcat", r.mustRun("postcat", "-c", r.dir, "-q", id), `sender@client\.example`)
	r.mustRun("postsuper", "-c", r.dir, "-d", id)
	mustMatch(t, "mailq", r.mustRun("mailq", "-c", r.dir), `Mail queue is empty`)
}

// The names that scripts know work as symbolic links to the binary.
func TestSymlinkNames(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	t.Setenv("MAIL_CONFIG", r.dir)
	for _, name := range []string{"sendmail", "mailq", "postqueue", "postsuper", "postcat", "postconf", "postmap"} {
		if out, err := exec.Command("ln", "-s", binary, filepath.Join(r.top, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	call := func(stdin, name string, args ...string) string {
		t.Helper()
		out, code := runProgram(t, stdin, filepath.Join(r.top, name), args...)
		if code != 0 {
			t.Errorf("%s %v: exit status %d\n%s", name, args, code, out)
		}
		return out
	}
	mustMatch(t, "mailq", call("", "mailq"), `Mail queue is empty`)
	mustMatch(t, "postconf", call("", "postconf", "-h", "myhostname"), `^mx\.alias\.example\n$`)
	mustMatch(t, "postmap -q", call("", "postmap", "-q", "info@alias.example", "hash:"+filepath.Join(r.dir, "virtual")), `^target@dest\.example\n$`)
	call("", "postqueue", "-f")
	call("Subject: by link\n\nx\n", "sendmail", "-f", "a@client.example", "info@alias.example")
	if !sink.Wait(1, limit) {
		t.Errorf("nothing arrived\n%s", r.log())
	}
}
