package integration

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// The world of the tests of "no laundering" (docs/laundering.md). Clients: 127.0.0.1 is
// evil.example's, 127.0.0.5 may send for the domains that are ours, 127.0.0.9 is in mynetworks.
// We send from 127.0.0.2, which the SPF of our own domains and of included.example lists, as
// that of domains whose mail a relay carries does.
const (
	evilIP, goodIP, trustedIP, ourIP = "127.0.0.1", "127.0.0.5", "127.0.0.9", "127.0.0.2"

	launderZone = `
evil.example. TXT "v=spf1 ip4:127.0.0.1 -all"
_dmarc.evil.example. TXT "v=DMARC1; p=none"
soft.example. TXT "v=spf1 ip4:127.0.0.5 ~all"
alias.example. TXT "v=spf1 ip4:127.0.0.5 ip4:127.0.0.2 ~all"
_dmarc.alias.example. TXT "v=DMARC1; p=none"
srs.alias.example. TXT "v=spf1 ip4:127.0.0.2 -all"
mx.alias.example. TXT "v=spf1 ip4:127.0.0.2 -all"
other.example. TXT "v=spf1 ip4:127.0.0.2 ip4:127.0.0.5 -all"
corp.example. TXT "v=spf1 ip4:127.0.0.2 ip4:127.0.0.5 -all"
mail.corp.example. TXT "v=spf1 ip4:127.0.0.2 ip4:127.0.0.5 -all"
srs.corp.example. TXT "v=spf1 ip4:127.0.0.2 -all"
_dmarc.corp.example. TXT "v=DMARC1; p=none"
parent.example. TXT "v=spf1 ip4:127.0.0.2 -all"
mail.parent.example. TXT "v=spf1 ip4:127.0.0.5 -all"
_dmarc.parent.example. TXT "v=DMARC1; p=none"
srs.example. TXT "v=spf1 ip4:127.0.0.2 -all"
_dmarc.srs.example. TXT "v=DMARC1; p=reject"
included.example. TXT "v=spf1 ip4:127.0.0.5 ip4:127.0.0.2 ~all"
_dmarc.included.example. TXT "v=DMARC1; p=none"
gone.example. TXT "v=spf1 ip4:127.0.0.5 -all"
xn--grn-ioa.example. TXT "v=spf1 ip4:127.0.0.5 ip4:127.0.0.2 -all"
`
)

// The test's own list of organisations: all domains here are two labels and what is below.
func launderOrg(domain string) string {
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(domain, ".")), ".")
	return strings.Join(labels[max(len(labels)-2, 0):], ".")
}

// launderWorld has the names, and who judges what a destination sees.
type launderWorld struct {
	t    testing.TB
	dns  *peers.DNS
	keys map[string]string // file by domain; the selector is s

	found map[string][]string // what was asked before

	mu  sync.Mutex // guards the judge: one question at a time
	in  io.Writer
	out *bufio.Reader
}

// launderSigners have keys in the DNS, whoever holds them.
var launderSigners = []string{"evil.example", "alias.example", "corp.example", "mail.corp.example", "srs.corp.example", "srs.alias.example",
	"parent.example", "mail.parent.example", "srs.example", "included.example", "gone.example", "ours.example"}

func newLaunderWorld(t testing.TB) *launderWorld {
	t.Helper()
	w := &launderWorld{t: t, keys: map[string]string{}, found: map[string][]string{}}
	dir, zone := t.TempDir(), launderZone
	for _, domain := range launderSigners {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		w.keys[domain] = filepath.Join(dir, domain+".pem")
		writePrivateKey(t, w.keys[domain], key, 0o600)
		text := publicRecord(t, key)
		zone += fmt.Sprintf("s._domainkey.%s. TXT %q %q\n", domain, text[:200], text[200:])
	}
	var err error
	if w.dns, err = peers.NewDNS(zone); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.dns.Close)
	w.dns.Fail("broken.example", true)
	w.dns.Fail("s._domainkey.gone.example", true)
	_, port, _ := net.SplitHostPort(w.dns.Addr)
	cmd := exec.Command("/usr/bin/python3", "testdata/launder/view.py", port)
	stderr := new(lockedBuffer)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		var out io.Reader
		out, err = cmd.StdoutPipe()
		w.in, w.out = in, bufio.NewReader(out)
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("python3: %v; integration/test installs what the tests need", err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
		if t.Failed() && stderr.String() != "" {
			t.Log(stderr.String())
		}
	})
	return w
}

