package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDiskFull gives the queue a file system of 64 MB and sends until it is full:
// the client hears 452, what was accepted before arrives, and when there is room
// again mail is taken again.
func TestDiskFull(t *testing.T) {
	sink := newSink(t)
	sink.Stop()
	r := newRelay(t, base(sink), nil)
	smallQueue(t, r)
	r.start()

	letter := filepath.Join(r.top, "letter")
	if err := os.WriteFile(letter, []byte("Subject: big\n\n"+strings.Repeat(strings.Repeat("x", 70)+"\n", 30000)), 0o644); err != nil {
		t.Fatal(err)
	}
	accepted, last := 0, ""
	for range 60 {
		out, code := swaks(t, r, "--to", "info@alias.example", "--data", "@"+letter)
		if code != 0 {
			last = out
			break
		}
		accepted++
	}
	if accepted == 0 || !strings.Contains(last, "452 4.3.1") {
		t.Fatalf("%d messages of 2 MB accepted on 64 MB, then:\n%s", accepted, tail(last, 12))
	}
	restart(t, sink)
	r.mustRun("postqueue", "-c", r.dir, "-f")
	if !sink.Wait(accepted, limit) {
		t.Fatalf("%d of %d accepted messages arrived\n%s", sink.Count(), accepted, tail(r.log(), 20))
	}
	r.waitEmpty()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Errorf("mail is still refused after the queue has emptied:\n%s", tail(out, 12))
	}
	for i, m := range sink.Messages() {
		if n := strings.Count(m.Data, strings.Repeat("x", 70)+"\r\n"); i < accepted && n != 30000 {
			t.Errorf("message %d arrived with %d lines", i, n)
		}
	}
	t.Log(fmt.Sprintf("%d messages of 2 MB accepted before 452", accepted))
}

// smallQueue puts the queue on a file system of 64 MB.
func smallQueue(t *testing.T, r *relay) (queue string) {
	t.Helper()
	queue = filepath.Join(r.top, "queue")
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "tmpfs", queue).CombinedOutput(); err != nil {
		t.Fatalf("this test mounts a small tmpfs, for which it must run as root: %v %s", err, out)
	}
	t.Cleanup(func() {
		if r.cmd != nil {
			r.cmd.Process.Kill()
			<-r.done
		}
		exec.Command("umount", "-l", queue).Run()
	})
	return queue
}

// TestOthersFillTheDisk: another program takes the last byte of the disk while mail waits.
// Whoever sends hears 452; what waits is delivered, and what became of it is recorded in the
// room that the queue has kept back (queue/pebblestore: ballast): after
// a kill -9 on the full disk nothing comes a second time. When there is room again mail is
// taken again.
func TestOthersFillTheDisk(t *testing.T) {
	sink := newSink(t)
	sink.Stop()
	r := newRelay(t, base(sink), nil)
	queue := smallQueue(t, r)
	r.start()
	n := 40
	for i := 0; i < n; {
		done := session(r.smtp, "full", i, n, func(string) {})
		if done == 0 {
			t.Fatalf("message %d was not taken", i)
		}
		i += done
	}
	filler := filepath.Join(queue, "filler")
	fill := func() { // to the last byte
		f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for size := 1 << 20; size > 0; size /= 2 {
			for err = nil; err == nil; {
				_, err = f.Write(make([]byte, size))
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("fill the disk: %v", err)
		}
	}
	fill()
	for refused := false; !refused; {
		out, code := swaks(t, r, "--to", "info@alias.example")
		switch {
		case code != 0 && strings.Contains(out, "452 4.3.1"):
			refused = true
		case code == 0 && n < 60: // it looks at the disk now and then
			n++
		default:
			t.Fatalf("on a full disk: %d\n%s", code, tail(out, 12))
		}
	}
	restart(t, sink)
	r.mustRun("postqueue", "-c", r.dir, "-f")
	for end := time.Now().Add(limit); strings.Count(r.log(), ": removed") < n; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d arrived, %d recorded on a full disk\n%s", sink.Count(), strings.Count(r.log(), ": removed"), tail(r.log(), 20))
		}
	}
	r.kill()
	if out, code := r.run("mailq", "-c", r.dir); code != 0 && !strings.Contains(out, "no space") && !strings.Contains(out, "insufficient") {
		t.Errorf("mailq on a full disk: %d %s", code, out)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.waitEmpty()
	if got := sink.Count(); got != n {
		t.Errorf("%d messages arrived, %d were sent", got, n)
	}
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Errorf("mail is refused though there is room again:\n%s", tail(out, 12))
	}
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
