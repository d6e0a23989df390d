package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// A stage is a small network of its own, in network namespaces: one switch, one machine for
// the mail system under test, one with the name server, and hosts with addresses of their
// own that serve port 25. Documentation addresses (RFC 5737, RFC 3849), no way out.
//
//	192.0.2.10  2001:db8::10  the mail system
//	192.0.2.53                the name server
//	192.0.2.8x  2001:db8::8x  packets get lost on the way there
//	192.0.2.9x  2001:db8::9x  the route says that they cannot be reached
//
// There is no route to anywhere else.
type stage struct {
	t    testing.TB
	link *peers.Link
	mx   *peers.Namespace
	dns  *peers.DNS
	conf string // resolv.conf(5) of the mail system
}

func newStage(t testing.TB, zone string) *stage {
	t.Helper()
	link, err := peers.NewLink()
	if err != nil {
		t.Fatalf("this test makes network namespaces, for which it must run as root: %v", err)
	}
	t.Cleanup(link.Close)
	s := &stage{t: t, link: link, conf: filepath.Join(t.TempDir(), "resolv.conf")}
	os.Chmod(filepath.Dir(s.conf), 0o755)
	writeText(t, s.conf, "nameserver 192.0.2.53\noptions timeout:5 attempts:3\n")
	s.mx = s.host("192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64", "2001:db8::11/64")
	var lost []string
	for i := range 10 {
		for _, a := range []string{"192.0.2.8", "2001:db8::8"} {
			lost = append(lost, fmt.Sprintf("neigh add %s%d lladdr 02:00:00:00:00:80 dev eth0 nud permanent", a, i))
		}
		lost = append(lost, fmt.Sprintf("route add unreachable 192.0.2.9%d/32", i), fmt.Sprintf("route add unreachable 2001:db8::9%d/128", i))
	}
	s.must(s.mx.IP(lost...))
	names := s.host("192.0.2.53/24")
	s.must(names.Do(func() (err error) {
		s.dns, err = peers.NewDNSAt("192.0.2.53:53", zone)
		return err
	}))
	t.Cleanup(s.dns.Close)
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// host is a machine with these addresses, on which nobody listens.
func (s *stage) host(addrs ...string) *peers.Namespace {
	s.t.Helper()
	n, err := peers.NewNamespace()
	s.must(err)
	s.t.Cleanup(n.Close)
	s.must(s.link.Plug(n, addrs...))
	return n
}

// sink serves port 25 of a host, on all its addresses.
func (s *stage) sink(host *peers.Namespace, script peers.Script) *peers.Sink {
	s.t.Helper()
	var sink *peers.Sink
	s.must(host.Do(func() (err error) {
		sink, err = peers.NewSink("[::]:25")
		return err
	}))
	sink.Behave(script)
	s.t.Cleanup(sink.Stop)
	return sink
}

// mailHost is a host with a sink.
func (s *stage) mailHost(addrs ...string) *peers.Sink {
	s.t.Helper()
	return s.sink(s.host(addrs...), peers.Script{})
}

// enter makes a command one of the mail system's machine, with its resolv.conf, which
// stands before the machine's own for this command alone.
func (s *stage) enter(cmd *exec.Cmd) {
	args := append([]string{cmd.Path}, cmd.Args[1:]...)
	script := `mount --bind "$0" /etc/resolv.conf && exec "$@"`
	cmd.Args = append([]string{"unshare", "-m", "sh", "-c", script, s.conf}, args...)
	cmd.Path = "/usr/bin/unshare"
}

// run starts a command there.
func (s *stage) run(cmd *exec.Cmd) error {
	s.enter(cmd)
	return s.mx.Do(cmd.Start)
}

// relay is an aliasmx there, not started.
func (s *stage) relay(cf map[string]string, files map[string]string) *relay {
	s.t.Helper()
	all := base(nil)
	all["inet_interfaces"], all["smtp_dns_support_level"] = "192.0.2.10, 2001:db8::10", ""
	all["virtual_alias_maps"], all["smtp_tls_security_level"], all["smtp_connect_timeout"] = "", "none", "2s"
	all["virtual_alias_domains"] = ""
	for name, value := range cf {
		all[name] = value
	}
	if files == nil {
		files = map[string]string{}
	}
	r := newRelay(s.t, all, files)
	r.launched = s.run
	return r
}

// submit sends a letter by the sendmail command.
func (r *relay) submit(from string, to ...string) {
	r.t.Helper()
	args := append([]string{"sendmail", "-C", r.dir, "-i", "-f", from, "--"}, to...)
	if out, code := r.runWith("Subject: x\n\nx\n", args...); code != 0 {
		r.t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
}

func writeText(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, is func() bool, log func() string) {
	t.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so: %s\n%s", what, log())
		}
	}
}
