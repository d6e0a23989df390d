package integration

import (
	"net"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// sendmail -bs: its mail is none of SMTP clients, and non_smtpd_milters see it as if it had
// come by the sendmail command. What they say the user hears at once.
func TestMiltersOfLocalSMTP(t *testing.T) {
	sink := newSink(t)
	m := newMilter(t, "tcp", "127.0.0.1:0")
	cf := base(sink)
	cf["smtpd_milters"], cf["non_smtpd_milters"] = "inet:"+freeAddr(t), "inet:"+m.Addr
	r := newRelay(t, cf, nil)
	r.start()
	m.Behave(atEnd(`i<0>X-Top\0top\0`, `m<1>Subject\0other\0`, `+<more@dest.example>\0`))
	const dialogue = "EHLO local.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<info@alias.example>\r\nDATA\r\nSubject: bs\r\n\r\nx\r\n.\r\nQUIT\r\n"
	out, code := r.runWith(dialogue, "sendmail", "-C", r.dir, "-bs")
	if code != 0 || !strings.Contains(out, "250 2.0.0 Ok: queued as ") || !sink.Wait(1, limit) {
		t.Fatalf("exit status %d\n%s\n%s", code, out, r.log())
	}
	mustMatch(t, "message", sink.Messages()[0].Data, `(?s)^X-Top: top\r\nReceived: from local\.example.*\r\nSubject: other\r\n.*\r\n\r\nx\r\n$`)
	r.waitLog(`to=<more@dest\.example>.*status=sent`)
	told := strings.Join(m.Packets(), "\n")
	mustMatch(t, "what the milter was told", told, `(?s)C localhost 4 0 127\.0\.0\.1\|.*\nH localhost\|\n.*M a@client\.example\|\n.*R info@alias\.example\|\n.*\nT\n.*L Subject\|bs\|`)

	m.Behave(replies("E", `y550-5.7.1 one\r\n550 5.7.1 two\0`))
	out, _ = r.runWith(dialogue, "sendmail", "-C", r.dir, "-bs")
	mustMatch(t, "conversation", out, `(?m)^550-5\.7\.1 one\r\n550 5\.7\.1 two\r\n221 `)
	r.waitLog(`cleanup\[\d+\]: \w{12}: milter-reject: END-OF-MESSAGE from localhost\[127\.0\.0\.1\]: 5\.7\.1 one\?\?550 5\.7\.1 two; from=<a@client\.example> to=<info@alias\.example>$`)
}

// A configuration of milters that cannot work stops the start.
func TestMilterConfiguration(t *testing.T) {
	for setting, want := range map[string]string{
		"smtpd_milters = localhost:8891":                             `smtpd_milters \(.*main\.cf, line \d+\): invalid transport name: localhost in Milter service: localhost:8891`,
		"non_smtpd_milters = { inet:h:1, timeout=1s }":               `non_smtpd_milters \(.*main\.cf, line \d+\): inet:h:1: unknown attribute name "timeout"`,
		"milter_default_action = drop":                               `milter_default_action.*drop`,
		"milter_protocol = 7\nsmtpd_milters = inet:h:1":              `milter_protocol \(.*main\.cf, line \d+\): bad protocol information: "7"`,
		"milter_macro_defaults = x\nnon_smtpd_milters = inet:h:1":    `milter_macro_defaults \(.*main\.cf, line \d+\): malformed default macro entry`,
		"smtpd_milters = { inet:h:1, connect_timeout=soon }":         `smtpd_milters \(.*\): inet:h:1: connect_timeout: "soon" is no time`,
		"smtpd_milter_maps = hash:/nowhere\nsmtpd_milters = unix:/x": `smtpd_milter_maps \(.*main\.cf, line \d+\): `,
	} {
		cf := base(nil)
		for line := range strings.SplitSeq(setting, "\n") {
			name, value, _ := strings.Cut(line, " = ")
			cf[name] = value
		}
		r := newRelay(t, cf, nil)
		out, code := r.run("check", "-c", r.dir)
		if code != 78 {
			t.Errorf("%s: exit status %d", setting, code)
		}
		mustMatch(t, setting, out, want)
	}
}

// The end of a client that goes away is the end of its milters' sessions, and a milter that
// hangs does not hold the daemon's end.
func TestMiltersGoWithTheClient(t *testing.T) {
	t.Parallel()
	m := newMilter(t, "tcp", "127.0.0.1:0")
	cf := base(nil)
	cf["smtpd_milters"], cf["milter_command_timeout"] = "inet:"+m.Addr, "100s"
	r := newRelay(t, cf, nil)
	r.start()
	m.Behave(peers.MilterScript{})
	conn, err := net.Dial("tcp", r.smtp)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	conn.Read(buf)
	conn.Close()
	r.waitLog(`disconnect from unknown`)
	for end := time.Now().Add(limit); m.Open() > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if got := m.Packets(); got[len(got)-1] != "Q" {
		t.Errorf("the milter was told %q", got)
	}
	m.Behave(replies("M", "none"))
	if conn, err = net.Dial("tcp", r.smtp); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Read(buf)
	conn.Write([]byte("MAIL FROM:<a@client.example>\r\n"))
	for end := time.Now().Add(limit); len(m.Packets()) < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the milter was told %q", m.Packets())
		}
	}
	r.stop() // fails if it takes longer than it may
}
