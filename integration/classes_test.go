package integration

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// mailboxes is an LMTP server, such as Dovecot's.
type mailboxes struct {
	mu   sync.Mutex
	got  []string // "recipient: size" each
	full string   // the recipient whose mailbox is full
}

func (m *mailboxes) NewSession(*smtp.Conn) (smtp.Session, error) { return &mailboxSession{m: m}, nil }

type mailboxSession struct {
	m     *mailboxes
	rcpts []string
}

func (s *mailboxSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *mailboxSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.rcpts = append(s.rcpts, to)
	return nil
}
func (s *mailboxSession) Data(io.Reader) error { return nil }
func (s *mailboxSession) Reset()               { s.rcpts = nil }
func (s *mailboxSession) Logout() error        { return nil }

func (s *mailboxSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	for _, to := range s.rcpts {
		if to == s.m.full {
			status.SetStatus(to, &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "mailbox full"})
			continue
		}
		s.m.got = append(s.m.got, to)
		status.SetStatus(to, nil)
	}
	return nil
}

func serveMailboxes(t *testing.T, network, address string, m *mailboxes) net.Addr {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.NewServer(m)
	srv.LMTP, srv.Domain, srv.ReadTimeout, srv.WriteTimeout = true, "boxes.example", time.Minute, time.Minute
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr()
}

// ADDRESS_CLASS_README: a domain with mailboxes is handed on by virtual_transport, one
// recipient at a time accounted for; a domain that is relayed goes by relay_transport; each
// refuses what its tables do not have in its own words.
func TestAddressClasses(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	boxes := &mailboxes{full: "full@box.example"}
	addr := serveMailboxes(t, "tcp", "127.0.0.1:0", boxes)
	socket := filepath.Join(t.TempDir(), "lmtp")
	byPath := &mailboxes{}
	serveMailboxes(t, "unix", socket, byPath)

	cf := base(sink)
	cf["virtual_mailbox_domains"] = "box.example, path.example"
	cf["virtual_mailbox_maps"] = "inline:{joe@box.example=x, full@box.example=x, ann@path.example=x}"
	cf["virtual_transport"] = "lmtp:inet:" + addr.String()
	cf["transport_maps"] = "inline:{path.example=lmtp:unix:" + socket + "}"
	cf["relay_domains"] = "relay.example"
	cf["relay_recipient_maps"] = "inline:{known@relay.example=x}"
	r := newRelay(t, cf, map[string]string{"virtual": virtualTable + "box@alias.example joe@box.example, full@box.example\n"})
	r.start()
	for _, c := range []struct{ to, reply string }{
		{"joe@box.example", `250 2\.0\.0 Ok`},
		{"box@alias.example", `250 2\.0\.0 Ok`},
		{"ann@path.example", `250 2\.0\.0 Ok`},
		{"known@relay.example", `250 2\.0\.0 Ok`},
		{"nobody@box.example", `550 5\.1\.1 <nobody@box\.example>: Recipient address rejected: User unknown in virtual mailbox table`},
		{"nobody@relay.example", `550 5\.1\.1 <nobody@relay\.example>: Recipient address rejected: User unknown in relay recipient table`},
		{"root@[127.0.0.1]", `550 5\.1\.1 <root@\[127\.0\.0\.1\]>: Recipient address rejected: `},
	} {
		out, _ := swaks(t, r, "--to", c.to)
		mustMatch(t, c.to, out, c.reply)
	}
	r.waitLog(`postfix/lmtp\[\d+\]: \w{12}: to=<joe@box\.example>, orig_to=<box@alias\.example>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*dsn=2\.0\.0, status=sent \(250 2\.0\.0 `)
	r.waitLog(`postfix/lmtp\[\d+\]: \w{12}: to=<full@box\.example>, orig_to=<box@alias\.example>, .*dsn=5\.2\.2, status=bounced \(host .* said: 552 5\.2\.2 .*mailbox full \(in reply to end of DATA command\)\)`)
	r.waitLog(`postfix/lmtp\[\d+\]: \w{12}: to=<ann@path\.example>, relay=mx\.alias\.example\[.*/lmtp\], .*status=sent`)
	r.waitLog(`postfix/relay/smtp\[\d+\]: \w{12}: to=<known@relay\.example>, .*status=sent|postfix/smtp\[\d+\]: \w{12}: to=<known@relay\.example>, .*status=sent`)
	r.waitEmpty()
	boxes.mu.Lock()
	defer boxes.mu.Unlock()
	if len(boxes.got) != 2 {
		t.Errorf("the mailboxes got %v", boxes.got)
	}
	r.stop()
}

// A transport of one's own in master.cf is like the program it runs.
func TestOwnTransport(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	_, port, _ := net.SplitHostPort(sink.Addr)
	cf["transport_maps"] = "inline:{dest.example=slow:[127.0.0.1]:" + port + "}"
	cf["relayhost"] = ""
	r := newRelay(t, cf, nil)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\nslow unix - - n - 2 smtp\n")
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	r.waitLog(`to=<target@dest\.example>, orig_to=<info@alias\.example>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*status=sent`)
	r.stop()

	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n")
	out, _ := r.run("check", "-c", r.dir)
	mustMatch(t, "check", out, `dest\.example: there is no transport "slow"; known: `)
}
