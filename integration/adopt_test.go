package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// deadNode is a relay that was killed with mail in its queue: with n messages in several
// states, large ones among them. It returns their subjects.
func deadNode(t *testing.T, sink *peers.Sink, n int) (r *relay, subjects map[string]bool) {
	t.Helper()
	r = newRelay(t, base(sink), nil)
	r.start()
	subjects = make(map[string]bool)
	for i := 0; i < n; {
		done := session(r.smtp, fmt.Sprintf("node-%s", filepath.Base(r.top)), i, n, func(subject string) { subjects[subject] = true })
		if done == 0 {
			t.Fatalf("message %d was not taken\n%s", i, r.log())
		}
		i += done
	}
	letter := filepath.Join(r.top, "letter")
	for i := range 3 {
		subject := fmt.Sprintf("large-%d", i)
		if err := os.WriteFile(letter, []byte("Subject: "+subject+"\n\n"+strings.Repeat(strings.Repeat("x", 70)+"\n", 5000)), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, code := swaks(t, r, "--to", "info@alias.example", "--data", "@"+letter); code != 0 {
			t.Fatalf("swaks: %s", out)
		}
		subjects[subject] = true
	}
	ids := regexp.MustCompile(`(?m)^(\w{12})[ *] `).FindAllStringSubmatch(r.mustRun("mailq", "-c", r.dir), 20)
	for i, id := range ids {
		if i%2 == 0 {
			r.mustRun("postsuper", "-c", r.dir, "-h", id[1])
		}
	}
	r.kill()
	return r, subjects
}

// wantOnce releases and flushes everything and wants each subject at the next hop once.
func wantOnce(t *testing.T, r *relay, sink *peers.Sink, subjects map[string]bool) {
	t.Helper()
	restart(t, sink)
	r.mustRun("postsuper", "-c", r.dir, "-H", "ALL")
	r.mustRun("postqueue", "-c", r.dir, "-f")
	if !sink.Wait(len(subjects), limit) {
		t.Errorf("%d of %d messages arrived", sink.Count(), len(subjects))
	}
	r.waitEmpty()
	seen := make(map[string]int)
	for _, m := range sink.Messages() {
		_, rest, _ := strings.Cut(m.Data, "Subject: ")
		subject, _, _ := strings.Cut(rest, "\r\n")
		seen[subject]++
	}
	for subject := range subjects {
		if seen[subject] != 1 {
			t.Errorf("%s arrived %d times", subject, seen[subject])
		}
	}
	if len(seen) != len(subjects) {
		t.Errorf("%d messages arrived, %d were sent", len(seen), len(subjects))
	}
}

// TestAdopt takes over the queue of a node that was killed, while daemon and command are
// killed again and again: all its mail arrives, each message once, and it cannot be started
// any more.
func TestAdopt(t *testing.T) {
	sink := newSink(t)
	sink.Stop()
	old, subjects := deadNode(t, sink, 300)
	r := newRelay(t, base(sink), nil)
	r.start()

	interrupted := 0
	for try := range 6 {
		cmd := exec.Command(binary, "queue", "adopt", "-c", r.dir, filepath.Join(old.top, "queue"))
		before := strings.Count(r.log(), "adopted from")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(limit); strings.Count(r.log(), "adopted from") == before && !strings.Contains(r.log(), "adopted "+old.top); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("nothing is adopted\n%s", tail(r.log(), 20))
			}
		}
		if try%2 == 0 {
			r.kill()
		} else {
			cmd.Process.Kill()
		}
		if err := cmd.Wait(); err != nil {
			interrupted++
		}
		// The old node started by mistake, at any moment of it.
		if out, code := old.run("start", "-c", old.dir); code != 78 || !strings.Contains(out, "taken over") && !strings.Contains(out, "in use") {
			t.Fatalf("the dead node was started: %d %s", code, out)
		}
		if try%2 == 0 {
			r.start()
		}
	}
	out := ""
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		var code int
		if out, code = r.run("queue", "adopt", "-c", r.dir, old.top+"/queue"); code == 0 {
			break
		}
		if time.Now().After(end) || !strings.Contains(out, "another adoption is under way") {
			t.Fatalf("queue adopt: %d %s", code, out)
		}
	}
	t.Logf("%d of 6 tries were interrupted; the last one said:\n%s", interrupted, out)
	mustMatch(t, "again", r.mustRun("queue", "adopt", "-c", r.dir, old.top+"/queue/store"), `nothing is left to take over`)
	wantOnce(t, r, sink, subjects)
}

// TestAdoptWithoutDaemon: the command does it itself. What is not a queue, is in use, or
// is this node's own, is refused.
func TestAdoptWithoutDaemon(t *testing.T) {
	sink := newSink(t)
	sink.Stop()
	old, subjects := deadNode(t, sink, 20)
	r := newRelay(t, base(sink), nil)
	r.start()
	refuse := func(dir, want string) {
		t.Helper()
		if out, code := r.run("queue", "adopt", "-c", r.dir, dir); code != 1 || !strings.Contains(out, want) {
			t.Errorf("adopt %s: %d %s; want %q", dir, code, out, want)
		}
	}
	refuse(r.top, "there is no queue of aliasmx")
	refuse(filepath.Join(r.top, "missing"), "no such file")
	refuse(filepath.Join(r.top, "queue"), "this very queue")
	link := filepath.Join(r.top, "link")
	if err := os.Symlink(filepath.Join(r.top, "queue"), link); err != nil {
		t.Fatal(err)
	}
	refuse(link, "this very queue")
	old.start()
	refuse(filepath.Join(old.top, "queue"), "only the queue of a dead node can be taken over")
	old.kill()
	r.stop()

	out := r.mustRun("queue", "adopt", "-c", r.dir, filepath.Join(old.top, "queue"))
	mustMatch(t, "adopt", out, `/queue: 23 messages taken over`)
	mustMatch(t, "log", r.log(), `(?m)postfix/postsuper\[\d+\]: \w{12}: adopted from \w{12} of `+old.top)
	r.start()
	wantOnce(t, r, sink, subjects)
}
