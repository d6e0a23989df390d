package integration

import (
	"strings"
	"testing"
	"time"
)

// The next hop is down, the mail waits; it comes back, the mail arrives, first in
// the order of its own retry, then at once by postqueue -f.
func TestNextHopDownThenUp(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["minimal_backoff_time"] = "1s"
	cf["maximal_backoff_time"] = "2s"
	cf["queue_run_delay"] = "1s"
	r := newRelay(t, cf, nil)
	sink.Stop()
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitLog(`smtp\[\d+\]: connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused`)
	r.waitLog(`smtp\[\d+\]: \w{12}: to=<target@dest\.example>, orig_to=<info@alias\.example>, relay=none, .*dsn=4\.4\.1, status=deferred \(connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused\)`)
	if out := r.mustRun("postqueue", "-c", r.dir, "-p"); !strings.Contains(out, "Connection refused") {
		t.Errorf("postqueue -p does not say why:\n%s", out)
	}
	restart(t, sink)
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived after the next hop came back\n%s", r.log())
	}
	r.waitEmpty()
}

func TestFlush(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	sink.Stop()
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitLog(`status=deferred`)
	restart(t, sink)
	r.mustRun("postqueue", "-c", r.dir, "-f")
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived after postqueue -f\n%s", r.log())
	}
	r.waitEmpty()
}

// A restart while mail waits: the queue remembers, and the mail keeps its retry time.
func TestRestartKeepsDeferredMail(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	sink.Stop()
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitLog(`status=deferred`)
	r.stop()
	r.start()
	time.Sleep(300 * time.Millisecond)
	if n := strings.Count(r.log(), "status=deferred"); n != 1 {
		t.Errorf("%d attempts, want one: a restart is no reason to try again", n)
	}
	out := r.mustRun("postqueue", "-c", r.dir, "-j")
	mustMatch(t, "postqueue -j", out, `^\{"queue_name": ?"deferred", ?"queue_id": ?"\w{12}", ?"arrival_time": ?\d+, ?"message_size": ?\d+, ?"forced_expire": ?false, ?"sender": ?"sender@client\.example", ?"recipients": ?\[\{"address": ?"target@dest\.example", ?"delay_reason": ?"connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused"\}\]\}\n$`)
	r.stop()
}
