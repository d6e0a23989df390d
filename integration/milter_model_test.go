package integration

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// A milterCase is a scripted milter (or two), a client's dialogue, and what comes of them:
// replies, log lines about milters, what the milters were told, and the messages that went
// on. What Postfix does with them is recorded in testdata/milters.
type milterCase struct {
	name string
	cf   string             // lines of main.cf, beside those that all have
	m    peers.MilterScript // of the first milter, {m1}
	m2   peers.MilterScript // of the second one, {m2}, which is asked only where cf names it
	send []string           // of the client: commands; what begins with ~ is content
	args []string           // instead: of the sendmail command, with send[0] as its input
}

// milterResult is what came of a case.
type milterResult struct {
	Replies  []string   `json:"replies"`
	Log      []string   `json:"log"`
	Milter1  []string   `json:"milter1"`
	Milter2  []string   `json:"milter2,omitempty"`
	Messages []milterIn `json:"messages"`
	Held     int        `json:"held"`
}

// milterIn is a message that came to the next hop.
type milterIn struct {
	From  string   `json:"from"`
	Rcpts []string `json:"rcpts"`
	Data  []string `json:"data"` // lines
}

const milterLetter = "~Received: from far.example\r\n\tby near.example; Mon, 1 Jan 2024 00:00:00 +0000\r\n" +
	"From: Sender <sender@client.example>\r\nTo: info@alias.example\r\nSubject:  two  spaces\r\n" +
	"X-Twice: one\r\nX-Twice:two\r\nMessage-ID: <1@client.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n" +
	"\r\nbody one\r\n..dot\r\n\r\nlast line\r\n"

// usual is the dialogue that most cases have.
var usual = []string{"EHLO client.example", "MAIL FROM:<sender@client.example>", "RCPT TO:<info@alias.example>", "DATA", milterLetter, "QUIT"}

// milterHouse is a mail system with the two milters of its cases and a next hop.
type milterHouse struct {
	s      subject
	m1, m2 *peers.Milter
	sink   *peers.Sink
	names  *strings.Replacer // what is different each time, in the log
	mark   int               // of the log
	seen   int               // messages
	keeps  int               // messages on hold
}

func milterSettings(t testing.TB, sink *peers.Sink, cf, m1, m2 string) map[string]string {
	main := base(sink)
	delete(main, "local_transport")
	for name, value := range map[string]string{
		"virtual_alias_maps": "inline:{ info@alias.example=target@dest.example, {team@alias.example=one@dest.example two@dest.example}, new@alias.example=new@dest.example }",
		"smtpd_milters":      "{m1}", "milter_macro_v": "TEST 1", "compatibility_level": "3.6", "inet_protocols": "ipv4",
		"milter_command_timeout": "5s", "milter_connect_timeout": "5s", "milter_content_timeout": "5s",
		"alias_maps": "", "smtp_tls_security_level": "none", "authorized_submit_users": "static:all",
	} {
		main[name] = value
	}
	closed := freeAddr(t)
	certificate := ""
	if strings.Contains(cf, "{certificate}") {
		certificate = certificateFile(t)
	}
	for line := range strings.SplitSeq(cf, "\n") {
		if name, value, ok := strings.Cut(line, " = "); ok {
			main[name] = value
		}
	}
	for name, value := range main {
		main[name] = strings.NewReplacer("{m1}", "inet:"+m1, "{m2}", "unix:"+m2, "{away}", "inet:"+closed, "{certificate}", certificate).Replace(value)
	}
	return main
}

// certificateFile is a key with a certificate.
func certificateFile(t testing.TB) string {
	t.Helper()
	config, err := peers.SelfSigned("mx.alias.example")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]})...)
	file := filepath.Join(t.TempDir(), "chain.pem")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// newMilterHouse starts a mail system of ours or, with postfix, Debian's.
