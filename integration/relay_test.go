package integration

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	// Most tests wait for other programs most of the time.
	flag.Set("test.parallel", "8")
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "aliasmx-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	binary = filepath.Join(dir, "aliasmx")
	build := exec.Command("go", "build", "-o", binary, "../cmd/aliasmx")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// limit is how long a test waits for what must happen; it is met only when a test fails.
const limit = 30 * time.Second

// relay is one aliasmx with its own configuration and queue.
type relay struct {
	t    testing.TB
	dir  string // configuration
	top  string // queue, data, log
	smtp string // address of its listener
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan error
	// launched starts the daemon where it is to run; nil: here.
	launched func(*exec.Cmd) error
}

// base is the main.cf that all tests share: the virtual alias domain alias.example
// with its table in a text file, mail relayed to the given next hop.
func base(sink *peers.Sink) map[string]string {
	cf := map[string]string{
		"myhostname":                    "mx.alias.example",
		"mydestination":                 "",
		"mynetworks":                    "127.0.0.9/32",
		"virtual_alias_domains":         "alias.example",
		"virtual_alias_maps":            "hash:{dir}/virtual",
		"smtpd_relay_restrictions":      "permit_mynetworks, reject_unauth_destination",
		"inet_interfaces":               "127.0.0.1",
		"smtpd_peername_lookup":         "no",
		"smtp_dns_support_level":        "disabled",
		"maillog_file":                  "{top}/mail.log",
		"queue_directory":               "{top}/queue",
		"data_directory":                "{top}/data",
		"smtpd_error_sleep_time":        "0",
		"smtp_tls_security_level":       "may",
		"local_transport":               "error:local mail delivery is disabled",
		"maximal_queue_lifetime":        "1d",
		"smtpd_recipient_limit":         "1000",
		"message_size_limit":            "10240000",
		"smtp_connect_timeout":          "5s",
		"virtual_alias_expansion_limit": "1000",
	}
	if sink != nil {
		_, port, _ := net.SplitHostPort(sink.Addr)
		cf["relayhost"] = "[127.0.0.1]:" + port
	}
	return cf
}

const virtualTable = `# the table of the tests
info@alias.example      target@dest.example
team@alias.example      one@dest.example, two@other.example three@dest.example
chain@alias.example     info@alias.example
loop@alias.example      pool@alias.example
pool@alias.example      loop@alias.example
self@alias.example      self@alias.example
half@alias.example      good@dest.example, nobody@alias.example
dead@alias.example      nobody@alias.example
`

// newRelay writes a configuration; start starts it.
func newRelay(t testing.TB, cf map[string]string, files map[string]string) *relay {
	t.Helper()
	top := t.TempDir()
	os.Chmod(top, 0o755)
	os.Chmod(filepath.Dir(top), 0o755)
	r := &relay{t: t, top: top, dir: filepath.Join(top, "etc"), smtp: freeAddr(t)}
	for _, d := range []string{r.dir, filepath.Join(top, "queue"), filepath.Join(top, "data")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if files == nil {
		files = map[string]string{"virtual": virtualTable}
	}
	for name, text := range files {
		r.write(name, text)
	}
	r.configure(cf)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n")
	for name := range files {
		if strings.Contains(cf["virtual_alias_maps"], "hash:{dir}/"+name) {
			r.mustRun("postmap", "-c", r.dir, "hash:"+filepath.Join(r.dir, name))
		}
	}
	return r
}

// configure writes main.cf; {dir} and {top} in values are the relay's.
func (r *relay) configure(cf map[string]string) {
	var b strings.Builder
	for name, value := range cf {
		fmt.Fprintf(&b, "%s = %s\n", name, strings.NewReplacer("{dir}", r.dir, "{top}", r.top).Replace(value))
	}
	r.write("main.cf", b.String())
}

func (r *relay) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// start runs the daemon and waits until it listens.
func (r *relay) start() {
	r.t.Helper()
	r.launch()
	end := time.Now().Add(limit)
	for time.Now().Before(end) {
		select {
		case err := <-r.done:
			r.t.Fatalf("aliasmx ended at start: %v\n%s", err, r.out)
		default:
		}
		if _, code := r.run("status", "-c", r.dir, "--healthcheck"); code == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.t.Fatalf("aliasmx does not come up\n%s\n%s", r.out, r.log())
}

func (r *relay) launch() {
	r.t.Helper()
	r.out = new(lockedBuffer)
	r.cmd = exec.Command(binary, "start", "-c", r.dir)
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	launched := r.cmd.Start
	if r.launched != nil {
		launched = func() error { return r.launched(r.cmd) }
	}
	if err := launched(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	cmd := r.cmd
	go func() { done <- cmd.Wait() }()
	r.done = done
	r.t.Cleanup(func() { cmd.Process.Kill() })
}

// stop ends the daemon as an operator does and fails if it does not end well.
func (r *relay) stop() {
	r.t.Helper()
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Fatalf("aliasmx ended with %v\n%s", err, r.out)
		}
	case <-time.After(12 * time.Second):
		r.t.Fatalf("aliasmx does not end within 12 s of SIGTERM")
	}
}

// kill ends it as a power cut does, as far as a process can be.
func (r *relay) kill() {
	r.t.Helper()
	r.cmd.Process.Kill()
	<-r.done
}

// run runs a command of the binary and returns its output and exit status.
func (r *relay) run(args ...string) (string, int) { return r.runWith("", args...) }

func (r *relay) runWith(stdin string, args ...string) (string, int) {
	r.t.Helper()
	return runProgram(r.t, stdin, binary, args...)
}

func (r *relay) mustRun(args ...string) string {
	r.t.Helper()
	out, code := r.run(args...)
	if code != 0 {
		r.t.Fatalf("aliasmx %s: exit status %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func runProgram(t testing.TB, stdin, program string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s: %v; integration/test installs what the tests need", program, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (r *relay) log() string {
	b, _ := os.ReadFile(filepath.Join(r.top, "mail.log"))
	return string(b)
}

// waitLog waits until a line of the log matches and returns it.
func (r *relay) waitLog(pattern string) string {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for line := range strings.SplitSeq(r.log(), "\n") {
			if re.MatchString(line) {
				return line
			}
		}
	}
	r.t.Fatalf("no log line matches %s; the log:\n%s", pattern, r.log())
	return ""
}

// waitEmpty waits until the queue is empty.
func (r *relay) waitEmpty() {
	r.t.Helper()
	var out string
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if out, _ = r.run("mailq", "-c", r.dir); strings.Contains(out, "Mail queue is empty") {
			return
		}
	}
	r.t.Fatalf("the queue does not empty:\n%s\n%s", out, r.log())
}

// freeAddr is an address of loopback that nobody listens on. No port is given out twice, and
// none is one that the system picks for connections; other processes that run these tests
// begin elsewhere.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range freePorts {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+(os.Getpid()*101+int(portsGiven.Add(1)))%freePorts)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// The ports that freeAddr gives out.
const firstPort, freePorts = 10240, 20000

var portsGiven atomic.Int64

func newSink(t testing.TB) *peers.Sink {
	t.Helper()
	s, err := peers.NewSink("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func mustMatch(t testing.TB, what, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("%s does not match %s:\n%s", what, pattern, text)
	}
}
