package integration

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// subject is a mail system that a case can be run against: our binary, or a Postfix.
type subject interface {
	address() string           // where it listens
	places() (dir, top string) // of its configuration and tables, of everything it writes
	write(name, text string)
	run(args ...string) (string, int) // postmap, postqueue ... with their arguments
	runWith(stdin string, args ...string) (string, int)
	start()
	stop()
	log() string
	// idle tells whether everything that clients have brought is delivered or deferred,
	// judging by the log and, where others can look into it, the queue.
	idle(log string) bool
	// patience is how long the log may rest before what it leaves open is taken for over.
	patience() time.Duration
	// beforeRewrite is the age that a table must have for a change to be noticed.
	beforeRewrite() time.Duration
}

func (r *relay) address() string              { return r.smtp }
func (r *relay) places() (dir, top string)    { return r.dir, r.top }
func (r *relay) idle(log string) (yes bool)   { return !underWay(log) }
func (r *relay) patience() time.Duration      { return 300 * time.Millisecond }
func (r *relay) beforeRewrite() time.Duration { return 0 }

// recorder is a Postfix as the recordings had it: nothing in its configuration that
// README.md of the recordings does not name, not even Debian's additions.
type recorder struct {
	t              testing.TB
	dir, top, addr string
	since          time.Time // of the last command that works in the background
}

const postfixDaemons = "/usr/lib/postfix/sbin/"

// recorderMaster is Postfix's own master.cf, not chrooted.
const recorderMaster = ` inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

func newRecorder(t testing.TB, cf map[string]string, addr string) *recorder {
	t.Helper()
	if _, err := os.Stat(postfixDaemons + "master"); err != nil {
		t.Fatalf("postfix is missing: %v; integration/test installs it", err)
	}
	top, err := os.MkdirTemp("/var/tmp", "beside")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	p := &recorder{t: t, dir: filepath.Join(top, "etc"), top: top, addr: addr}
	os.Chmod(top, 0o755)
	owner, group := account(t, "postfix")
	_, drop := groupOf(t, "postdrop")
	p.mkdir("etc", 0o755, 0, 0)
	p.mkdir("queue", 0o755, 0, 0)
	p.mkdir("queue/pid", 0o755, 0, 0)
	p.mkdir("data", 0o700, owner, group)
	for _, d := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"} {
		p.mkdir("queue/"+d, 0o700, owner, 0)
	}
	p.mkdir("queue/maildrop", 0o730, owner, drop)
	p.mkdir("queue/public", 0o710|os.ModeSetgid, owner, drop)
	var b strings.Builder
	for name, value := range cf {
		fmt.Fprintf(&b, "%s = %s\n", name, strings.NewReplacer("{dir}", p.dir, "{top}", p.top).Replace(value))
	}
	fmt.Fprintf(&b, "maillog_file_prefixes = %s\n", top)
	p.write("main.cf", b.String())
	p.write("master.cf", addr+recorderMaster)
	return p
}

func (p *recorder) mkdir(name string, mode os.FileMode, uid, gid int) {
	p.t.Helper()
	dir := filepath.Join(p.top, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		p.t.Fatal(err)
	}
}

func account(t testing.TB, name string) (uid, gid int) {
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}

func groupOf(t testing.TB, name string) (string, int) {
	g, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	gid, _ := strconv.Atoi(g.Gid)
	return name, gid
}

func (p *recorder) address() string           { return p.addr }
func (p *recorder) places() (dir, top string) { return p.dir, p.top }

func (p *recorder) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *recorder) run(args ...string) (string, int) { return p.runWith("", args...) }

func (p *recorder) runWith(stdin string, args ...string) (string, int) {
	p.t.Helper()
	out, code := runProgram(p.t, stdin, "/usr/sbin/"+args[0], args[1:]...)
	p.since = time.Now()
	return out, code
}

func (p *recorder) start() {
	p.t.Helper()
	mustExec(p.t, postfixDaemons+"master", "-c", p.dir, "-w")
	p.t.Cleanup(p.stop)
	// The first connection has smtpd open its tables: what that says is of the start.
	if _, err := play(p.addr, recordedSession{Client: "127.0.0.1", Steps: []recordedStep{}}); err != nil {
		p.t.Fatalf("postfix does not come up: %v\n%s", err, p.log())
	}
	for end := time.Now().Add(limit); !strings.Contains(p.log(), "disconnect from "); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("postfix does not come up\n%s", p.log())
		}
	}
}

// stop ends the master, which takes its children with it.
func (p *recorder) stop() {
	text, err := os.ReadFile(filepath.Join(p.top, "queue/pid/master.pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return
	}
	syscall.Kill(pid, syscall.SIGTERM)
	for end := time.Now().Add(limit); syscall.Kill(-pid, 0) == nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	os.Remove(filepath.Join(p.top, "queue/pid/master.pid"))
}

func (p *recorder) log() string {
	b, _ := os.ReadFile(filepath.Join(p.top, "mail.log"))
	return ofTheMachine.ReplaceAllString(string(b), "")
}

// ofTheMachine are the lines that tell of the clocks of a virtual machine.
var ofTheMachine = regexp.MustCompile(`(?m)^.*warning: (?:file system clock is|resetting file time stamps).*\n`)

// idle also waits for what has not reached the log: Postfix's daemons hand over to each
// other in the background. A connection ends in the log after the client has gone.
func (p *recorder) idle(log string) bool {
	if time.Since(p.since) < 300*time.Millisecond {
		return false
	}
	for _, d := range []string{"maildrop", "incoming", "active"} {
		if files, _ := filepath.Glob(filepath.Join(p.top, "queue", d, "*")); len(files) > 0 {
			return false
		}
	}
	return strings.Count(log, "]: connect from ") == strings.Count(log, "]: disconnect from ")
}

func (p *recorder) patience() time.Duration      { return 5 * time.Second }
func (p *recorder) beforeRewrite() time.Duration { return 1100 * time.Millisecond }
