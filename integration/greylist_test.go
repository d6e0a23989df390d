package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// playFrom is playClient from an address of this machine.
func playFrom(t testing.TB, from, addr string, send []string) []string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	in := bufio.NewReader(conn)
	var replies []string
	for i := -1; i < len(send); i++ {
		if i >= 0 {
			line := send[i]
			if content, ok := strings.CutPrefix(line, "~"); ok {
				if !strings.HasPrefix(replies[len(replies)-1], "354") {
					continue
				}
				line = content + "."
			}
			fmt.Fprint(conn, line+"\r\n")
		}
		var lines []string
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return append(replies, "(closed)")
			}
			line = strings.TrimRight(line, "\r\n")
			if lines = append(lines, line); len(line) < 4 || line[3] != '-' {
				break
			}
		}
		replies = append(replies, strings.Join(lines, "\n"))
	}
	return replies
}

// A sender that is new is asked to come again, and passes when it does, also after the
// program has died in between.
func TestGreylist(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_recipient_restrictions"] = "check_recipient_access inline:{nogrey@alias.example=OK}, check_greylist, " +
		"check_recipient_access inline:{refused@alias.example=REJECT}"
	cf["greylist_delay"] = "3s"
	cf["greylist_whitelist_clients"] = "127.0.3.0/24"
	r := newRelay(t, cf, map[string]string{"virtual": virtualTable + "nogrey@alias.example a@b.example\nrefused@alias.example a@b.example\n"})
	r.start()
	try := func(client, sender, rcpt string) string {
		t.Helper()
		return playFrom(t, client, r.smtp, []string{"EHLO client.example", "MAIL FROM:<" + sender + ">", "RCPT TO:<" + rcpt + ">", "QUIT"})[3]
	}
	grey := regexp.MustCompile(`^450 4\.2\.0 <info@alias\.example>: Recipient address rejected: Greylisted, try again in [123] seconds$`)
	first := try("127.0.1.1", "sender@client.example", "info@alias.example")
	if first != "450 4.2.0 <info@alias.example>: Recipient address rejected: Greylisted, try again in 3 seconds" {
		t.Fatalf("%q", first)
	}
	r.waitLog(`NOQUEUE: reject: RCPT from unknown\[127\.0\.1\.1\]: 450 4\.2\.0 <info@alias\.example>: Recipient address rejected: Greylisted, try again in 3 seconds; from=<sender@client\.example> to=<info@alias\.example> proto=ESMTP helo=<client\.example>`)
	for _, other := range []struct{ client, sender, rcpt, want string }{
		{"127.0.9.1", "sender@client.example", "info@alias.example", grey.String()},
		{"127.0.1.1", "", "info@alias.example", grey.String()},
		{"127.0.3.1", "sender@client.example", "info@alias.example", "^250 "},
		{"127.0.1.1", "sender@client.example", "nogrey@alias.example", "^250 "},
		{"127.0.1.1", "sender@client.example", "refused@alias.example", "^554 5.7.1 "}, // what refuses for good comes first
		{"127.0.1.1", "sender@client.example", "stranger@elsewhere.example", "^554 5.7.1 .*Relay access denied"},
		{"127.0.1.1", "sender@client.example", "nobody@alias.example", "^450 4.2.0 "},
	} {
		if got := try(other.client, other.sender, other.rcpt); !regexp.MustCompile(other.want).MatchString(got) {
			t.Errorf("%+v: %q", other, got)
		}
	}
	file := filepath.Join(r.top, "data", "greylist")
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if b, _ := os.ReadFile(file); strings.Contains(string(b), `triple 127.0.1.0/24 "sender@client.example" "info@alias.example"`) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the table is not written")
		}
	}
	r.kill()
	r.start()
	// A neighbour in the same network, with other letters and an extension.
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		got := try("127.0.1.77", "Sender+x@Client.example", "Info@alias.example")
		if strings.HasPrefix(got, "250 ") {
			break
		}
		if !strings.HasPrefix(got, "450 4.2.0 ") || time.Now().After(end) {
			t.Fatalf("%q\n%s", got, r.log())
		}
	}
	if got := try("127.0.1.1", "sender@client.example", "info@alias.example"); !strings.HasPrefix(got, "250 ") {
		t.Errorf("it has passed, and does not: %q", got)
	}
	// One that never came to the end was new after the death, or known from before it.
	if got := try("127.0.8.1", "sender@client.example", "info@alias.example"); !grey.MatchString(got) {
		t.Errorf("%q", got)
	}
}

// Where SPF is evaluated, who may send for his domain does not wait.
func TestGreylistSPF(t *testing.T) {
	t.Parallel()
	r := newAuthRelay(t, "smtpd_recipient_restrictions", "check_greylist")
	try := func(client, sender string) string {
		t.Helper()
		return playFrom(t, client, r.smtp, []string{"EHLO client.example", "MAIL FROM:<" + sender + ">", "RCPT TO:<info@alias.example>", "QUIT"})[3]
	}
	for _, tt := range []struct{ client, sender, want string }{
		{"127.0.0.1", "a@ok.example", "250 "}, {"127.0.1.1", "a@ok.example", "450 4.2.0 "}, // it names one address
		{"127.0.0.1", "a@deny.example", "450 4.2.0 "}, {"127.0.0.1", "a@unknown.example", "450 4.2.0 "},
	} {
		if got := try(tt.client, tt.sender); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%+v: %q", tt, got)
		}
	}
	r.cf["greylist_spf_pass_exempt"] = "no"
	r.configure(r.cf)
	r.mustRun("reload", "-c", r.dir)
	if got := try("127.0.0.1", "a@ok.example"); !strings.HasPrefix(got, "450 4.2.0 ") {
		t.Errorf("without the exemption: %q", got)
	}
}