func newMilterHouse(t testing.TB, cf string, number int, postfix bool) *milterHouse {
	t.Helper()
	h := &milterHouse{sink: newSink(t)}
	dir, err := os.MkdirTemp("/var/tmp", "milters")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	h.m1, h.m2 = newMilter(t, "tcp", "127.0.0.1:0"), newMilter(t, "unix", filepath.Join(dir, "m2"))
	main := milterSettings(t, h.sink, cf, h.m1.Addr, h.m2.Addr)
	var relative string
	if strings.Contains(cf, "unix:relative") {
		relative = "relative"
	}
	if postfix {
		p := newRecorder(t, main, caseAddr(t, number))
		h.s = p
		h.relative(t, filepath.Join(p.top, "queue"), relative)
		p.start()
	} else {
		r := newRelay(t, main, map[string]string{})
		h.s = r
		h.relative(t, filepath.Join(r.top, "queue"), relative)
		r.start()
	}
	_, port, _ := net.SplitHostPort(h.m1.Addr)
	_, away, _ := strings.Cut(regexp.MustCompile(`inet:127\.0\.0\.1:\d+`).FindString(strings.ReplaceAll(fmt.Sprint(main), "inet:"+h.m1.Addr, "")), "127.0.0.1:")
	_, hop, _ := net.SplitHostPort(h.sink.Addr)
	pairs := []string{"127.0.0.1:" + port, "M1", h.m2.Addr, "M2", "]:" + hop, "]:HOP"}
	if away != "" {
		pairs = append(pairs, "127.0.0.1:"+away, "AWAY")
	}
	h.names = strings.NewReplacer(pairs...)
	for end := time.Now().Add(limit); h.m1.Open()+h.m2.Open() > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	h.mark = len(h.s.log())
	return h
}

// relative puts the second milter into the queue directory.
func (h *milterHouse) relative(t testing.TB, queue, name string) {
	if name == "" {
		return
	}
	h.m2 = newMilter(t, "unix", filepath.Join(queue, name))
}