func (w *launderWorld) ask(question map[string]any, answer any) {
	w.t.Helper()
	line, err := json.Marshal(question)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in.Write(append(line, '\n'))
	said, err := w.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(said, answer)
	}
	if err != nil {
		w.t.Fatalf("python3-spf, python3-dkim and python3-dnspython are needed (integration/test): %v %s", err, said)
	}
}

// signed puts a signature on top of a message, by dkimpy; length adds l=.
func (w *launderWorld) signed(domain, message string, length bool, headers ...string) string {
	w.t.Helper()
	var answer struct{ Field []byte }
	w.ask(map[string]any{"message": []byte(message), "sign": map[string]any{
		"domain": domain, "key": w.keys[domain], "headers": append([]string{"from"}, headers...), "length": length,
	}}, &answer)
	return string(answer.Field) + message
}

// passes are the organisations that SPF or DKIM passes for, to whoever gets a message.
func (w *launderWorld) passes(ip, helo, from, message string) []string {
	w.t.Helper()
	key := strings.Join([]string{ip, helo, from, message}, "\x00")
	if orgs, known := w.found[key]; known {
		return orgs
	}
	var answer struct {
		SPF  string
		DKIM []string
	}
	w.ask(map[string]any{"ip": ip, "helo": helo, "from": from, "message": []byte(message)}, &answer)
	orgs := map[string]bool{}
	if answer.SPF == "pass" {
		domain := helo
		if i := strings.LastIndexByte(from, '@'); i >= 0 {
			domain = from[i+1:]
		}
		orgs[launderOrg(domain)] = true
	}
	for _, d := range answer.DKIM {
		orgs[launderOrg(d)] = true
	}
	w.found[key] = slices.Sorted(maps.Keys(orgs))
	return w.found[key]
}

// launderMail is a message that somebody sends, and how.
type launderMail struct {
	name           string
	ip, helo, from string
	to             string   // "": info@alias.example
	authors        []string // domains that any reader may take for the author's
	message        string
	chunked        bool     // BDAT
	before         []string // commands after EHLO
	mustLeave      bool     // it has to arrive
	keeps          bool     // with the proof that it came with
	reply          string
}

// send sends it and keeps the last reply.
func (m *launderMail) send(t testing.TB, addr string) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(m.ip)}, Timeout: limit}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	r := bufio.NewReader(c)
	read := func() string {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return "no reply: " + err.Error()
			}
			if len(line) > 3 && line[3] == ' ' {
				return strings.TrimRight(line, "\r\n")
			}
		}
	}
	read()
	to := m.to
	if to == "" {
		to = "info@alias.example"
	}
	commands := append([]string{"EHLO " + m.helo}, m.before...)
	for _, line := range append(commands, "MAIL FROM:<"+m.from+">", "RCPT TO:<"+to+">") {
		fmt.Fprintf(c, "%s\r\n", line)
		if m.reply = read(); m.reply[0] != '2' {
			return
		}
		if strings.HasPrefix(line, "XCLIENT") { // begins anew
			fmt.Fprintf(c, "EHLO %s\r\n", m.helo)
			read()
		}
	}
	if m.chunked {
		half := len(m.message) / 2
		fmt.Fprintf(c, "BDAT %d\r\n%s", half, m.message[:half])
		if m.reply = read(); m.reply[0] == '2' {
			fmt.Fprintf(c, "BDAT %d LAST\r\n%s", len(m.message)-half, m.message[half:])
			m.reply = read()
		}
		return
	}
	fmt.Fprint(c, "DATA\r\n")
	if m.reply = read(); m.reply[0] == '3' {
		io.WriteString(c, strings.ReplaceAll("\r\n"+m.message, "\r\n.", "\r\n..")[2:]+".\r\n")
		m.reply = read()
	}
}

// launderCase is what a message says its number is: the sink sees many at a time.
var launderCase = regexp.MustCompile(`(?m)^X-Case: (\d+)\r$`)

