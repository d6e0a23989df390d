package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"aliasmx/internal/mail"
)

// alive tells whether the process with the id in a file is there and stays there.
func alive(t *testing.T, file string) bool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	// What was killed may still be on its way out.
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
	return n == 0 && err == nil
}

// A command that hangs is killed at its time limit, with what it has started.
func TestCommandHangs(t *testing.T) {
	needRoot(t)
	r := newRig(t, `hang: "|sleep 600 & echo \$! > {dir}/files/child; echo started; echo \$\$ > {dir}/files/leader; wait"`+"\n",
		func(o *Options) { o.CommandTimeLimit = 300 * time.Millisecond })
	r.open("files")
	res := r.deliver("hang")
	if got := r.summary(res); !strings.Contains(got, "dsn=5.3.0, status=bounced (Command time limit exceeded: \"") || !strings.HasSuffix(got, "\". Command output: started )\n") {
		t.Errorf("hanging command: %s", got)
	}
	if res.Targets[0].ReplyType != "x-unix" || res.Targets[0].Reply != "started " {
		t.Errorf("diagnostic %q %q", res.Targets[0].ReplyType, res.Targets[0].Reply)
	}
	for _, who := range []string{"leader", "child"} {
		if alive(t, filepath.Join(r.dir, "files", who)) {
			t.Errorf("the %s lives on", who)
		}
	}
}

