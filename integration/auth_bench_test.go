package integration

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// What it costs to find out who mail is from, to rewrite its sender, to sign and to seal: the
// whole way of WholeWay, with daemons that differ in their configuration alone. All of them
// run; rounds of letters go to one after the other, in an order that turns, so that what else
// happens on the machine meets each. The letters are those of two hundred domains, made
// before the clock starts.
//
//	go test ./integration -run '^$' -bench Authentication -benchtime 20000x -timeout 30m
//
// A row is a configuration. of-off is its throughput as a part of that with everything off,
// the median of the rounds; cpu-of-off is CPU per message in multiples of it. Of the DNS,
// questions-cold are those for the first message of a domain, questions-warm those for each
// message after that.

const (
	authDomains  = 200
	authRounds   = 10
	authFallback = 2000 // letters for each row, where -benchtime names no number
)

// authCase is a row.
type authCase struct {
	name     string
	kind     letterKind
	settings []map[string]string
	wants    []string // of the first message as it arrives, its reverse-path above it
}

var (
	authVerify = map[string]string{"mailauth_enable": "yes"}
	authSRS    = map[string]string{"srs_domain": "srs.example", "srs_secrets_file": "{dir}/srs.secrets"}
	authNobody = map[string]string{"mailauth_enable": "no"}
	authARC    = map[string]string{"arc_sign_domain": "srs.example", "arc_sign_selector": "arc", "arc_key_file": "{dir}/rsa.pem"}
	authRSA    = map[string]string{"dkim_keys": "inline:{ { srs.example = rsa {dir}/rsa.pem } }", "dkim_sign_forwarded": "yes"}
	authEd     = map[string]string{"dkim_keys": "inline:{ { srs.example = ed {dir}/ed.pem } }", "dkim_sign_forwarded": "yes"}
)

func authCases() []authCase {
	const (
		asItCame = `^<bounces@d0\.example>`
		srs      = `^<SRS0=[^>]*=d0\.example=bounces@srs\.example>`
		passes   = `(?s)\nAuthentication-Results: .*\tdmarc=pass .*\tspf=pass .*\tdkim=pass `
		sealed   = `\nARC-Seal: i=1; a=rsa-sha256; cv=none;\r\n\td=srs\.example;`
	)
	signed := func(a string) string {
		return `\nDKIM-Signature: v=1; a=` + a + `-sha256; c=relaxed/relaxed;\r\n\td=srs\.example;`
	}
	type settings = []map[string]string
	return []authCase{
		{"off", letterRSA, nil, []string{asItCame, `\nReceived: `}},
		{"srs", letterRSA, settings{authSRS, authNobody}, []string{srs}},
		{"verify", letterRSA, settings{authVerify}, []string{asItCame, passes}},
		{"verify-ed25519", letterEd, settings{authVerify}, []string{passes, `header\.a=ed25519-sha256`}},
		{"verify-unsigned", letterUnsigned, settings{authVerify}, []string{`\tdkim=none`}},
		{"verify-sealed", letterSealed, settings{authVerify}, []string{passes, `\tarc=pass `}},
		{"verify+srs", letterRSA, settings{authVerify, authSRS}, []string{srs, passes}},
		{"verify+srs+sign", letterRSA, settings{authVerify, authSRS, authRSA}, []string{srs, passes, signed("rsa")}},
		{"verify+srs+sign-ed25519", letterRSA, settings{authVerify, authSRS, authEd}, []string{srs, passes, signed("ed25519")}},
		{"verify+srs+seal", letterRSA, settings{authVerify, authSRS, authARC}, []string{srs, passes, sealed}},
		{"everything", letterRSA, settings{authVerify, authSRS, authRSA, authARC}, []string{srs, passes, signed("rsa"), sealed}},
	}
}

func BenchmarkAuthentication(b *testing.B) {
	names, letters := newLetters(b)
	var rows []*authRow
	for _, c := range authCases() {
		row := &authRow{authCase: c, names: names, letters: letters[c.kind]}
		row.open(b)
		rows = append(rows, row)
	}
	each := max(lettersWanted()/authRounds, 1)
	for _, row := range rows {
		row.cold = row.round(b, authDomains, 1)
		row.took, row.cpu = nil, 0
	}
	for i := range authRounds {
		for j := range rows {
			row := rows[(i+j)%len(rows)]
			row.warm += row.round(b, each, each) / authRounds
		}
	}
	for _, row := range rows {
		row.look(b, authDomains+authRounds*each)
		b.Run(row.name, func(b *testing.B) { row.report(b, rows[0], each) })
	}
}

// lettersWanted is the number of -benchtime.
func lettersWanted() int {
	number, is := strings.CutSuffix(flag.Lookup("test.benchtime").Value.String(), "x")
	if n, err := strconv.Atoi(number); is && err == nil {
		return n
	}
	return authFallback
}

// authRow is a row under way.
type authRow struct {
	authCase
	names   *benchNames
	letters []benchPost
	relay   *relay
	sink    *peers.CountSink

	sent int
	took []time.Duration // by a round
	cpu  time.Duration   // by all of them
	cold float64
	warm float64
}

