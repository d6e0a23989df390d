package integration

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// Where mail goes, as Postfix and we find it: both run on a stage of their own with the same
// hosts, get the same letters, and must log the same lines, in the same words, but for what
// is different on purpose.

// routed is one letter.
type routed struct {
	to string // its domain is what the zone and the transport table know
	// ours is the line that we log where we differ on purpose (docs/differences.md): then
	// nothing else of the letter is compared, and Postfix must have another one.
	ours string
}

// routingScene is a configuration and letters.
type routingScene struct {
	cf       map[string]string
	services string // of master.cf, beside the usual ones
	letters  []routed
}

// routingLog is what a mail system logged of letters, by recipient, and of hosts.
type routingLog struct {
	byRcpt map[string][]string
	hosts  []string
	from   map[string]string // the address that the host saw, by recipient
}

var (
	connUse  = regexp.MustCompile(`conn_use=\d+, `) // a letter may find a connection of another
	routedTo = regexp.MustCompile(`^` + idPattern + `: to=<([^>]*)>, (?:orig_to=<[^>]*>, )?(.*)$`)
	routedID = regexp.MustCompile(`^(warning: )?` + idPattern + `: `)
	// What Postfix alone says of hosts: here the line of the letter has it.
	routedByPostfixOnly = regexp.MustCompile(`^warning: (?:dns_lookup: Name server loop|valid_hostname: )`)
)

// read takes the log of a mail system apart.
func readRouting(log string, sinks []*peers.Sink) *routingLog {
	r := &routingLog{byRcpt: map[string][]string{}, from: map[string]string{}}
	for line := range strings.SplitSeq(log, "\n") {
		m := logLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		daemon, text := m[1], connUse.ReplaceAllString(logDelay.ReplaceAllString(m[2], "delay=N,"), "")
		if to := routedTo.FindStringSubmatch(text); to != nil {
			rcpt := to[1]
			r.byRcpt[rcpt] = append(r.byRcpt[rcpt], daemon+": "+to[2])
		} else if daemon == "postfix/smtp" {
			r.hosts = append(r.hosts, routedID.ReplaceAllString(text, "${1}ID: "))
		}
	}
	for _, sink := range sinks {
		for _, m := range sink.Messages() {
			for _, rcpt := range m.Rcpts {
				to, _, _ := strings.Cut(strings.TrimPrefix(rcpt, "<"), ">")
				host := m.Client[:strings.LastIndexByte(m.Client, ':')]
				r.from[to] = strings.Trim(host, "[]")
			}
		}
	}
	slices.Sort(r.hosts)
	return r
}

// routingStage is the stage with all its hosts.
func routingStage(t testing.TB) (*stage, []*peers.Sink) {
	s := newStage(t, routingZone)
	s.dns.Fail("fail1.test", true)
	s.dns.Fail("failing.test", true)
	s.host("192.0.2.170/24", "192.0.2.171/24", "192.0.2.172/24", "192.0.2.173/24", "192.0.2.70/24", "192.0.2.71/24", "192.0.2.72/24", "192.0.2.73/24", "192.0.2.74/24", "192.0.2.75/24", "192.0.2.76/24",
		"192.0.2.77/24", "192.0.2.78/24", "192.0.2.79/24", "2001:db8::70/64", "2001:db8::71/64", "2001:db8::72/64", "2001:db8::73/64") // nobody listens
	myself := s.host("192.0.2.30/24", "192.0.2.31/24")
	closed := s.host("192.0.2.32/24", "192.0.2.33/24")
	busy := s.host("192.0.2.34/24")
	later := s.host("192.0.2.35/24", "192.0.2.36/24", "192.0.2.37/24")
	return s, []*peers.Sink{
		s.mailHost("192.0.2.20/24", "192.0.2.21/24", "192.0.2.22/24", "2001:db8::20/64", "2001:db8::21/64"),
		s.sink(myself, peers.Script{Myself: "mx.alias.example"}),
		s.sink(closed, peers.Script{Banner: "554 5.3.2 no mail here"}),
		s.sink(busy, peers.Script{Banner: "421 4.3.2 too busy"}),
		s.sink(later, peers.Script{Rcpt: map[string]string{"*": "450 4.2.1 come again"}}),
	}
}