// launderRelay is a relay of the world: hosted are alias.example, and further domains.
type launderRelay struct {
	*relay
	w    *launderWorld
	sink *peers.Sink
	seen int
	helo string // what it says
}

func (w *launderWorld) base(sink *peers.Sink, hosted ...string) map[string]string {
	cf := srsBase(sink)
	cf["virtual_alias_domains"] = "alias.example xn--grn-ioa.example " + strings.Join(hosted, " ")
	cf["dns_servers"], cf["mailauth_enable"] = w.dns.Addr, "yes"
	cf["smtp_bind_address"] = ourIP
	cf["local_header_rewrite_clients"] = ""
	cf["smtpd_client_connection_count_limit"] = "0"
	cf["mynetworks"] = trustedIP + "/32"
	cf["virtual_alias_maps"] = "inline:{ {info@alias.example = target@dest.example}, {postmaster@srs.example = target@dest.example} }"
	return cf
}

func (w *launderWorld) relay(t *testing.T, sink *peers.Sink, cf map[string]string) *launderRelay {
	t.Helper()
	return &launderRelay{relay: newSRSRelay(t, cf), w: w, sink: sink, helo: "mx.alias.example"}
}

// all sends messages, some at a time, and returns the copies of those that were taken, by
// their place. Every copy is proven not to be laundered.
func (r *launderRelay) all(list []*launderMail) map[int]peers.Message {
	r.t.Helper()
	var wg sync.WaitGroup
	next := make(chan *launderMail)
	for range 6 {
		wg.Go(func() {
			for m := range next {
				m.send(r.t, r.smtp)
			}
		})
	}
	taken := 0
	for i, m := range list {
		// Below the header's other fields: nothing that is signed is above.
		m.message = strings.Replace(m.message, "\r\nX-Case: 0\r\n", fmt.Sprintf("\r\nX-Case: %d\r\n", i+1), 1)
		next <- m
	}
	close(next)
	wg.Wait()
	for _, m := range list {
		switch {
		case strings.HasPrefix(m.reply, "2"):
			taken++
		case !strings.HasPrefix(m.reply, "5") && !strings.HasPrefix(m.reply, "4"):
			r.t.Fatalf("%s: %s\n%s", m.name, m.reply, r.log())
		case m.mustLeave:
			r.t.Errorf("%s: %s", m.name, m.reply)
		}
	}
	if !r.sink.Wait(r.seen+taken, limit) {
		r.t.Fatalf("%d of %d messages arrive\n%s", r.sink.Count()-r.seen, taken, r.log())
	}
	copies := map[int]peers.Message{}
	for _, m := range r.sink.Messages()[r.seen:] {
		found := launderCase.FindStringSubmatch(m.Data)
		if found == nil {
			r.t.Fatalf("not a copy of anything:\n%s", m.Data)
		}
		var n int
		fmt.Sscan(found[1], &n)
		copies[n-1] = m
		r.prove(list[n-1], m)
	}
	r.seen += taken
	return copies
}

// prove evaluates the rule, as a destination that is none of ours does.
func (r *launderRelay) prove(m *launderMail, leaves peers.Message) {
	r.t.Helper()
	ip, _, _ := net.SplitHostPort(leaves.Client)
	if ip == "" {
		ip = leaves.Client
	}
	if ip != ourIP {
		r.t.Fatalf("it leaves from %s", leaves.Client)
	}
	from := strings.Trim(strings.Fields(leaves.From)[0], "<>")
	after := r.w.passes(ip, r.helo, from, leaves.Data)
	before := r.w.passes(m.ip, m.helo, m.from, m.message)
	proven := false
	for _, author := range m.authors {
		org := launderOrg(author)
		if !slices.Contains(after, org) {
			continue
		}
		if proven = slices.Contains(before, org); !proven && m.ip != trustedIP {
			r.t.Errorf("laundered: %s: %s had no pass, and leaves with one (from %s, %q)\n%s\n%s", m.name, author, leaves.From, after, leaves.Data, r.log())
		}
	}
	if m.keeps && !proven {
		r.t.Errorf("%s: its own proof is lost: %q leaves with %q\n%s", m.name, m.authors, after, leaves.Data)
	}
}