// open starts the daemon, once it has been seen to do what its row says.
func (row *authRow) open(b *testing.B) {
	row.sink = countSink(b, nil)
	first := newSink(b)
	cf := base(first)
	cf["smtpd_client_connection_count_limit"], cf["dns_servers"] = "0", row.names.addr
	cf["local_header_rewrite_clients"] = "" // the client is on loopback, but stands for strangers
	for _, s := range row.settings {
		for name, value := range s {
			cf[name] = value
		}
	}
	r := newSRSRelay(b, cf)
	row.relay = r
	writePrivateKey(b, r.dir+"/rsa.pem", row.names.rsa, 0o600)
	writePrivateKey(b, r.dir+"/ed.pem", row.names.ed, 0o600)

	r.start()
	var next atomic.Int64
	if err := postSession(r.smtp, row.letters, &next, 1, 1); err != nil {
		b.Fatalf("%s: %v\n%s", row.name, err, r.log())
	}
	if !first.Wait(1, limit) {
		b.Fatalf("%s: nothing arrives\n%s", row.name, r.log())
	}
	m := first.Messages()[0]
	got, content := m.From+"\n"+m.Data, bytes.TrimSuffix(row.letters[0].content, []byte(".\r\n"))
	for _, want := range row.wants {
		mustMatch(b, row.name, got, want)
	}
	if !strings.HasSuffix(m.Data, string(content)) {
		b.Fatalf("%s: other bytes arrive:\n%s", row.name, m.Data)
	}
	r.stop()

	_, port, _ := net.SplitHostPort(row.sink.Addr)
	cf["relayhost"] = "[127.0.0.1]:" + port
	r.configure(cf)
	r.start() // with an empty cache
}

// round sends letters, perSession of them over one connection, waits until they have arrived,
// and returns the questions to the DNS for each.
func (row *authRow) round(b *testing.B, n, perSession int) float64 {
	var next atomic.Int64
	var all sync.WaitGroup
	pid := row.relay.cmd.Process.Pid
	cpu, asked, began := cpuTime(b, pid), row.names.asked.Load(), time.Now()
	for range benchSessions {
		all.Go(func() {
			for next.Load() < int64(n) {
				if err := postSession(row.relay.smtp, row.letters, &next, n, perSession); err != nil {
					b.Errorf("%s: %v", row.name, err)
					return
				}
			}
		})
	}
	all.Wait()
	row.sent += n
	for end := began.Add(10 * limit); row.sink.Count() < row.sent; time.Sleep(100 * time.Microsecond) {
		if b.Failed() || time.Now().After(end) {
			b.Fatalf("%s: %d of %d arrived\n%s", row.name, row.sink.Count(), row.sent, tail(row.relay.log(), 20))
		}
	}
	row.took = append(row.took, time.Since(began))
	row.cpu += cpuTime(b, pid) - cpu
	return float64(row.names.asked.Load()-asked) / float64(n)
}

// look fails if not all letters were found to be what they are.
func (row *authRow) look(b *testing.B, n int) {
	row.relay.stop()
	if !slices.ContainsFunc(row.wants, func(w string) bool { return strings.Contains(w, "dkim=") }) {
		return
	}
	pattern := ` dmarc=pass \(p=reject\) spf=pass dkim=pass:\S+ arc=(none|pass) action=accept\n`
	if row.kind == letterUnsigned {
		pattern = ` dmarc=pass \(p=reject\) spf=pass dkim=none arc=none action=accept\n`
	}
	// One more was sent before the clock started.
	if found := len(regexp.MustCompile(pattern).FindAllString(row.relay.log(), -1)); found != n+1 {
		b.Errorf("%s: %d of %d letters have passed\n%s", row.name, found, n+1, tail(row.relay.log(), 20))
	}
}

func (row *authRow) report(b *testing.B, off *authRow, each int) {
	var took time.Duration
	ratios := make([]float64, 0, authRounds)
	for i, d := range row.took {
		took += d
		ratios = append(ratios, float64(off.took[i])/float64(d))
	}
	slices.Sort(ratios)
	n := float64(authRounds * each)
	b.ReportMetric(float64(took.Nanoseconds())/n, "ns/op")
	b.ReportMetric(n/took.Seconds(), "msg/s")
	b.ReportMetric(float64(row.cpu.Microseconds())/n, "cpu-µs/msg")
	b.ReportMetric((ratios[(authRounds-1)/2]+ratios[authRounds/2])/2, "of-off")
	b.ReportMetric(float64(row.cpu)/float64(max(off.cpu, clockTick)), "cpu-of-off")
	b.ReportMetric(row.cold, "questions-cold")
	b.ReportMetric(row.warm, "questions-warm")
}

// postSession sends letters over one connection, as leanSession does: the next ones until n
// have been sent by all sessions, but no more than most.
func postSession(addr string, letters []benchPost, next *atomic.Int64, n, most int) error {
	i := int(next.Add(1)) - 1
	if i >= n {
		return nil
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * limit))
	l := &leanTalk{Conn: c}
	if err := l.expect("220"); err != nil {
		return err
	}
	fmt.Fprintf(c, "EHLO %s\r\n", letters[i%len(letters)].helo)
	if err := l.expect("250"); err != nil {
		return err
	}
	for ; ; most-- {
		p := &letters[i%len(letters)]
		c.Write(p.envelope)
		if err := l.expect("250", "250", "354"); err != nil {
			return err
		}
		c.Write(p.content)
		if err := l.expect("250"); err != nil {
			return err
		}
		if most == 1 {
			break
		}
		if i = int(next.Add(1)) - 1; i >= n {
			break
		}
	}
	c.Write([]byte("QUIT\r\n"))
	return l.expect("221")
}
