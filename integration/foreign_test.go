package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// Exim and OpenSMTPD as next hops that relay everything to a sink. Both know where their
// files are and who they run as: each gets a view of the file system of its own, in which
// it is installed, and which is gone with it.

// foreign is such a next hop.
type foreign struct {
	addr string
	out  *lockedBuffer
	logs string // a directory outside of its view, "" when it logs to its output
}

func (f *foreign) log() string {
	text := f.out.String()
	files, _ := filepath.Glob(filepath.Join(f.logs, "*"))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		text += string(b)
	}
	return text
}

// startForeign runs a shell script behind one that makes the view. {top} in it is a
// directory that both see, {port} where it is to listen.
func startForeign(t *testing.T, users []string, files map[string]string, script string) *foreign {
	t.Helper()
	unpacked := peers.Unpacked(t)
	top, err := os.MkdirTemp("/var/tmp", "foreign")
	if err != nil {
		t.Fatal(err)
	}
	f := &foreign{addr: freeAddr(t), out: new(lockedBuffer), logs: filepath.Join(top, "logs")}
	_, port, _ := net.SplitHostPort(f.addr)
	fill := strings.NewReplacer("{top}", top, "{port}", port, "{unpacked}", unpacked)
	os.Chmod(top, 0o755)
	for _, d := range []string{"etc", "logs", "var"} {
		os.Mkdir(filepath.Join(top, d), 0o755)
	}
	os.Chmod(f.logs, 0o777)
	for _, db := range []string{"passwd", "group"} {
		text, err := os.ReadFile("/etc/" + db)
		if err != nil {
			t.Fatal(err)
		}
		for i, user := range users {
			fields := ":"
			if db == "passwd" {
				fields = fmt.Sprintf(":%d::/nonexistent:/usr/sbin/nologin", 61000+i)
			}
			text = fmt.Appendf(text, "%s:x:%d%s\n", user, 61000+i, fields)
		}
		os.WriteFile(filepath.Join(top, "etc", db), text, 0o644)
	}
	for name, text := range files {
		file := filepath.Join(top, "etc", name)
		os.MkdirAll(filepath.Dir(file), 0o755)
		os.WriteFile(file, []byte(fill.Replace(text)), 0o644)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", fill.Replace(`
mount -t tmpfs tmpfs {top}/var
mkdir {top}/var/upper {top}/var/work
mount -t overlay overlay -o lowerdir={top}/etc:/etc /etc
mount -t overlay overlay -o lowerdir={unpacked}/usr:/usr /usr
mount --bind {top}/logs /mnt
mount -t overlay overlay -o lowerdir=/var,upperdir={top}/var/upper,workdir={top}/var/work /var
mount -t tmpfs tmpfs /run
`+script))
	cmd.Stdout, cmd.Stderr = f.out, f.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		time.AfterFunc(5*time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		cmd.Wait()
		os.RemoveAll(top)
	})
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", f.addr); err == nil {
			c.Close()
			return f
		} else if time.Now().After(end) {
			t.Fatalf("it does not come up: %v\n%s", err, f.log())
		}
	}
}

func newExim(t *testing.T, to string) *foreign {
	_, port, _ := net.SplitHostPort(to)
	return startForeign(t, []string{"Debian-exim"}, map[string]string{"exim4/exim4.conf": `
primary_hostname = peer.example
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
keep_environment =
acl_smtp_rcpt = all
acl_smtp_data = all
host_lookup =
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
log_file_path = /mnt/%slog
begin acl
all:
  accept
begin routers
smart:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = ` + port + `
  allow_localhost
  message_linelength_limit = 1G
`}, `
mkdir -p /run/exim4 /var/spool/exim4
chown Debian-exim /run/exim4 /var/spool/exim4
exec exim4 -bdf -q1m
`)
}

func newOpenSMTPD(t *testing.T, to string) *foreign {
	return startForeign(t, []string{"opensmtpd", "opensmtpq"}, map[string]string{"smtpd.conf": `
listen on 127.0.0.1 port {port}
action "out" relay host smtp://` + to + `
match from any for any action "out"
`}, `
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 711 /var/spool/smtpd
exec smtpd -d -v -f /etc/smtpd.conf
`)
}

func TestSmugglingToExim(t *testing.T) {
	sink := newSink(t)
	next := newExim(t, sink.Addr)
	smuggleThrough(t, sink, next.addr, next.log, "")
}

func TestSmugglingToOpenSMTPD(t *testing.T) {
	sink := newSink(t)
	next := newOpenSMTPD(t, sink.Addr)
	smuggleThrough(t, sink, next.addr, next.log, "")
}
