package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// filter is an after-queue content filter (FILTER_README): it takes mail by SMTP, puts a
// field on top, and hands the mail back to a second listener.
type filter struct {
	*peers.Sink
	back   string
	passed int // handed back
}

// pump hands back what has come, until there are n messages or the time is over.
func (f *filter) pump(t *testing.T, n int) {
	t.Helper()
	if !f.Wait(n, limit) {
		t.Errorf("the filter has got %d messages of %d", f.Count(), n)
	}
	for _, m := range f.Messages()[f.passed:] {
		f.passed++
		f.reinject(t, m)
	}
}

func (f *filter) reinject(t *testing.T, m peers.Message) {
	t.Helper()
	conn, err := net.Dial("tcp", f.back)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	r := bufio.NewReader(conn)
	say := func(text string) {
		t.Helper()
		fmt.Fprintf(conn, "%s\r\n", text)
		for {
			line, err := r.ReadString('\n')
			if err != nil || len(line) < 4 || line[0] > '3' {
				t.Fatalf("handing back: %.60q: %q, %v", text, line, err)
			}
			if line[3] != '-' {
				return
			}
		}
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	say("EHLO filter.example")
	address := func(s string) string { a, _, _ := strings.Cut(s, " "); return a }
	say("MAIL FROM:" + address(m.From))
	for _, rcpt := range m.Rcpts {
		say("RCPT TO:" + address(rcpt))
	}
	say("DATA")
	say("X-Scanned: yes\r\n" + strings.ReplaceAll(m.Data, "\r\n.", "\r\n..") + ".")
	say("QUIT")
}

// filtered is a relay whose mail goes through a filter: the listener that strangers use,
// and the one that the filter hands its mail back to.
func filtered(t *testing.T, front, back string, main map[string]string) (*relay, *filter, *peers.Sink) {
	t.Helper()
	sink := newSink(t)
	f := &filter{Sink: newSink(t), back: freeAddr(t)}
	_, port, _ := net.SplitHostPort(f.Addr)
	cf := base(sink)
	cf["mynetworks"] = "127.0.0.0/8"
	for name, value := range main {
		cf[name] = value
	}
	r := newRelay(t, cf, nil)
	r.write("checks", "/^Subject: no$/ REJECT not here\n/^X-Seen/ WARN\n")
	r.write("master.cf", fmt.Sprintf("%s inet n - n - - smtpd\n  -o content_filter=scan:[127.0.0.1]:%s\n%s%s inet n - n - 10 smtpd\n  -o content_filter=\n%sscan unix - - n - 10 smtp\n",
		r.smtp, port, front, f.back, back))
	r.start()
	return r, f, sink
}

// The way of FILTER_README: addresses are mapped before the filter, and nothing is asked
// again behind it.
func TestContentFilter(t *testing.T) {
	r, f, sink := filtered(t, "", "  -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_address_mappings\n",
		map[string]string{"header_checks": "regexp:{dir}/checks", "always_bcc": "copy@dest.example"})
	if out, code := swaks(t, r, "--to", "team@alias.example,info@alias.example", "--header", "X-Seen: once", "--body", ".dot\n"); code != 0 {
		t.Fatalf("swaks: %s", out)
	}
	f.pump(t, 1)
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived\n%s", r.log())
	}
	r.waitEmpty()
	if n := sink.Count(); n != 1 {
		t.Errorf("%d messages behind the filter: it was asked again", n)
	}
	m := sink.Messages()[0]
	if got, want := addresses(m), "copy@dest.example one@dest.example target@dest.example three@dest.example two@other.example"; !sameWords(got, want) {
		t.Errorf("recipients %s, want %s", got, want)
	}
	mustMatch(t, "message", m.Data, `(?s)^Received: .*\r\nX-Scanned: yes\r\nReceived: .*\r\n\.dot\r\n`)
	r.waitLog(`relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*status=sent`)
	if n := strings.Count(r.log(), ": warning: header X-Seen: once from"); n != 1 {
		t.Errorf("the header was checked %d times\n%s", n, r.log())
	}
	if out, code := swaks(t, r, "--to", "info@alias.example", "--header", "Subject: no"); code == 0 || !strings.Contains(out, "550 5.7.1 not here") {
		t.Errorf("swaks: exit status %d\n%s", code, out)
	}
}

