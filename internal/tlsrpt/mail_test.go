package tlsrpt

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// letterTo runs a day with one session, and returns the letter about it.
func letterTo(t *testing.T, change func(*Options)) (*world, arrival) {
	t.Helper()
	w := newWorld(t)
	w.records["x.example"] = []string{"v=TLSRPTv1;rua=mailto:Reports@x.example"}
	o := w.options()
	change(&o)
	r := w.run(o)
	r.Session(session("x.example", ""))
	time.Sleep(day + spread)
	r.end()
	got := w.arrived()
	if len(got) != 1 {
		t.Fatalf("%d letters, want 1\n%s", len(got), w.logged())
	}
	return w, got[0]
}

// RFC 8460 section 5.3, field by field.
func TestLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := letterTo(t, func(*Options) {})
		text := string(a.text)
		if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\n") || strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\r") {
			t.Error("a line that does not end in CRLF")
		}
		for line := range strings.SplitSeq(text, "\r\n") {
			if len(line) > 78 && !strings.Contains(line, "filename=") || strings.HasPrefix(line, ".") || !isASCII(line) {
				t.Errorf("line %q", line)
			}
		}
		m, err := netmail.ReadMessage(bytes.NewReader(a.text))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"From":                 `^tls-from@alias\.example$`,
			"To":                   `^Reports@x\.example$`,
			"Subject":              `^Report Domain: x\.example Submitter: alias\.example Report-ID: <20000101\.x\.example@mx\.alias\.example>$`,
			"TLS-Report-Domain":    `^x\.example$`,
			"TLS-Report-Submitter": `^alias\.example$`, // that of contact-info
			"TLS-Required":         `^No$`,
			"Auto-Submitted":       `^auto-generated$`,
			"MIME-Version":         `^1\.0$`,
			"Message-Id":           `^<\d{14}\.` + a.env.ID.String() + `@mx\.alias\.example>$`,
		} {
			if got := m.Header[netmailKey(name)]; len(got) != 1 || !regexp.MustCompile(want).MatchString(got[0]) {
				t.Errorf("%s: %q, want one that matches %s", name, got, want)
			}
		}
		if date, err := m.Header.Date(); err != nil || !date.Equal(a.at.Truncate(time.Second)) {
			t.Errorf("Date: %v, %v, want %v", date, err, a.at)
		}
		kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
			t.Errorf("Content-Type %s %v, %v", kind, params, err)
		}
		parts := multipart.NewReader(m.Body, params["boundary"])
		human, err := parts.NextPart()
		if err != nil || human.Header.Get("Content-Type") != "text/plain; charset=us-ascii" {
			t.Errorf("first part %v, %v", human.Header, err)
		}
		machine, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := machine.FileName(), "alias.example!x.example!946684800!946771199.json.gz"; got != want {
			t.Errorf("file name %s, want %s", got, want)
		}
		if _, err := parts.NextPart(); err == nil {
			t.Error("a third part")
		}
		if err := checkReport(a.raw); err != nil {
			t.Errorf("%v in\n%s", err, a.raw)
		}

		look := header.NewWriter(new(bytes.Buffer), header.Options{})
		look.Write(a.text)
		look.Close()
		if !look.TLSOptional() {
			t.Error("delivery does not know the letter for one that needs no TLS")
		}
		env := a.env
		if env.Flags != mail.FlagNotice|mail.FlagTLSOptional || env.Sender.String() != "tls-from@alias.example" ||
			env.Rcpts[0].Notify != mail.NotifyNever || !env.Arrived.Equal(a.at) || env.Client.UID != -1 {
			t.Errorf("envelope %+v", env)
		}
		if !regexp.MustCompile(`^Received: by mx\.alias\.example \(Postfix\)\r\n\tid ` + env.ID.String() + `; [^\r\n]+\r\n$`).Match(env.Prepend) {
			t.Errorf("on top: %q", env.Prepend)
		}
		if !strings.Contains(w.logged(), "msg=message-id daemon=cleanup queue_id="+env.ID.String()) {
			t.Errorf("no message-id in the log:\n%s", w.logged())
		}
	})
}

func netmailKey(name string) string {
	if name == "MIME-Version" {
		return "Mime-Version"
	}
	if strings.HasPrefix(name, "TLS-") {
		return "Tls-" + name[4:]
	}
	return name
}

// With the null sender the letter is from whom it can be answered to.
func TestLetterFromNobody(t *testing.T) {
	for _, from := range []string{"", "<>"} {
		synctest.Test(t, func(t *testing.T) {
			_, a := letterTo(t, func(o *Options) { o.From, o.Node = from, 3 })
			if !a.env.Sender.IsNull() || !strings.Contains(string(a.text), "\r\nFrom: tls@alias.example\r\n") {
				t.Errorf("from %q:\n%s", a.env.Sender, a.text)
			}
			if !strings.Contains(string(a.text), "!946771199!003.json.gz\"") || !strings.Contains(string(a.text), "Report-ID: <20000101.x.example.3@mx.alias.example>") {
				t.Errorf("the third node writes\n%s", a.text)
			}
		})
	}
}

// An address that leads to nobody, or cannot be looked up, is tried again.
func TestLetterToNobody(t *testing.T) {
	w := newWorld(t)
	r := w.at(noon)
	for want, f := range map[string]func(context.Context, mail.RcptRequest) ([]mail.Recipient, error){
		"leads to nobody": func(context.Context, mail.RcptRequest) ([]mail.Recipient, error) { return nil, nil },
		"table away": func(context.Context, mail.RcptRequest) ([]mail.Recipient, error) {
			return nil, errors.New("table away")
		},
	} {
		l := &letter{doc: &Report{}, domain: "x.example", params: r.params}
		l.params.Resolve = f
		if _, err := r.submit(t.Context(), l, "a@x.example", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if n := len(w.arrived()); n != 0 {
		t.Errorf("%d letters", n)
	}
}

func TestCheckAddress(t *testing.T) {
	for addr, want := range map[string]bool{
		"postmaster@example.com": true, "a.b+c!d%e@x-y.example": true, "a@localhost": true,
		"": false, "postmaster": false, "@x.example": false, "a@": false, "a b@x.example": false, "a@x.example\r\nBcc: b": false,
		"a@b@x.example": false, `"a"@x.example`: false, "a..b@x.example": false, "ä@x.example": false, "a@ä.example": false, "a@[192.0.2.1]": false,
		"a@x.example.": false, strings.Repeat("a", 65) + "@x.example": false, "<a@x.example>": false,
	} {
		if err := CheckAddress(addr); (err == nil) != want {
			t.Errorf("CheckAddress(%q) = %v", addr, err)
		}
	}
}
