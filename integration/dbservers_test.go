package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// dbServer is a foreign server that a test stops and starts again. It keeps its data in
// a directory of its own, with a socket and a port.
type dbServer struct {
	t        *testing.T
	name     string
	dir      string
	port     string
	socket   string // unix
	user     string // whom it runs as; "" for whoever runs the tests
	args     []string
	env      []string // beside our own
	cmd      *exec.Cmd
	out      *lockedBuffer
	finished chan struct{}
}

func newDBServer(t *testing.T, name, user string) *dbServer {
	t.Helper()
	// A path short enough for a socket.
	dir, err := os.MkdirTemp("/tmp", "amx-"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	s := &dbServer{t: t, name: name, dir: dir, user: user}
	_, s.port, _ = net.SplitHostPort(freeAddr(t))
	if user != "" && os.Getuid() == 0 {
		mustExec(t, "chown", user, dir)
	}
	return s
}

// command is a program that runs as the server's user does.
func (s *dbServer) command(program string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.user != "" && os.Getuid() == 0 {
		who, err := user.Lookup(s.user)
		if err != nil {
			s.t.Fatalf("%v; integration/test installs what the tests need", err)
		}
		uid, _ := strconv.Atoi(who.Uid)
		gid, _ := strconv.Atoi(who.Gid)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return cmd
}

// must runs a program to its end.
func (s *dbServer) must(stdin, program string, args ...string) string {
	s.t.Helper()
	cmd := s.command(program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// own gives files to the user that the server runs as.
func (s *dbServer) own(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if s.user != "" && os.Getuid() == 0 {
			mustExec(s.t, "chown", s.user, filepath.Join(s.dir, name))
		}
	}
}

// start runs the server and waits until ready says so.
func (s *dbServer) start(ready func() bool) {
	s.t.Helper()
	s.out = new(lockedBuffer)
	s.cmd = s.command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := peers.StartBound(s.cmd); err != nil {
		s.t.Fatalf("%s: %v; integration/test installs what the tests need", s.name, err)
	}
	cmd, finished := s.cmd, make(chan struct{})
	s.finished = finished
	go func() {
		cmd.Wait()
		close(finished)
	}()
	s.t.Cleanup(func() {
		select {
		case <-finished:
		default:
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-finished
		}
	})
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ready() {
			return
		}
		select {
		case <-finished:
			s.t.Fatalf("%s ended at start\n%s", s.name, s.out)
		default:
		}
	}
	s.t.Fatalf("%s does not come up\n%s", s.name, s.out)
}

// stop ends the server, its children and its connections.
func (s *dbServer) stop(signal syscall.Signal) {
	s.t.Helper()
	syscall.Kill(-s.cmd.Process.Pid, signal)
	select {
	case <-s.finished:
	case <-time.After(limit):
		s.t.Fatalf("%s does not end", s.name)
	}
}

func (s *dbServer) listens() bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// findProgram returns the first of the patterns that names an installed program.
func findProgram(t *testing.T, patterns ...string) string {
	t.Helper()
	for _, p := range patterns {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Fatalf("%s is missing; integration/test installs it", patterns[0])
	return ""
}

// throughServer is what must hold for tables on any server: mail goes where they say,
// an address that they do not know is refused, and while the server is away nobody is
// told that an address does not exist.
func throughServer(t *testing.T, maps, domains string, files map[string]string, stop, start func()) {
	t.Helper()
	sink := newSink(t)
	cf := base(sink)
	cf["virtual_alias_maps"], cf["virtual_alias_domains"] = maps, domains
	r := newRelay(t, cf, files)
	for name := range files { // they hold passwords
		os.Chmod(filepath.Join(r.dir, name), 0o600)
	}
	r.start()
	arrived := 0
	deliver := func(when string) {
		t.Helper()
		var out string
		code := -1
		for end := time.Now().Add(limit); code != 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if out, code = swaks(t, r, "--to", "info@alias.example"); strings.Contains(out, " 550 ") {
				t.Fatalf("%s: refused\n%s", when, out)
			}
		}
		if code != 0 {
			t.Fatalf("%s: swaks: exit status %d\n%s\n%s", when, code, out, r.log())
		}
		if arrived++; !sink.Wait(arrived, limit) {
			t.Fatalf("%s: nothing arrived\n%s", when, r.log())
		}
		if m := sink.Messages()[arrived-1]; !strings.HasPrefix(m.Rcpts[0], "<target@dest.example>") {
			t.Errorf("%s: it went to %v", when, m.Rcpts)
		}
	}
	refused := func(when, to, reply string) {
		t.Helper()
		out, code := swaks(t, r, "--to", to)
		if code == 0 || !strings.Contains(out, reply) {
			t.Errorf("%s: want %q, got exit status %d\n%s", when, reply, code, out)
		}
	}
	deliver("at first")
	refused("unknown", "nobody@alias.example", "550 5.1.1 <nobody@alias.example>: Recipient address rejected: User unknown in virtual alias table")
	refused("foreign", "info@elsewhere.example", "554 5.7.1")
	stop()
	refused("server away", "info@alias.example", "451 4.3.0")
	refused("server away, unknown", "nobody@alias.example", "451 4.3.0")
	start()
	deliver("server back")
	stop()
	r.stop()
	r.start()
	refused("started while the server is away", "info@alias.example", "451 4.3.0")
	start()
	deliver("server there at last")
	refused("unknown again", "nobody@alias.example", "550 5.1.1")
	r.stop()
	for _, secret := range []string{dbPassword} {
		if strings.Contains(r.log()+r.out.String(), secret) {
			t.Errorf("the password is in the log:\n%s", r.log())
		}
	}
}

// dbPassword is what must never be seen in a log.
const dbPassword = "s3cr'et\\pw"

// besidePostmap asks Debian's postmap and ours for the same keys of the same .cf file.
type besidePostmap struct {
	t   *testing.T
	dir string
}

func newBesidePostmap(t *testing.T) *besidePostmap {
	t.Helper()
	b := &besidePostmap{t, t.TempDir()}
	b.write("main.cf", "compatibility_level = 3.6\n")
	return b
}

// write writes a file that looks old: Postfix waits for seconds before it trusts one that
// was just written.
func (b *besidePostmap) write(name, text string) (file string) {
	file = filepath.Join(b.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	os.Chtimes(file, old, old)
	return file
}

// postmapCase is a .cf file, with keys that both are asked for together, and such that
// make both fail.
type postmapCase struct {
	name string
	cf   string
	keys []string
	fail []string
}

// run compares all cases. Postfix sleeps for a second when it fails, so they run at once.
func (b *besidePostmap) run(typ string, cases []postmapCase) {
	b.t.Run("beside postmap", func(t *testing.T) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				b.compare(t, typ+":"+b.write(fmt.Sprintf("%s-%d.cf", typ, i), c.cf), c)
			})
		}
	})
}