func newMilter(t testing.TB, network, addr string) *peers.Milter {
	t.Helper()
	m, err := peers.NewMilter(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return m
}

// run plays one case.
func (h *milterHouse) run(t testing.TB, c milterCase) milterResult {
	t.Helper()
	h.m1.Behave(c.m)
	h.m2.Behave(c.m2)
	var out milterResult
	if c.args != nil {
		dir, _ := h.s.places()
		stdin := strings.ReplaceAll(strings.TrimPrefix(c.send[0], "~"), "\r\n", "\n")
		text, code := h.s.runWith(stdin, append([]string{"sendmail", "-C", dir}, c.args...)...)
		if out.Replies = []string{fmt.Sprintf("exit status %d", code)}; code != 0 {
			out.Replies = append(out.Replies, strings.TrimSpace(text))
		}
	} else {
		out.Replies = playClient(t, h.s.address(), c.send)
	}
	log := h.settle(t, out.Replies, c.args != nil)
	for line := range strings.Lines(log) {
		if m := milterLine.FindStringSubmatch(line); m != nil {
			out.Log = append(out.Log, h.neutral(m[1]+": "+strings.TrimSpace(m[2])))
		}
	}
	for i, r := range out.Replies {
		out.Replies[i] = h.neutral(r)
	}
	for _, p := range h.m1.Packets() {
		out.Milter1 = append(out.Milter1, h.neutral(p))
	}
	for _, p := range h.m2.Packets() {
		out.Milter2 = append(out.Milter2, h.neutral(p))
	}
	for _, m := range h.sink.Messages()[h.seen:] {
		h.seen++
		out.Messages = append(out.Messages, neutralMessage(m))
	}
	slices.SortFunc(out.Messages, func(a, b milterIn) int {
		return strings.Compare(a.From+strings.Join(a.Rcpts, " "), b.From+strings.Join(b.Rcpts, " "))
	})
	if strings.Contains(strings.ToLower(log), "hold: ") {
		out.Held = h.held(t) - h.keeps
		h.keeps += out.Held
	}
	return out
}

// held is how many messages are on hold.
func (h *milterHouse) held(t testing.TB) int {
	dir, _ := h.s.places()
	out, code := h.s.run("postqueue", "-c", dir, "-p")
	if code != 0 {
		t.Fatalf("postqueue: exit status %d\n%s", code, out)
	}
	return len(heldEntry.FindAllString(out, -1))
}

// goesNowhere: some message in the log is held, dropped or refused, and never removed.
var goesNowhere = regexp.MustCompile(`(?:hold|discard|milter-reject): |removed all recipients`)

var heldEntry = regexp.MustCompile(`(?m)^[0-9A-Za-z]+!`)

var (
	milterLine = regexp.MustCompile(`postfix/(smtpd|cleanup|pickup)\[\d+\]: (.*(?:milter|Milter|ESMTP param|filter resp|left-over|Received: |ESMTP arg|reject: |size limit).*)`)
	queuedAs   = regexp.MustCompile(`queued as (\w+)`)
	shownID    = regexp.MustCompile(`(queued as |\bi\||^(?:smtpd|cleanup|pickup): (?:warning: )?)(?:[0-9A-F]{8,12}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{12,15})(:|\||$)`)
	ownStamp   = regexp.MustCompile(`\b\d{14}\.\w+|\w{3}, [ \d]\d \w{3} \d{4} [\d:]{8} \+0000 \(UTC\)`)
	portMacro  = regexp.MustCompile(`(C \S+ [46]) \d+ `)
)

// neutral replaces what is different each time.
func (h *milterHouse) neutral(s string) string {
	s = shownID.ReplaceAllString(h.names.Replace(s), "${1}ID$2")
	s = ownStamp.ReplaceAllString(s, "STAMP")
	s = portMacro.ReplaceAllString(s, "$1 PORT ")
	return regexp.MustCompile(`\{(client|daemon)_port\}\|\d+\|`).ReplaceAllString(s, "{${1}_port}|PORT|")
}

var received = regexp.MustCompile(`(?m)^Received: (?:from [^\n]*\n\tby mx|by mx)[^\n]*\n(?:[ \t][^\n]*\n)*`)

func neutralMessage(m peers.Message) milterIn {
	drop := regexp.MustCompile(` (?:SIZE=\d+|BODY=\S+)`)
	in := milterIn{From: drop.ReplaceAllString(m.From, "")}
	for _, r := range m.Rcpts {
		in.Rcpts = append(in.Rcpts, r)
	}
	slices.Sort(in.Rcpts)
	text := received.ReplaceAllString(strings.ReplaceAll(m.Data, "\r\n", "\n"), "Received: OURS\n")
	text = ownStamp.ReplaceAllString(text, "STAMP")
	in.Data = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return in
}

// settle waits until the message is where it stays, and returns what the log has new.
func (h *milterHouse) settle(t testing.TB, replies []string, submitted bool) string {
	t.Helper()
	end, quiet, last := time.Now().Add(limit), time.Now(), ""
	for {
		log := h.s.log()[h.mark:]
		if log != last {
			last, quiet = log, time.Now()
		}
		ended := strings.Count(log, "]: disconnect from ")
		done := ended > 0 && strings.Count(log, "]: connect from ") == ended
		for _, r := range replies {
			if m := queuedAs.FindStringSubmatch(r); m != nil {
				done = done && strings.Contains(log, m[1]+": removed")
			}
		}
		if submitted { // nobody says what became of it
			done = time.Since(quiet) > 1500*time.Millisecond
		}
		if goesNowhere.MatchString(log) && time.Since(quiet) > 500*time.Millisecond {
			done = true
		}
		if done && h.m1.Open() == 0 && h.m2.Open() == 0 {
			h.mark = len(h.s.log())
			return h.s.log()[h.mark-len(log):][:len(log)]
		}
		if time.Now().After(end) {
			t.Fatalf("not settled; the log:\n%s", log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// playClient plays a client's part and returns the replies.
func playClient(t testing.TB, addr string, send []string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	r := bufio.NewReader(conn)
	var replies []string
	reply := func() string {
		var lines []string
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return strings.Join(append(lines, "(closed)"), "\n")
			}
			line = strings.TrimRight(line, "\r\n")
			if lines = append(lines, line); len(line) < 4 || line[3] != '-' {
				return strings.Join(lines, "\n")
			}
		}
	}
	last := reply()
	replies = append(replies, last)
	for _, s := range send {
		if strings.Contains(last, "(closed)") {
			break
		}
		if content, ok := strings.CutPrefix(s, "~"); ok {
			if !strings.HasPrefix(last, "354") {
				continue
			}
			s = content + "."
		}
		if strings.HasPrefix(s, "BDAT ") {
			fmt.Fprint(conn, s)
		} else {
			fmt.Fprint(conn, s+"\r\n")
		}
		last = reply()
		replies = append(replies, last)
		if s == "STARTTLS" && strings.HasPrefix(last, "220") {
			// A cipher that both systems have, by the same name.
			secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
				CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
			if err := secured.Handshake(); err != nil {
				return append(replies, err.Error())
			}
			conn = secured
			r.Reset(conn)
		}
	}
	return replies
}

func milterFile(name string) string { return filepath.Join("testdata/milters", name+".json") }

func loadMilterResult(t testing.TB, name string) milterResult {
	t.Helper()
	var want milterResult
	b, err := os.ReadFile(milterFile(name))
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatalf("%v; record it with MILTER_RECORD='^%s$' go test ./integration -run TestMiltersBesidePostfix", err, name)
	}
	return want
}

func saveMilterResult(t testing.TB, name string, r milterResult) {
	t.Helper()
	f, err := os.Create(milterFile(name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(r); err != nil {
		t.Fatal(err)
	}
}