// Addresses are mapped behind the filter: it sees what the client named, and who is not
// there is refused in front of it all the same.
func TestContentFilterBeforeMappings(t *testing.T) {
	r, f, sink := filtered(t, "  -o receive_override_options=no_address_mappings\n",
		"  -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters\n", map[string]string{"sender_bcc_maps": "static:copy@dest.example"})
	if out, code := swaks(t, r, "--to", "nobody@alias.example"); code == 0 || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("swaks: exit status %d\n%s", code, out)
	}
	if out, code := swaks(t, r, "--to", "team@alias.example"); code != 0 {
		t.Fatalf("swaks: %s", out)
	}
	f.pump(t, 1)
	if got := addresses(f.Messages()[0]); got != "team@alias.example" {
		t.Errorf("the filter gets %s", got)
	}
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived\n%s", r.log())
	}
	if got := addresses(sink.Messages()[0]); !sameWords(got, "copy@dest.example one@dest.example two@other.example three@dest.example") {
		t.Errorf("recipients %s", got)
	}
}

// What waits for the filter goes there again when it is requeued, and never around it.
func TestRequeueGoesThroughTheFilter(t *testing.T) {
	sink, f := newSink(t), newSink(t)
	_, port, _ := net.SplitHostPort(f.Addr)
	cf := base(sink)
	cf["content_filter"] = "smtp:[127.0.0.1]:" + port
	f.Behave(peers.Script{Mail: map[string]string{"*": "450 4.3.2 not now"}})
	r := newRelay(t, cf, nil)
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: %s", out)
	}
	r.waitLog(`status=deferred \(host .* said: 450 4\.3\.2 not now`)
	f.Behave(peers.Script{})
	r.mustRun("postsuper", "-c", r.dir, "-r", "ALL")
	if !f.Wait(1, limit) {
		t.Fatalf("the filter gets nothing\n%s", r.log())
	}
	r.waitEmpty()
	if n := sink.Count(); n != 0 {
		t.Errorf("%d messages went around the filter", n)
	}
}

// sendmail -bs is local submission: what is refused goes back to its sender.
func TestChecksOfLocalSMTP(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["body_checks"] = "regexp:{dir}/checks"
	r := newRelay(t, cf, nil)
	r.write("checks", "/pills/ REJECT no pills\n")
	r.start()
	out, code := r.runWith("EHLO x\r\nMAIL FROM:<me@client.example>\r\nRCPT TO:<info@alias.example>\r\nDATA\r\nSubject: x\r\n\r\nbuy pills\r\n.\r\nQUIT\r\n", "sendmail", "-C", r.dir, "-bs")
	if code != 0 || !strings.Contains(out, "250 2.0.0 Ok: queued as ") {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	if !sink.Wait(1, limit) {
		t.Fatalf("no report\n%s", r.log())
	}
	m := sink.Messages()[0]
	if !strings.HasPrefix(m.From, "<>") || addresses(m) != "me@client.example" || strings.Contains(m.Data, "buy pills") {
		t.Errorf("%v", m)
	}
	mustMatch(t, "report", m.Data, `(?s)Status: 5\.7\.1.*no pills`)
	r.waitLog(`reject: body buy pills from local; from=<me@client\.example> to=<info@alias\.example>: 5\.7\.1 no pills`)
}

// Each listener has the checks of the cleanup service that it names.
func TestChecksOfAnotherCleanup(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["header_checks"] = "regexp:{dir}/checks"
	r := newRelay(t, cf, nil)
	other := freeAddr(t)
	r.write("checks", "/^Subject: no/ REJECT\n")
	r.write("hide", "/^Received: from/ IGNORE\n")
	r.write("master.cf", fmt.Sprintf("%s inet n - n - - smtpd\n%s inet n - n - - smtpd -o cleanup_service_name=hiding\nhiding unix n - n - 0 cleanup -o header_checks=regexp:%s/hide\n",
		r.smtp, other, r.dir))
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example", "--header", "Subject: no"); code == 0 {
		t.Errorf("swaks: %s", out)
	}
	front := r.smtp
	r.smtp = other
	if out, code := swaks(t, r, "--to", "info@alias.example", "--header", "Subject: no"); code != 0 {
		t.Errorf("swaks: %s", out)
	}
	r.smtp = front
	if !sink.Wait(1, limit) || strings.Contains(sink.Messages()[0].Data, "Received:") {
		t.Errorf("arrived: %v", sink.Messages())
	}
}