// routingConfig is what both are told in every scene.
func (scene *routingScene) config() map[string]string {
	cf := map[string]string{
		"smtp_randomize_addresses": "no",
		"smtp_connect_timeout":     "2s",
		"smtp_tls_security_level":  "none",
		"inet_interfaces":          "192.0.2.10, 2001:db8::10",
	}
	maps.Copy(cf, scene.cf)
	return cf
}

func (scene *routingScene) byUs(t *testing.T) *routingLog {
	s, sinks := routingStage(t)
	r := s.relay(scene.config(), nil)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+scene.services)
	r.start()
	for _, l := range scene.letters {
		r.submit(routedFrom(l.to), l.to)
	}
	eventually(t, "all letters have a fate", func() bool { return scene.over(r.log()) }, r.log)
	r.stop()
	return readRouting(r.log(), sinks)
}

func (scene *routingScene) byPostfix(t *testing.T) *routingLog {
	s, sinks := routingStage(t)
	cf := scene.config()
	for name, value := range map[string]string{
		"compatibility_level": "3.6", "myhostname": "mx.alias.example", "mydestination": "", "alias_maps": "", "maillog_file": "{top}/mail.log",
		"queue_directory": "{top}/queue", "data_directory": "{top}/data", "local_recipient_maps": "", "smtp_host_lookup": "dns", "default_process_limit": "200",
	} {
		cf[name] = value
	}
	p := newRecorder(t, cf, "127.0.0.1:10025")
	master, err := os.ReadFile(filepath.Join(p.dir, "master.cf"))
	s.must(err)
	p.write("master.cf", string(master)+scene.services)
	cmd := exec.Command(postfixDaemons+"master", "-c", p.dir, "-w")
	out := new(lockedBuffer)
	cmd.Stdout, cmd.Stderr = out, out
	s.must(s.run(cmd))
	t.Cleanup(p.stop)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("postfix does not start: %v\n%s%s", err, out, p.log())
	}
	for _, l := range scene.letters {
		letter := exec.Command("/usr/sbin/sendmail", "-C", p.dir, "-i", "-f", routedFrom(l.to), "--", l.to)
		letter.Stdin = strings.NewReader("Subject: x\n\nx\n")
		s.must(s.mx.Do(func() error {
			if out, err := letter.CombinedOutput(); err != nil {
				return fmt.Errorf("sendmail: %w: %s", err, out)
			}
			return nil
		}))
	}
	eventually(t, "all letters have a fate", func() bool { return scene.over(p.log()) }, p.log)
	return readRouting(p.log(), sinks)
}

// routedFrom is who writes to somebody: most are reports, which come from nobody, and about
// which nothing is reported.
func routedFrom(to string) string {
	local, _, _ := strings.Cut(to, "@")
	if strings.HasPrefix(local, "boss") {
		return strings.TrimRight(local, "0123456789") + "@client.example"
	}
	return "<>"
}

// over tells whether every letter has a fate.
func (scene *routingScene) over(log string) bool {
	for _, l := range scene.letters {
		if !strings.Contains(log, ": to=<"+l.to+">") {
			return false
		}
	}
	return true
}

// The same letters, the same hosts, the same lines.
func TestRoutingAsPostfix(t *testing.T) {
	t.Parallel()
	for name, scene := range routingScenes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scene.compare(t)
		})
	}
}

func (scene *routingScene) compare(t *testing.T) {
	var ours, theirs *routingLog
	t.Run("run", func(t *testing.T) {
		t.Run("Postfix", func(t *testing.T) { t.Parallel(); theirs = scene.byPostfix(t) })
		t.Run("aliasmx", func(t *testing.T) { t.Parallel(); ours = scene.byUs(t) })
	})
	if ours == nil || theirs == nil {
		return // and it was said why
	}
	for _, l := range scene.letters {
		got, want := ours.byRcpt[l.to], theirs.byRcpt[l.to]
		if l.ours != "" {
			if slices.Equal(got, want) {
				t.Errorf("%s: no longer different from Postfix", l.to)
			}
			want = []string{l.ours}
		} else if got, want := ours.from[l.to], theirs.from[l.to]; got != want {
			t.Errorf("%s: came from %q, want %q", l.to, got, want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", l.to, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
	compareLines(t, ours.hosts, theirs.hosts)
}

// compareLines compares what was logged of hosts, but for what Postfix alone says.
func compareLines(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("only ours: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) && !routedByPostfixOnly.MatchString(line) {
			t.Errorf("only Postfix's: %s", line)
		}
	}
}
