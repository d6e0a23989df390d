package integration

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// The recordings of Postfix in testdata/postfix, replayed against the binary. A case
// that is not in testdata/postfix-not-yet.txt must come out exactly as recorded; one
// that is in it must not, so that the list stays honest.
func TestPostfixCases(t *testing.T) { replayAll(t, "postfix") }

// replayAll replays the cases of a folder below testdata; FOLDER-not-yet.txt lists those
// that differ.
func replayAll(t *testing.T, folder string) {
	cases, err := loadCases("testdata/" + folder)
	if err != nil {
		t.Fatal(err)
	}
	notYet, err := loadNotYet("testdata/" + folder + "-not-yet.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range cases {
		known[c.Name] = true
	}
	for name := range notYet {
		if !known[name] {
			t.Errorf("%s-not-yet.txt lists %s, which is no case", folder, name)
		}
	}
	for i, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			diffs, o := replay(t, c, i)
			var text strings.Builder
			for _, d := range diffs {
				text.WriteString(d.String() + "\n")
			}
			why, listed := notYet[c.Name]
			if why.rule == refusedEarlier {
				for _, wrong := range checkRefusedEarlier(c, o) {
					t.Error(wrong)
				}
			}
			switch got := kinds(diffs); {
			case listed && got == "":
				t.Errorf("comes out as recorded; take it off %s-not-yet.txt (%s)", folder, why.reason)
			case listed && got != why.kinds:
				t.Errorf("differs in %s; %s-not-yet.txt says %s (%s)\n%s", got, folder, why.kinds, why.reason, &text)
			case !listed && got != "":
				t.Errorf("%s\n%s", c.About, &text)
			}
		})
	}
}

// setup is the main.cf that all recordings share.
func setup(sinkAddr string) map[string]string {
	_, port, _ := net.SplitHostPort(sinkAddr)
	return map[string]string{
		"compatibility_level":     "3.6",
		"inet_interfaces":         "127.0.0.1",
		"inet_protocols":          "ipv4",
		"relayhost":               "[127.0.0.1]:" + port,
		"smtp_dns_support_level":  "disabled",
		"smtp_host_lookup":        "native",
		"smtp_tls_security_level": "none",
		"smtpd_peername_lookup":   "no",
		"smtpd_error_sleep_time":  "0s",
		"in_flow_delay":           "0s",
		"alias_maps":              "",
		"alias_database":          "",
		"maillog_file":            "{top}/mail.log",
		"queue_directory":         "{top}/queue",
		"data_directory":          "{top}/data",
	}
}

// replay runs one case and returns its outcome and how that differs from the recording.
// What keeps the case from being run at all, a daemon that does not start above all, is
// a difference too.
func replay(t *testing.T, c postfixCase, number int) (diffs []diff, o outcome) {
	p := &probe{TB: t}
	var done sync.WaitGroup
	done.Go(func() { diffs, o = replayCase(p, c, number) })
	done.Wait()
	for _, f := range p.failures {
		diffs = append(diffs, diff{"run", ": " + f})
	}
	return diffs, o
}

func replayCase(t testing.TB, c postfixCase, number int) ([]diff, outcome) {
	r := prepare(t, c, func(cf map[string]string) subject {
		relay := newRelay(t, cf, map[string]string{})
		relay.smtp = caseAddr(t, number)
		relay.write("master.cf", relay.smtp+" inet n - n - - smtpd\n")
		return relay
	})
	r.index(c.Postmap)
	r.relay.start()
	defer r.relay.stop()
	r.sessions(t)
	return r.compare(t)
}

// prepare starts the next server and writes the configuration of a case.
func prepare(t testing.TB, c postfixCase, open func(cf map[string]string) subject) *caseRun {
	sink := newSink(t)
	if s := c.Sink; s != nil {
		sink.Behave(peers.Script{Banner: s.Banner, Ehlo: s.Ehlo, Mail: s.Mail, Rcpt: s.Rcpt, Data: s.Data, EndOfData: s.EndOfData, Drop: s.Drop})
	}
	cf := setup(sink.Addr)
	for name, value := range c.MainCF {
		cf[name] = strings.ReplaceAll(value, "\n", "\n ")
	}
	r := &caseRun{c: c, sink: sink, relay: open(cf)}
	for name, text := range c.Files {
		r.relay.write(name, text)
	}
	return r
}