// A table that cannot be used stops the start, and leaves what runs as it is.
func TestChecksThatCannotWork(t *testing.T) {
	sink := newSink(t)
	for _, c := range []struct{ name, main, master, checks, message string }{
		{"missing", "header_checks = regexp:{dir}/absent", "", "", `header_checks \(main\.cf, line \d+\): .*absent`},
		{"broken pattern", "body_checks = regexp:{dir}/checks", "", "/fine/ OK\n/(/ REJECT\n", `body_checks \(main\.cf, line \d+\): regexp map .*/checks, line 2: Unmatched`},
		{"broken pcre", "nested_header_checks = pcre:{dir}/checks", "", "/(?<a/ REJECT\n", `nested_header_checks \(main\.cf, line \d+\): pcre map .*/checks, line 1: error in regex`},
		{"no result", "header_checks = regexp:{dir}/checks", "", "/x/\n", `header_checks \(main\.cf, line \d+\): regexp map .*/checks, line 1: no replacement text.*; correct it`},
		{"of another cleanup", "", " -o cleanup_service_name=sub\nsub unix n - n - 0 cleanup -o header_checks=regexp:{dir}/absent\n", "", `header_checks \(master\.cf, line 2\): .*absent`},
		{"no such cleanup", "cleanup_service_name = sub", "", "", `main\.cf, line \d+: no service "sub" runs cleanup; add it to master\.cf`},
		{"filter that is not there", "content_filter = scan:[127.0.0.1]:10025", "", "", `content_filter \(main\.cf, line \d+\): there is no transport "scan"`},
		{"filter by a program", "content_filter = scan:", "\nscan unix - n n - - pipe argv=/bin/cat\n", "", `content_filter \(main\.cf, line \d+\): there is no transport "scan"`},
		{"override that is none", "receive_override_options = no_checks", "", "", `main\.cf, line \d+: receive_override_options: .*no_checks`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cf := base(sink)
			r := newRelay(t, cf, nil)
			r.start()
			r.write("checks", c.checks)
			if name, value, ok := strings.Cut(c.main, " = "); ok {
				cf[name] = value
			}
			r.configure(cf)
			master, _ := os.ReadFile(filepath.Join(r.dir, "master.cf"))
			r.write("master.cf", strings.TrimSpace(string(master))+strings.ReplaceAll(c.master, "{dir}", r.dir)+"\n")
			out, code := r.run("check", "-c", r.dir)
			if code != 78 {
				t.Errorf("check: exit status %d", code)
			}
			mustMatch(t, "check", out, c.message)
			if out, code := r.run("reload", "-c", r.dir); code == 0 {
				t.Errorf("reload: %s", out)
			}
			if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
				t.Errorf("after the reload: %s", out)
			}
		})
	}
}

// A reload takes new rules.
func TestReloadOfChecks(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["header_checks"] = "regexp:{dir}/checks"
	r := newRelay(t, cf, nil)
	r.write("checks", "/^X-Nothing/ REJECT\n")
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: %s", out)
	}
	r.write("checks", "/^Subject: test/ REJECT from now on\n")
	r.mustRun("reload", "-c", r.dir)
	if out, code := swaks(t, r, "--to", "info@alias.example"); code == 0 || !strings.Contains(out, "550 5.7.1 from now on") {
		t.Errorf("swaks: exit status %d\n%s", code, out)
	}
}

// addresses are the recipients of a message.
func addresses(m peers.Message) string {
	var list []string
	for _, rcpt := range m.Rcpts {
		a, _, _ := strings.Cut(rcpt, " ")
		list = append(list, strings.Trim(a, "<>"))
	}
	return strings.Join(list, " ")
}

func sameWords(a, b string) bool {
	seen := make(map[string]int)
	for _, w := range strings.Fields(a) {
		seen[w]++
	}
	for _, w := range strings.Fields(b) {
		seen[w]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}
