package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// The name servers of a Lab as processes.

const nsdHead = `server:
  server-count: 1
  zonesdir: %q
  username: %q
  chroot: ""
  database: ""
  pidfile: ""
  zonelistfile: %q
  hide-version: yes
  log-only-syslog: no
  ip-address: 127.0.0.1@{port}
remote-control:
  control-enable: no
`

const unboundHead = `remote-control:
  control-enable: no
server:
  directory: %q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  do-ip6: no
  interface: 127.0.0.1
  port: {port}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor-file: %q
  trust-anchor-signaling: no
  root-key-sentinel: no
  val-log-level: 2
  qname-minimisation: no
  aggressive-nsec: no
  val-bogus-ttl: 1
  infra-host-ttl: 1
`

// daemon is one server, a child of ours.
type daemon struct {
	cmd   *exec.Cmd
	ended chan struct{}
	said  *output
	once  sync.Once
}

func (d *daemon) stop() {
	d.once.Do(func() { d.cmd.Process.Signal(syscall.SIGTERM) })
	select {
	case <-d.ended:
	case <-time.After(5 * time.Second):
		d.cmd.Process.Kill()
		<-d.ended
	}
}

// output is what a daemon has said.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// daemon starts a name server on a free port and waits until it answers. Another
// process may take the port first: then it is tried again at another.
func (l *Lab) daemon(dir, name, conf string, args ...string) (addr string, err error) {
	for range 5 {
		if addr, err = l.daemonAt(dir, name, conf, args); err == nil {
			return addr, nil
		}
	}
	return "", err
}

func (l *Lab) daemonAt(dir, name, conf string, args []string) (string, error) {
	udp, tcp, err := bothPorts("127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := udp.LocalAddr().String()
	_, port, _ := strings.Cut(addr, ":")
	udp.Close()
	tcp.Close()
	file := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(conf, "{port}", port)), 0o644); err != nil {
		return "", err
	}
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
	}
	said := new(output)
	d := &daemon{cmd: exec.Command(path, append(args, file)...), ended: make(chan struct{}), said: said}
	d.cmd.Stdout, d.cmd.Stderr = said, said
	if err := StartBound(d.cmd); err != nil {
		return "", fmt.Errorf("%s: %w; integration/test installs what the tests need", name, err)
	}
	go func() { // ends with stop
		d.cmd.Wait()
		close(d.ended)
	}()
	q := new(dns.Msg).SetQuestion(".", dns.TypeSOA)
	c := dns.Client{Timeout: time.Second}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-d.ended:
			return "", fmt.Errorf("%s ended at its start: %s", name, said)
		default:
		}
		if m, _, err := c.Exchange(q, addr); err == nil && m.Rcode == dns.RcodeSuccess {
			if strings.Contains(said.String(), " error: ") { // a zone that it does not load
				d.stop()
				return "", fmt.Errorf("%s: %s", name, said)
			}
			l.daemons = append(l.daemons, d)
			return addr, nil
		}
	}
	d.stop()
	return "", fmt.Errorf("%s does not answer: %s", name, said)
}

// userName is whom the servers run as.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