func (b *besidePostmap) compare(t *testing.T, table string, c postmapCase) {
	if len(c.keys) > 0 {
		stdin := strings.Join(c.keys, "\n") + "\n"
		want, wantCode := runOut(t, stdin, "postmap", "-c", b.dir, "-q", "-", table)
		got, code := runOut(t, stdin, binary, "postmap", "-c", b.dir, "-q", "-", table)
		if got != want || code != wantCode {
			t.Errorf("%q\npostfix: exit status %d\n%s\nours: exit status %d\n%s", c.keys, wantCode, want, code, got)
		}
	}
	for _, key := range c.fail {
		theirs, wantCode := runProgram(t, "", "postmap", "-c", b.dir, "-q", key, table)
		ours, code := runProgram(t, "", binary, "postmap", "-c", b.dir, "-q", key, table)
		if wantCode != 1 || !strings.Contains(theirs, "fatal: ") {
			t.Errorf("postfix does not fail for %q: exit status %d\n%s", key, wantCode, theirs)
		}
		if code != 1 || !strings.Contains(ours, "fatal: ") {
			t.Errorf("ours does not fail for %q: exit status %d\n%s", key, code, ours)
		}
	}
}

// oursCase is a .cf file, with what ours says to a key, or a piece of the error.
type oursCase struct{ name, cf, want string }

func (b *besidePostmap) ours(typ string, cases []oursCase) {
	for _, c := range cases {
		out, _ := runProgram(b.t, "", binary, "postmap", "-q", "info@alias.example", typ+":"+b.write("ours.cf", c.cf))
		if !strings.Contains(out, c.want) || strings.Contains(out, dbPassword) {
			b.t.Errorf("%s: %s, want %s", c.name, out, c.want)
		}
	}
}

// runOut is runProgram without standard error.
func runOut(t *testing.T, stdin, program string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v; integration/test installs what the tests need", program, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
