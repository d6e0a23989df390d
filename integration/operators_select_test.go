package integration

import (
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// deferAll sends a message from each sender, as one client, and waits until all are late.
func deferAll(t *testing.T, r *relay, to string, senders ...string) (ids []string) {
	t.Helper()
	before := strings.Count(r.log(), "status=deferred")
	c, err := smtp.Dial(r.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, from := range senders {
		if err := c.Mail(from); err != nil {
			t.Fatal(err)
		}
		if err := c.Rcpt(to); err != nil {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "Subject: test\r\n\r\nfrom %s\r\n", from)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(limit); strings.Count(r.log(), "status=deferred") < before+len(senders); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not all deferred\n%s", r.log())
		}
	}
	return strings.Fields(r.mustRun("postsuper", "-c", r.dir, "-d", "ALL", "--dry-run"))
}

// Messages are deleted, held and listed by what they are; a dry run says which these are,
// in a form for a pipe; the log says what was done and by whom.
func TestOperatorsSelect(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	sink.Stop()
	r.start()
	ids := deferAll(t, r, "info@alias.example", "a@spam.example", "b@Spam.example", "c@good.example", "")
	if len(ids) != 4 {
		t.Fatalf("dry run of all: %q", ids)
	}
	spam := []string{"--sender", "*@spam.example"}
	if got := r.mustRun(append([]string{"postsuper", "-c", r.dir, "-h", "ALL", "--dry-run"}, spam...)...); got != ids[0]+"\n"+ids[1]+"\n" {
		t.Errorf("dry run: %q, want the first two of %q", got, ids)
	}
	if got := r.mustRun("postqueue", "-c", r.dir, "-j", "--sender", "/^c@/", "--reason", "*refused*", "--younger", "1h"); strings.Count(got, "\n") != 1 || !strings.Contains(got, ids[2]) {
		t.Errorf("postqueue -j: %s", got)
	}
	mustMatch(t, "postqueue -p", r.mustRun("postqueue", "-c", r.dir, "-p", "--older", "1d"), `^No message in the queue is selected\n$`)
	mustMatch(t, "postqueue -p", r.mustRun("postqueue", "-c", r.dir, "-p", "--destination", "dest.example", "--recipient", "info@alias.example"), `in 4 Requests`)
	mustMatch(t, "postsuper -h", r.mustRun(append([]string{"postsuper", "-c", r.dir, "-h", "ALL"}, spam...)...), `^postsuper: Placed on hold: 2 messages\n$`)
	out, code := r.runWith(r.mustRun("postsuper", "-c", r.dir, "-d", "ALL", "--dry-run", "--sender", "<>"), "postsuper", "-c", r.dir, "-d", "-")
	if code != 0 {
		t.Errorf("a dry run piped into postsuper: %s", out)
	}
	mustMatch(t, "piped", out, `^postsuper: `+ids[3]+`: removed\npostsuper: Deleted: 1 message\n$`)
	mustMatch(t, "postsuper -d", r.mustRun(append([]string{"postsuper", "-c", r.dir, "-d", "ALL", "--sender", "*@spam.example"}, "hold")...), `Deleted: 2 messages`)
	mustMatch(t, "mailq", r.mustRun("mailq", "-c", r.dir), `(?s)`+ids[2]+`.*in 1 Request`)
	r.mustRun("postqueue", "-c", r.dir, "-s", "dest.example")

	uid := fmt.Sprintf(", uid=%d", os.Getuid())
	for _, want := range []string{
		`postsuper\[\d+\]: ` + ids[0] + `: placed on hold` + uid + `$`,
		`postsuper\[\d+\]: ` + ids[3] + `: removed` + uid + `$`,
		`postsuper\[\d+\]: Placed on hold: 2 messages \(hold ALL --sender \*@spam\.example\)` + uid + `$`,
		`postsuper\[\d+\]: Deleted: 2 messages \(delete ALL --sender \*@spam\.example\)` + uid + `$`,
		`postqueue\[\d+\]: flush: mail for dest\.example` + uid + `$`,
	} {
		r.waitLog(want)
	}
	mustMatch(t, "status", r.mustRun("status", "-c", r.dir), `(?m)^  deferred       1$`)

	// Without a daemon the log tells as well.
	r.stop()
	mustMatch(t, "postsuper -h", r.mustRun("postsuper", "-c", r.dir, "-h", "ALL", "--sender", "c@*"), `Placed on hold: 1 message`)
	r.waitLog(`postsuper\[\d+\]: Placed on hold: 1 message \(hold ALL --sender c@\*\)` + uid + `$`)
	r.start()
	mustMatch(t, "status", r.mustRun("status", "-c", r.dir), `(?m)^  hold           1$`)
}

// A held destination gets nothing, over a restart, until it is released.
func TestOperatorsHoldDestination(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	hop := base(sink)["relayhost"]
	r.mustRun("queue", "hold", "-c", r.dir, hop, "--reason", "they asked")
	sendmail := func() {
		t.Helper()
		if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
			t.Fatal(out)
		}
	}
	sendmail()
	r.mustRun("postqueue", "-c", r.dir, "-f")
	r.stop()
	r.start()
	sendmail()
	r.mustRun("postqueue", "-c", r.dir, "-f")
	mustMatch(t, "mailq", r.mustRun("mailq", "-c", r.dir), `(?s)destination \S+ is on hold: they asked.*2 Requests`)
	mustMatch(t, "held", r.mustRun("queue", "held", "-c", r.dir), `^\[127\.0\.0\.1\]:\d+ +since \w{3} .*\(they asked\)\n$`)
	mustMatch(t, "status", r.mustRun("status", "-c", r.dir), `(?m)^  deferred       2\n  on hold        \[127\.0\.0\.1\]:\d+ .*\n\n  destination .*\n  smtp:\[127\.0\.0\.1\]:\d+ .* held$`)
	if n := sink.Count(); n != 0 {
		t.Errorf("%d messages were sent to a destination on hold", n)
	}
	if out, code := r.run("queue", "release", "-c", r.dir, "elsewhere.example"); code != 1 || !strings.Contains(out, `no destination "elsewhere.example" is on hold`) {
		t.Errorf("release of what is not held: %d, %s", code, out)
	}
	r.mustRun("queue", "release", "-c", r.dir, hop)
	if !sink.Wait(2, limit) {
		t.Fatalf("not delivered after the release\n%s", r.log())
	}
	r.waitLog(fmt.Sprintf(`qmgr\[\d+\]: destination \[127\.0\.0\.1\]:\d+ placed on hold: they asked, uid=%d$`, os.Getuid()))
	r.waitLog(fmt.Sprintf(`qmgr\[\d+\]: destination \[127\.0\.0\.1\]:\d+ released from hold, uid=%d$`, os.Getuid()))
	mustMatch(t, "held", r.mustRun("queue", "held", "-c", r.dir), `^No destination is on hold\n$`)
}

