package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// go-smtp's client delivers through us.
func TestGoSMTPClient(t *testing.T) {
	w := usual(t)
	w.o.LocalClients = nil
	w.o.ClientName = func(context.Context, netip.Addr) ClientNames {
		return ClientNames{Name: "client.example.net", Status: NameVerified}
	}
	w.o.ForbidUnauthPipelining = true
	c, err := smtp.Dial(listen(t, w))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("client.example.net"); err != nil {
		t.Fatal(err)
	}
	for _, ext := range []string{"PIPELINING", "SIZE", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"} {
		if ok, _ := c.Extension(ext); !ok {
			t.Errorf("%s is not offered", ext)
		}
	}
	if size, ok := c.MaxMessageSize(); !ok || size != 10240000 {
		t.Errorf("SIZE %d", size)
	}
	if err := c.Mail("sender@example.net", &smtp.MailOptions{Size: 100, EnvelopeID: "env 1", Return: smtp.DSNReturnHeaders, Body: smtp.Body8BitMIME}); err != nil {
		t.Fatal(err)
	}
	err = c.Rcpt("none@virt.example", nil)
	if e, ok := errors.AsType[*smtp.SMTPError](err); !ok || e.Code != 550 || e.EnhancedCode != (smtp.EnhancedCode{5, 1, 1}) ||
		e.Message != "<none@virt.example>: Recipient address rejected: User unknown in virtual alias table" {
		t.Errorf("unknown recipient: %v", err)
	}
	if err := c.Rcpt("a@virt.example", &smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed},
		OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "first+last@virt.example",
	}); err != nil {
		t.Fatal(err)
	}
	d, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, "Subject: hello\r\n\r\n.dot\r\nKörper\r\n")
	resp, err := d.CloseWithResponse()
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusText != "2.0.0 Ok: queued as 000000000001" && resp.StatusText != "Ok: queued as 000000000001" {
		t.Errorf("reply %q", resp.StatusText)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}

	m := w.store.messages[0]
	if m.body != "Subject: hello\r\n\r\n.dot\r\nKörper\r\n" {
		t.Errorf("body %q", m.body)
	}
	want := mail.Envelope{
		ID: 1, Arrived: w.o.Now(), Sender: mail.Address{Local: "sender", Domain: "example.net"},
		EnvID: "env 1", Ret: "HDRS", Flags: mail.FlagBody8BitMIME,
		Client: mail.Client{
			Name: "client.example.net", Addr: netip.MustParseAddr("127.0.0.1"), Port: m.env.Client.Port,
			Helo: "client.example.net", Protocol: "ESMTP", UID: -1,
		},
		Prepend: []byte("Received: from client.example.net (client.example.net [127.0.0.1])\r\n" +
			"\tby mx.example.com (Postfix) with ESMTP id 000000000001\r\n" +
			"\tfor <a@virt.example>; Sat, 22 Nov 2025 10:00:00 +0000 (UTC)\r\n"),
		Rcpts: []mail.Recipient{{
			Final: mail.Address{Local: "b", Domain: "dest.example"}, Orig: mail.Address{Local: "a", Domain: "virt.example"},
			ORcpt: "RFC822;first+last@virt.example", Notify: mail.NotifyFailure | mail.NotifyDelay, Dest: "smtp:dest.example",
		}},
	}
	if string(m.env.Prepend) != string(want.Prepend) {
		t.Errorf("Prepend %q, want %q", m.env.Prepend, want.Prepend)
	}
	m.env.Prepend, want.Prepend = nil, nil
	if !slices.Equal(m.env.Rcpts, want.Rcpts) {
		t.Errorf("recipients %+v, want %+v", m.env.Rcpts, want.Rcpts)
	}
	m.env.Rcpts, want.Rcpts = nil, nil
	if got := m.env; got.ID != want.ID || got.Sender != want.Sender || got.EnvID != want.EnvID || got.Ret != want.Ret ||
		got.Flags != want.Flags || got.Client != want.Client || !got.Arrived.Equal(want.Arrived) {
		t.Errorf("envelope\n got %+v\nwant %+v", got, want)
	}
}

// Each extension that go-smtp's client knows, through us: STARTTLS, AUTH, SMTPUTF8,
// 8BITMIME, SIZE, ENHANCEDSTATUSCODES, and the verbs that move no mail.
func TestGoSMTPClientExtensions(t *testing.T) {
	w := usual(t)
	w.o.LocalClients, w.o.MyNetworks = nil, nil
	w.o.TLS = &TLS{Config: testCertificate(t), Timeout: patience}
	w.o.Logins, w.o.TLSAuthOnly = &accounts{mechanisms: "PLAIN LOGIN"}, true
	w.o.Relay = restrict("permit_sasl_authenticated", "reject_unauth_destination")
	c, err := smtp.DialStartTLS(listen(t, w), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.TLSConnectionState(); !ok || !c.SupportsAuth("PLAIN") || !c.SupportsAuth("LOGIN") {
		t.Error("AUTH is not offered over TLS")
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		t.Error("STARTTLS is offered within TLS")
	}
	for _, step := range []struct {
		what string
		err  error
	}{
		{"AUTH", c.Auth(sasl.NewPlainClient("", "joe", "secret"))},
		{"NOOP", c.Noop()},
		{"MAIL", c.Mail("jürgen@example.net", &smtp.MailOptions{UTF8: true, Body: smtp.Body8BitMIME, Size: 30})},
		{"RSET", c.Reset()},
		{"MAIL after RSET", c.Mail("jürgen@example.net", &smtp.MailOptions{UTF8: true, Body: smtp.Body8BitMIME, Size: 30})},
		{"RCPT", c.Rcpt("ä@elsewhere.example", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}})},
	} {
		if step.err != nil {
			t.Fatalf("%s: %v", step.what, step.err)
		}
	}
	d, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, "Subject: ü\r\n\r\nx\r\n")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	c.Quit()
	m := &w.store.messages[0]
	if l := letterOf(m); l.From != "<jürgen@example.net> BODY=8BITMIME SMTPUTF8" || m.env.Rcpts[0].Notify != mail.NotifyNever ||
		m.env.Rcpts[0].Final.String() != "ä@elsewhere.example" || !strings.Contains(l.Data, "with UTF8SMTPSA id ") {
		t.Errorf("got %+v", l)
	}
}

// Our session under go-smtp's server: the same answers, as far as go-smtp can ask.
func TestGoSMTPServer(t *testing.T) {
	w := usual(t)
	w.o.LocalClients = nil
	w.start()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(w.srv.Backend())
	s.Domain, s.EnableDSN, s.EnableSMTPUTF8 = "mx.example.com", true, true
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("s@example.net", nil); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"none@virt.example": "<none@virt.example>: Recipient address rejected: User unknown in virtual alias table",
		"a@virt.example":    "",
	} {
		got := ""
		if err := c.Rcpt(addr, nil); err != nil {
			got = err.(*smtp.SMTPError).Message
		}
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	d, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, "Subject: x\r\n\r\ny\r\n")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	c.Quit()
	s.Close()
	<-served
	if len(w.store.messages) != 1 || w.store.messages[0].body != "Subject: x\r\n\r\ny\r\n" {
		t.Errorf("messages %q", w.store.messages)
	}
}
