package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Debian's postsrsd serves two tables by tcp_table(5): senders forward, recipients back.
// (Its socketmap came with version 2.)
func TestPostSRSd(t *testing.T) {
	program := findProgram(t, "/usr/sbin/postsrsd")
	s := newDBServer(t, "postsrsd", "")
	reverse := newDBServer(t, "postsrsd", "")
	secret := filepath.Join(s.dir, "secret")
	if err := os.WriteFile(secret, []byte("a secret of the tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{program, "-4", "-s" + secret, "-dsrs.example", "-f" + s.port, "-r" + reverse.port}
	start := func() { s.start(func() bool { return s.listens() && reverse.listens() }) }
	start()
	forward, back := "tcp:127.0.0.1:"+s.port, "tcp:127.0.0.1:"+reverse.port
	b := newBesidePostmap(t)
	for _, key := range []string{"user@else.example", "user@srs.example", "user", "", "@", "odd%20name x@else.example"} {
		want, wantCode := runOut(t, "", "postmap", "-c", b.dir, "-q", key, forward)
		got, code := runOut(t, "", binary, "postmap", "-q", key, forward)
		if got != want || code != wantCode {
			t.Errorf("%q: postfix %q, exit status %d; ours %q, exit status %d", key, want, wantCode, got, code)
		}
	}
	out, code := runOut(t, "", binary, "postmap", "-q", "user@else.example", forward)
	rewritten := strings.TrimSpace(out)
	mustMatch(t, "forward", rewritten, `^SRS0=[^=]{4}=[^=]{2}=else\.example=user@srs\.example$`)
	if out, code = runOut(t, "", binary, "postmap", "-q", rewritten, back); code != 0 || out != "user@else.example\n" {
		t.Errorf("back: exit status %d, %q", code, out)
	}

	// Recipients go back through the table as alias, as recipient_canonical_maps would.
	sink := newSink(t)
	cf := base(sink)
	cf["virtual_alias_domains"], cf["virtual_alias_maps"] = "srs.example", back
	cf["remote_table_cache_time"] = "0s"
	r := newRelay(t, cf, map[string]string{})
	r.start()
	want := func(when, to, reply string) {
		t.Helper()
		var out string
		for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			out, _ = swaks(t, r, "--to", to)
			if regexp.MustCompile(reply).MatchString(out) {
				return
			}
		}
		t.Errorf("%s: want %s\n%s\n%s", when, reply, out, r.log())
	}
	want("signed", rewritten, `queued as`)
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived\n%s", r.log())
	}
	mustMatch(t, "recipient", sink.Messages()[0].Rcpts[0], `^<user@else\.example>`)
	want("forged", "SRS0=xxxx=yy=else.example=user@srs.example", `550 5\.1\.1`)
	s.stop(syscall.SIGKILL)
	if out, code := runProgram(t, "", binary, "postmap", "-q", rewritten, back); code != 1 || !strings.Contains(out, "query error") {
		t.Errorf("server away: exit status %d\n%s", code, out)
	}
	if out, _ := swaks(t, r, "--to", rewritten); !strings.Contains(out, "451 4.3.0") {
		t.Errorf("server away:\n%s", out)
	}
	start()
	want("server back", rewritten, `queued as`)

	// What was said is kept, if we are told to, and what was not said is not made up.
	cf["remote_table_cache_time"] = "60s"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	want("asked once more", rewritten, `queued as`)
	s.stop(syscall.SIGKILL)
	want("kept", rewritten, `queued as`)
	want("never asked", "other@srs.example", `451 4\.3\.0`)
	r.stop()
}