// Who reads the first line of a listing only has it at once, and ends it.
func TestOperatorsListingCutShort(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_client_restrictions"] = "check_client_access static:HOLD"
	r := newRelay(t, cf, nil)
	r.start()
	c, err := smtp.Dial(r.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3000 {
		if err := c.Mail("sender@client.example"); err == nil {
			err = c.Rcpt("info@alias.example")
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "Subject: test\r\n\r\nx\r\n")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	mustMatch(t, "status", r.mustRun("status", "-c", r.dir), `(?m)^  hold           3000$`)
	for _, option := range []string{"-p", "-j"} {
		out, err := exec.Command("sh", "-c", fmt.Sprintf("%s postqueue -c %s %s | head -1", binary, r.dir, option)).CombinedOutput()
		if err != nil || strings.Count(string(out), "\n") != 1 {
			t.Errorf("postqueue %s | head -1: %v\n%s", option, err, out)
		}
	}
	link := filepath.Join(r.top, "qshape")
	if err := os.Symlink(binary, link); err != nil {
		t.Fatal(err)
	}
	out, code := runProgram(t, "", link, "-c", r.dir, "-b", "3", "hold")
	if code != 0 {
		t.Fatalf("qshape: %s", out)
	}
	mustMatch(t, "qshape", out, `^ +T +5 +10 10\+\n +TOTAL 3000 3000 +0 +0\n +dest\.example 3000 3000 +0 +0\n$`)
	mustMatch(t, "qshape --destination", r.mustRun("qshape", "-c", r.dir, "-b", "3", "--destination", "hold"), `\n +\[127\.0\.0\.1\]:\d+ 3000 3000 +0 +0\n$`)
}
