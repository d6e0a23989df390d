package integration

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Reload takes the new table and keeps the connection that is open.
func TestReload(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["virtual_alias_maps"] = "texthash:{dir}/virtual"
	r := newRelay(t, cf, nil)
	r.start()
	c := dialSMTP(t, r.smtp)
	c.say("EHLO client.example")
	c.say("MAIL FROM:<a@client.example>")
	if got := c.say("RCPT TO:<new@alias.example>"); !strings.HasPrefix(got, "550 5.1.1") {
		t.Fatalf("before the reload: %s", got)
	}
	r.write("virtual", virtualTable+"new@alias.example fresh@dest.example\n")
	r.mustRun("reload", "-c", r.dir)
	if got := c.say("RSET"); !strings.HasPrefix(got, "250") {
		t.Fatalf("the open connection suffers: %s", got)
	}
	c.say("MAIL FROM:<a@client.example>")
	if got := c.say("RCPT TO:<new@alias.example>"); !strings.HasPrefix(got, "250 2.1.5") {
		t.Errorf("after the reload: %s", got)
	}
	// The old connection still does its work, and so does a new one.
	if out, code := swaks(t, r, "--to", "new@alias.example"); code != 0 {
		t.Errorf("swaks: %s", out)
	}
}

// A broken configuration is refused at reload, in one line, and the old one goes on.
func TestReloadOfBrokenConfiguration(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	r := newRelay(t, cf, nil)
	r.start()
	cf["message_size_limit"] = "large"
	r.configure(cf)
	if out, code := r.run("reload", "-c", r.dir); code == 0 {
		t.Errorf("reload says nothing:\n%s", out)
	}
	r.waitLog(`postfix/master\[\d+\]: error: .*message_size_limit.*large`)
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Errorf("the old configuration is not in force:\n%s", out)
	}
}

// SIGTERM in the middle of a transaction: the transfer under way finishes, others
// hear 421 4.3.2, and the message is there after the next start.
func TestStopInTheMiddle(t *testing.T) {
	sink := newSink(t)
	sink.Stop()
	r := newRelay(t, base(sink), nil)
	r.start()
	idle := dialSMTP(t, r.smtp)
	idle.say("EHLO idle.example")
	busy := dialSMTP(t, r.smtp)
	for _, line := range []string{"EHLO client.example", "MAIL FROM:<a@client.example>", "RCPT TO:<info@alias.example>", "DATA"} {
		busy.say(line)
	}
	fmt.Fprint(busy.Conn, "Subject: in the middle\r\n\r\nfirst half\r\n")
	stop := exec.Command(binary, "stop", "-c", r.dir)
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	if got := idle.read(); !strings.HasPrefix(got, "421 4.3.2") {
		t.Errorf("the idle client hears %q", got)
	}
	fmt.Fprint(busy.Conn, "second half\r\n.\r\n")
	if got := busy.read(); !strings.HasPrefix(got, "250 2.0.0 Ok: queued as") {
		t.Errorf("the busy client hears %q", got)
	}
	if err := stop.Wait(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-r.done; err != nil {
		t.Errorf("the daemon ended with %v\n%s", err, r.out)
	}
	restart(t, sink)
	r.start()
	r.mustRun("postqueue", "-c", r.dir, "-f")
	if !sink.Wait(1, limit) {
		t.Fatalf("the message is lost\n%s", r.log())
	}
	mustMatch(t, "message", sink.Messages()[0].Data, `first half\r\nsecond half\r\n$`)
}

// dialog is a plain conversation with the relay.
type dialog struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func dialSMTP(t *testing.T, addr string) *dialog {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(limit))
	d := &dialog{Conn: c, t: t, r: bufio.NewReader(c)}
	d.read()
	return d
}

// say sends one line and returns the last line of the reply.
func (d *dialog) say(line string) string {
	d.t.Helper()
	fmt.Fprintf(d.Conn, "%s\r\n", line)
	return d.read()
}

func (d *dialog) read() string {
	d.t.Helper()
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			d.t.Fatalf("the server is gone: %v", err)
		}
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimRight(line, "\r\n")
		}
	}
}