// A command that leaves something behind in the background has ended all the same.
func TestCommandForks(t *testing.T) {
	needRoot(t)
	r := newRig(t, `fork: "|cat > /dev/null; (sleep 600 > /dev/null 2>&1 & echo \$! > {dir}/files/child)"`+"\n")
	r.open("files")
	began := time.Now()
	if got := r.summary(r.deliver("fork")); !strings.Contains(got, "status=sent") {
		t.Errorf("forking command: %s", got)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	b, _ := os.ReadFile(filepath.Join(r.dir, "files/child"))
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Output is read to its end, and kept no longer than Postfix keeps it.
func TestCommandTalks(t *testing.T) {
	needRoot(t)
	r := newRig(t, `talk: "|cat > /dev/null; head -c 100000000 /dev/zero | tr '\\0' x"`+"\n"+
		`fail: "|head -c 100000000 /dev/zero | tr '\\0' y; exit 67"`+"\n"+
		`binary: "|printf 'a\\001b\\tc\\377d\\n'; exit 1"`+"\n")
	if got := r.summary(r.deliver("talk")); !strings.Contains(got, "status=sent") {
		t.Errorf("100 MB of output: %.200s", got)
	}
	res := r.deliver("fail")
	if res.State != mail.Failed || len(res.Targets[0].Reply) != outputLimit || len(res.Reason) > outputLimit+100 {
		t.Errorf("100 MB and a failure: %v, %d bytes", res.State, len(res.Reason))
	}
	if got := r.deliver("binary").Targets[0].Reply; got != "a_b c_d " {
		t.Errorf("binary output is shown as %q", got)
	}
}

// A command need not read its input, however much it is.
func TestCommandDoesNotRead(t *testing.T) {
	needRoot(t)
	r := newRig(t, "deaf: |/bin/true\n")
	big := "A: b\r\n\r\n" + strings.Repeat("0123456789\r\n", 500_000)
	if got := r.summary(r.deliverAs("deaf", big, nil)); !strings.Contains(got, "status=sent") {
		t.Errorf("6 MB for a command that reads nothing: %s", got)
	}
}

// Every signal is worth another try, as in Postfix.
func TestSignals(t *testing.T) {
	needRoot(t)
	var aliases strings.Builder
	signals := []int{1, 2, 6, 9, 11, 15}
	for _, n := range signals {
		fmt.Fprintf(&aliases, "s%d: \"|kill -%d \\$\\$\"\n", n, n)
	}
	r := newRig(t, aliases.String())
	for _, n := range signals {
		if got := r.summary(r.deliver(fmt.Sprintf("s%d", n))); !strings.Contains(got, fmt.Sprintf("dsn=4.3.0, status=deferred (Command died with signal %d: ", n)) {
			t.Errorf("signal %d: %s", n, got)
		}
	}
}

// Rights: those of the owner of the table; of nobody for root's; of the owner of a file
// that root's alias includes. Never root's.
func TestRights(t *testing.T) {
	needRoot(t)
	const what = `cmd: "|id > {dir}/files/id; env | sort > {dir}/files/env; pwd > {dir}/files/pwd; ulimit -c >> {dir}/files/pwd"
file: {dir}/files/mbox
inc: :include:{dir}/inc
home: ~/mbox
`
	for _, tt := range []struct {
		owner, includeOwner int
		id                  string
		uid                 uint32
	}{
		{0, 0, "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n", 65534},
		{0, 5, "uid=5(games) gid=60(games) groups=60(games)\n", 5},
		{5, 0, "uid=5(games) gid=60(games) groups=60(games)\n", 5},
	} {
		r := newRig(t, what, func(o *Options) {
			o.AllowCommands, o.AllowFiles = []string{"alias", "include"}, []string{"alias", "include"}
			o.RecipientDelimiter = "+"
		})
		r.open("files")
		os.Chown(r.write("inc", `"|id > {dir}/files/incid", {dir}/files/incmbox`+"\n", 0o600), tt.includeOwner, 0)
		os.Chown(filepath.Join(r.dir, "aliases.db"), tt.owner, 0)
		// The table is opened again, as the change of owner asks for.
		if tt.owner != 0 {
			os.Chmod(filepath.Join(r.dir, "inc"), 0o644)
			r.o.Aliases[0] = r.reopen("aliases")
			r.tr.Update(r.o)
		}
		if got := r.summary(r.deliver("inc")); strings.Count(got, "status=sent") != 2 {
			t.Errorf("include: %s", got)
		}
		if got := r.read("files/incid"); got != tt.id {
			t.Errorf("owner %d, include file of %d: runs as %s", tt.owner, tt.includeOwner, got)
		}
		info, err := os.Stat(filepath.Join(r.dir, "files/incmbox"))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != tt.uid || info.Mode().Perm() != 0o600 {
			t.Errorf("owner %d, include file of %d: file %v, %v", tt.owner, tt.includeOwner, info, err)
		}
		if tt.includeOwner != 0 {
			continue
		}
		r.deliverAs("cmd+Ext$x", letter, func(a *mail.Attempt) {
			a.Env.Sender = mail.SplitAddress("evil`id`@client.example")
			a.Env.EnvID = "E'1"
		})
		if got := r.read("files/id"); got != tt.id {
			t.Errorf("owner %d: command runs as %s", tt.owner, got)
		}
		env := "\n" + r.read("files/env")
		for _, want := range []string{"SENDER=evil_id_@client.example", "RECIPIENT=cmd+Ext_x@mx.example.com", "LOCAL=cmd+ext_x", "USER=cmd", "LOGNAME=cmd",
			"EXTENSION=ext_x", "DOMAIN=mx.example.com", "ORIGINAL_RECIPIENT=cmd+Ext_x@mx.example.com", "ENVID=E_1", "PATH=/usr/bin:/bin", "LANG=C", "MAIL_CONFIG=/etc/test"} {
			if !strings.Contains(env, "\n"+want+"\n") {
				t.Errorf("owner %d: environment lacks %s: %s", tt.owner, want, env)
			}
		}
		if strings.Contains(env, "\nHOME=") != (tt.owner != 0) || strings.Contains(env, "\nSHELL=/usr/sbin/nologin\n") != (tt.owner != 0) {
			t.Errorf("owner %d: home and shell in %s", tt.owner, env)
		}
		if got := r.read("files/pwd"); got != r.dir+"\n0\n" {
			t.Errorf("started in, and core limit: %q", got)
		}
	}
	if err := exec.Command("id").Run(); err != nil || os.Geteuid() != 0 {
		t.Errorf("the process has lost its own rights: %v, uid %d", err, os.Geteuid())
	}
}

// Who is not root runs nothing as somebody else, and says so.
func TestNotRoot(t *testing.T) {
	r := newRig(t, "cmd: |/bin/true\nfile: /dev/null\n")
	set := r.tr.set.Load()
	set.self = 1234
	r.o.DefaultPrivs = User{}
	for name, want := range map[string]string{
		"cmd":  "dsn=4.3.5, status=deferred (cannot run a command as user nobody: the mail system runs as uid 1234 and not as root)",
		"file": "dsn=4.3.5, status=deferred (cannot write to /dev/null as user nobody: the mail system runs as uid 1234 and not as root)",
	} {
		if got := r.summary(r.deliver(name)); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if !strings.Contains(r.log.String(), "set default_privs = uid 1234") {
		t.Errorf("the log does not say what to do:\n%s", r.log)
	}
}

// Close ends commands under way; their recipients are to be tried again.
func TestClose(t *testing.T) {
	needRoot(t)
	r := newRig(t, `hang: "|echo \$\$ > {dir}/files/pid; sleep 600"`+"\n")
	r.open("files")
	var wg sync.WaitGroup
	var res mail.Result
	wg.Go(func() { res = r.deliver("hang") })
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if b, err := os.ReadFile(filepath.Join(r.dir, "files/pid")); err == nil && len(b) > 0 {
			break
		}
	}
	r.tr.Close()
	wg.Wait()
	if got := r.summary(res); !strings.Contains(got, "dsn=4.3.2, status=deferred (the mail system is shutting down)") {
		t.Errorf("cut command: %s", got)
	}
	if alive(t, filepath.Join(r.dir, "files/pid")) {
		t.Error("the command lives on")
	}
}

// One recipient has no more than its share of deliveries at a time; who waits too long for
// a turn gets none.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		ctx := t.Context()
		for range 2 {
			if !turns.take(ctx, "a", 2) {
				t.Fatal("no turn")
			}
		}
		if !turns.take(ctx, "b", 2) {
			t.Fatal("another recipient has to wait")
		}
		got := make(chan bool, 1)
		go func() { got <- turns.take(ctx, "a", 2) }()
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal("a third delivery at a time")
		}
		turns.give("a")
		if !<-got {
			t.Error("did not get the turn that became free")
		}
		began := time.Now()
		if turns.take(ctx, "a", 2) || time.Since(began) != patience {
			t.Errorf("waited %v for a turn", time.Since(began))
		}
		for _, name := range []string{"a", "a", "b"} {
			turns.give(name)
		}
		if len(turns.busy) != 0 {
			t.Errorf("left: %v", turns.busy)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	for i := range memoryLimit + 10 {
		m.keep(memoryKey{mail.QueueID(i), 0}, map[string]bool{"x": true})
	}
	if len(m.done) != memoryLimit || len(m.order) != memoryLimit {
		t.Errorf("%d, %d", len(m.done), len(m.order))
	}
	if len(m.take(memoryKey{5, 0})) != 0 || !m.take(memoryKey{memoryLimit, 0})["x"] {
		t.Error("the wrong end was forgotten")
	}
}