// sessions does what the recording did, one thing after the other.
func (r *caseRun) sessions(t testing.TB) {
	for _, s := range r.c.Sessions {
		r.logAt = append(r.logAt, len(r.relay.log()))
		if err := r.session(s); err != nil {
			t.Fatal(err)
		}
		r.settle()
	}
}

// compare waits for the last lines of the log, which are written when nothing waits for
// them any more.
func (r *caseRun) compare(t testing.TB) ([]diff, outcome) {
	var diffs, before []diff
	var last outcome
	for quiet := 0; quiet < 3; time.Sleep(30 * time.Millisecond) {
		o, err := r.outcome()
		if err != nil {
			t.Fatal(err)
		}
		if diffs = compare(r.c, o); len(diffs) == 0 {
			return nil, o
		}
		if quiet++; !slices.Equal(diffs, before) {
			quiet = 0
		}
		before, last = diffs, o
	}
	return diffs, last
}

// index runs postmap commands and keeps what they print.
func (r *caseRun) index(commands []recordedCommand) {
	dir, _ := r.relay.places()
	for _, p := range commands {
		args := []string{"postmap", "-c", dir}
		for _, arg := range strings.Fields(strings.TrimPrefix(p.Cmd, "postmap ")) {
			args = append(args, strings.ReplaceAll(arg, "{dir}", dir))
		}
		out, code := r.relay.runWith(p.Stdin, args...)
		r.postmap = append(r.postmap, recordedCommand{Cmd: p.Cmd, Stdin: p.Stdin, Exit: code, Output: linesOf(out)})
	}
}

func linesOf(out string) []string {
	out = strings.TrimRight(strings.ReplaceAll(out, "\r\n", "\n"), "\n")
	if out == "" {
		return []string{}
	}
	return strings.Split(out, "\n")
}

// session does one thing of the recording.
func (r *caseRun) session(s recordedSession) (err error) {
	var replies []reply
	var result recordedCommand
	dir, _ := r.relay.places()
	switch {
	case s.Sendmail != nil:
		out, code := r.relay.runWith(s.Stdin, append([]string{"sendmail", "-C", dir}, s.Sendmail...)...)
		result = recordedCommand{Exit: code, Output: linesOf(out)}
	case s.Flush:
		out, code := r.relay.run("postqueue", "-c", dir, "-f")
		if code != 0 {
			err = fmt.Errorf("postqueue -f: exit status %d: %s", code, out)
		}
	case s.RewriteFile != nil:
		time.Sleep(r.relay.beforeRewrite())
		for name, text := range s.RewriteFile {
			r.relay.write(name, text)
		}
		again := caseRun{relay: r.relay}
		again.index(r.c.Postmap)
		time.Sleep(time.Second)
	case s.Sleep > 0:
		time.Sleep(time.Duration(s.Sleep) * time.Second)
	default:
		replies, err = play(r.relay.address(), s)
	}
	r.replies, r.sendmail = append(r.replies, replies), append(r.sendmail, result)
	return err
}

// caseAddr is a port below those that the kernel gives to clients, one for each case,
// so that cases running at once do not take each other's.
func caseAddr(t testing.TB, number int) string {
	for port := 12000 + os.Getpid()%40*500 + number%500; port < 32768; port += 500 {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatalf("no port left for case %d", number)
	return ""
}

// probe collects failures instead of failing the test: a listed case is to fail.
type probe struct {
	testing.TB
	failures []string
}

func (p *probe) Errorf(format string, args ...any) {
	p.failures = append(p.failures, fmt.Sprintf(format, args...))
}

func (p *probe) Error(args ...any) { p.failures = append(p.failures, fmt.Sprint(args...)) }

func (p *probe) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	runtime.Goexit()
}

func (p *probe) Fatal(args ...any) {
	p.Error(args...)
	runtime.Goexit()
}
