package local

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// Many at a time append to one file: nothing is lost, nothing runs together.
func TestAppendTogether(t *testing.T) {
	needRoot(t)
	r := newRig(t, "a: {dir}/files/mbox\nb: {dir}/files/mbox\nc: {dir}/files/mbox\nd: {dir}/files/mbox\n",
		func(o *Options) { o.LockAttempts = 2000 })
	r.open("files")
	results := make([]mail.Result, 12)
	var wg sync.WaitGroup
	for i := range results {
		rcpt := mail.Address{Local: string(rune('a' + i%4)), Domain: host}
		a := &mail.Attempt{
			Env:  &mail.Envelope{ID: mail.QueueID(5000 + i), Rcpts: []mail.Recipient{{Final: rcpt}}, Prepend: []byte("R: x\r\n")},
			Body: body("S: y\r\n\r\n" + strings.Repeat("line\r\n", 2000)), Rcpts: []int{0},
		}
		wg.Go(func() { results[i] = r.tr.recipient(r.tr.set.Load(), a, 0) })
	}
	wg.Wait()
	for i, res := range results {
		if res.State != mail.Delivered {
			t.Errorf("%d: %s", i, r.summary(res))
		}
	}
	text := r.read("files/mbox")
	if n := strings.Count(text, "\nR: x\nS: y\n\n"+strings.Repeat("line\n", 2000)+"\n"); n != len(results) {
		t.Errorf("%d whole messages of %d in %d bytes", n, len(results), len(text))
	}
	if _, err := os.Stat(filepath.Join(r.dir, "files/mbox.lock")); err == nil {
		t.Error("a lock is left")
	}
}

// A lock of somebody else is waited for, and broken when it is very old.
func TestLocks(t *testing.T) {
	needRoot(t)
	r := newRig(t, "a: {dir}/files/mbox\n")
	r.open("files")
	lock := r.write("files/mbox.lock", "", 0o600)
	os.Chown(lock, 65534, 65534)
	now := time.Now()
	r.o.Now = func() time.Time { return now }
	r.tr.Update(r.o)
	if got := r.summary(r.deliver("a")); !strings.Contains(got, "dsn=4.2.0, status=deferred (cannot append message to file {dir}/files/mbox: unable to create lock file {dir}/files/mbox.lock: File exists)") {
		t.Errorf("locked: %s", got)
	}
	now = now.Add(501 * time.Second)
	if got := r.summary(r.deliver("a")); !strings.Contains(got, "status=sent") {
		t.Errorf("stale lock: %s", got)
	}

	f, err := os.OpenFile(filepath.Join(r.dir, "files/mbox"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r.o.MailboxLocks = []string{"flock"}
	r.tr.Update(r.o)
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	before := r.read("files/mbox")
	if got := r.summary(r.deliver("a")); !strings.Contains(got, "dsn=4.2.0, status=deferred (cannot append message to file {dir}/files/mbox: unable to lock for exclusive access: Resource temporarily unavailable)") {
		t.Errorf("flock of another: %s", got)
	}
	if r.read("files/mbox") != before {
		t.Error("written to without the lock")
	}
}

// A file that would become too large is as long as before.
func TestMailboxSize(t *testing.T) {
	needRoot(t)
	r := newRig(t, "a: {dir}/files/mbox\nm: {dir}/files/md/\n", func(o *Options) { o.MailboxSizeLimit = 1000 })
	r.open("files")
	if got := r.summary(r.deliver("a")); !strings.Contains(got, "status=sent") {
		t.Fatal(got)
	}
	before := r.read("files/mbox")
	big := "A: b\r\n\r\n" + strings.Repeat("x\r\n", 100_000)
	if got := r.summary(r.deliverAs("a", big, nil)); !strings.Contains(got, "dsn=5.2.2, status=bounced (cannot append message to file {dir}/files/mbox: error writing message: File too large)") {
		t.Errorf("too large: %s", got)
	}
	if r.read("files/mbox") != before {
		t.Error("part of the message is in the file")
	}
	if got := r.summary(r.deliverAs("m", big, nil)); !strings.Contains(got, "dsn=5.2.2, status=bounced (maildir delivery failed: error writing message: File too large)") {
		t.Errorf("too large for a maildir: %s", got)
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "files/md/*/*")); len(left) != 0 {
		t.Errorf("left in the maildir: %v", left)
	}
}

// Traps for whoever writes: a pipe without a reader, and one whose reader does not read.
func TestPipes(t *testing.T) {
	needRoot(t)
	r := newRig(t, "a: {dir}/files/fifo\n", func(o *Options) { o.CommandTimeLimit = 200 * time.Millisecond; o.Now = time.Now })
	r.open("files")
	fifo := filepath.Join(r.dir, "files/fifo")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(fifo, 0o666)
	if got := r.summary(r.deliver("a")); !strings.Contains(got, "cannot open file: No such device or address") {
		t.Errorf("no reader: %s", got)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	big := "A: b\r\n\r\n" + strings.Repeat("x\r\n", 100_000)
	if got := r.summary(r.deliverAs("a", big, nil)); !strings.Contains(got, "error writing message: ") || strings.Contains(got, "status=sent") {
		t.Errorf("a reader that does not read: %s", got)
	}
}

// FuzzUnixWriter: however a text is cut into pieces, its line ends become LF, and nothing
// else changes.
func FuzzUnixWriter(f *testing.F) {
	f.Add("a\r\nFrom b\r\n\r\n\rx\r", 3, true)
	f.Add("From ", 1, true)
	f.Add("Fro\r\nFrom\r\nm \r\r\n", 2, false)
	f.Fuzz(func(t *testing.T, text string, step int, quote bool) {
		var out bytes.Buffer
		u := &unixWriter{w: &out, quote: quote}
		for p := []byte(text); len(p) > 0; {
			n := min(max(step, 1), len(p))
			u.Write(p[:n])
			p = p[n:]
		}
		u.end()
		want := strings.ReplaceAll(text, "\r\n", "\n")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if quote {
			lines := strings.SplitAfter(want, "\n")
			for i, l := range lines {
				if strings.HasPrefix(l, "From ") {
					lines[i] = ">" + l
				}
			}
			want = strings.Join(lines, "")
		}
		if out.String() != want {
			t.Errorf("%q in steps of %d: %q, want %q", text, step, out.String(), want)
		}
	})
}

func TestSplitDSN(t *testing.T) {
	for _, tt := range []struct {
		in, text string
		code     mail.Enhanced
		ok       bool
	}{
		{"4.7.9 my own text ", "my own text ", mail.Code(4, 7, 9), true},
		{"5.1.1", "", mail.Code(5, 1, 1), true},
		{"5.123.999  x", "x", mail.Code(5, 123, 999), true},
		{"5.1 x", "", mail.Enhanced{}, false},
		{"3.1.1 x", "", mail.Enhanced{}, false},
		{"5.1.1x", "", mail.Enhanced{}, false},
		{"5.1.1234 x", "", mail.Enhanced{}, false},
		{"55.1.1 x", "", mail.Enhanced{}, false},
		{"", "", mail.Enhanced{}, false},
		{"hello", "", mail.Enhanced{}, false},
	} {
		code, text, ok := splitDSN(tt.in)
		if code != tt.code || text != tt.text || ok != tt.ok {
			t.Errorf("%q: %v %q %v, want %v %q %v", tt.in, code, text, ok, tt.code, tt.text, tt.ok)
		}
	}
}
