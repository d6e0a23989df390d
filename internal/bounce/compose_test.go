package bounce

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Reports that the recordings do not have: testdata/*.golden.
func TestGolden(t *testing.T) {
	deferred := mail.Result{
		Status: mail.Status{Enhanced: mail.Code(4, 4, 1)}, Relay: "none",
		Reason: "connect to mx.dest.example[192.0.2.1]:25: Connection timed out",
	}
	sent := mail.Result{
		Status: mail.Status{Code: 250, Enhanced: mail.Code(2, 0, 0)}, Reason: "250 2.0.0 Ok: queued as ABC",
		Relay: "mx.dest.example[192.0.2.1]:25", RemoteMTA: "mx.dest.example", RemoteReply: "250 2.0.0 Ok: queued as ABC",
	}
	for name, c := range map[string]struct {
		res    mail.Result
		change func(*mail.Report)
	}{
		"delayed": {deferred, func(r *mail.Report) { r.Kind = mail.ReportDelayed }},
		"relayed": {sent, func(r *mail.Report) { r.Kind, r.Env.Rcpts[0].Notify = mail.ReportRelayed, mail.NotifySuccess }},
		"delivered-utf8": {sent, func(r *mail.Report) {
			r.Kind, r.Env.Rcpts[0] = mail.ReportDelivered, mail.Recipient{Final: addr("jösé@dest.example"), Orig: addr("jösé@dest.example"), ORcpt: "utf-8;jösé@dest.example", Notify: mail.NotifySuccess}
			r.Env.Flags |= mail.FlagSMTPUTF8
		}},
		"expanded-bare": {sent, func(r *mail.Report) {
			expanded(r)
			r.Env.Rcpts[0].Orig, r.Env.Rcpts[0].ORcpt = addr("postmaster"), "rfc822;postmaster"
		}},
		"null-sender":   {unknownUser(), func(r *mail.Report) { r.Env.Sender = mail.Address{} }},
		"no-orcpt":      {unknownUser(), func(r *mail.Report) { r.Env.Rcpts[0].ORcpt = "" }},
		"nothing-known": {mail.Result{}, func(r *mail.Report) { r.Body, r.Env.Prepend = body(""), nil }},
		"quoted": {unknownUser(), func(r *mail.Report) {
			r.Env.Sender = mail.Address{Local: "odd user", Domain: "example.net"}
			r.Env.Rcpts[0] = mail.Recipient{Final: mail.Address{Local: "a b", Domain: "dest.example"}, Orig: mail.Address{Local: "a@b", Domain: "virt.example"}, ORcpt: `rfc822;"a@b"@virt.example`}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := failed(aliased("one@dest.example"), c.res)
			c.change(&r)
			w := newTestWriter(t, func(o *Options) { o.NotifyClasses, o.MailName = []string{"2bounce"}, "Alias MX" })
			env, text := mustWrite(t, w.Notify, r)
			got := normalise(t, env, text, "Q1", "Q2")
			golden := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s (-update rewrites it): %s\n%s", golden, difference(got, string(want)), got)
			}
		})
	}
}

// The returned message may hold what looks like our boundary: its sender knows the
// queue ID from another copy, and can guess the second.
func TestReturnedMessageCannotEndItsPart(t *testing.T) {
	guess := fmt.Sprintf("%s.%d/mx.example.com", oldID, now().Unix())
	again := fmt.Sprintf("%s.%d.1/mx.example.com", oldID, now().Unix())
	r := failed(aliased("bad@dest.example"), unknownUser())
	r.Body = body("Subject: x\r\n\r\n--" + guess + "--\r\n--" + again + "\r\nContent-Type: text/html\r\n\r\nforged\r\n")
	_, text := mustWrite(t, newTestWriter(t, nil).Notify, r)
	parts := readReport(t, text)
	if len(parts) != 3 || !strings.HasSuffix(parts[2].content, string(r.Body.(body))) {
		t.Errorf("%d parts, the last is %q", len(parts), parts[len(parts)-1].content)
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("X-Filler: "+strings.Repeat("y", 60)+"\r\n", 3000)
	for name, c := range map[string]struct {
		body     string
		size     int64
		wantType string
		wantEnd  string
		most     int
	}{
		"at the limit":        {"A: b\r\n\r\nx\r\n", int64(len("A: b\r\n\r\nx\r\n")), "message/rfc822", "A: b\r\n\r\nx\r\n", 3000},
		"above":               {"A: b\r\n\r\nx\r\n", int64(len("A: b\r\n\r\nx\r\n")) - 1, "text/rfc822-headers", "A: b\r\n", 3000},
		"header above too":    {"A: b\r\n" + long + "\r\nx\r\n", 100, "text/rfc822-headers", "y\r\n", 102400 + 3000},
		"one endless field":   {"A: " + strings.Repeat("z", 300000), 100, "text/rfc822-headers", "z\r\n", 102400 + 3000},
		"no header at all":    {strings.Repeat("just text\r\n", 100), 100, "text/rfc822-headers", ">\r\n", 3000},
		"header without end":  {"A: b\r\nC: d", 5, "text/rfc822-headers", "A: b\r\nC: d\r\n", 3000},
		"cut by a bare line":  {"A: b\r\n folded\r\nnot a field\r\nC: d\r\n" + long, 100, "text/rfc822-headers", "A: b\r\n folded\r\n", 3000},
		"no last line end":    {"A: b\r\n\r\nx", 1000, "message/rfc822", "\r\nx\r\n", 3000},
		"blanks end a header": {"A: b\r\n \r\nC: d\r\n" + long, 100, "text/rfc822-headers", "A: b\r\n", 3000},
	} {
		t.Run(name, func(t *testing.T) {
			r := failed(aliased("bad@dest.example"), unknownUser())
			r.Env.Prepend, r.Body = nil, body(c.body)
			_, text := mustWrite(t, newTestWriter(t, func(o *Options) { o.SizeLimit = c.size }).Notify, r)
			parts := readReport(t, text)
			if got := parts[2].header.Get("Content-Type"); got != c.wantType {
				t.Errorf("type %s, want %s", got, c.wantType)
			}
			if got := parts[2].content; !strings.HasSuffix(got, c.wantEnd) {
				t.Errorf("returned %.200q, want %q at its end", got, c.wantEnd)
			}
			if len(text) > c.most {
				t.Errorf("%d octets, more than %d", len(text), c.most)
			}
		})
	}
}

type brokenBody struct{ body }

func (brokenBody) Open() (io.ReadCloser, error) { return io.NopCloser(brokenReader{}), nil }

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestUnreadableMessage(t *testing.T) {
	for _, size := range []int64{1, 50000} {
		r := failed(aliased("bad@dest.example"), unknownUser())
		r.Body = brokenBody{"0123456789"}
		if env, _, err := newTestWriter(t, func(o *Options) { o.SizeLimit = size }).Notify(t.Context(), r); err == nil {
			t.Errorf("size limit %d: a report %v of a message that cannot be read", size, env)
		}
	}
}

func TestDatesAreLocal(t *testing.T) {
	zone := time.FixedZone("CEST", 2*3600)
	w := newTestWriter(t, func(o *Options) { o.Location = zone })
	env, text := mustWrite(t, w.Notify, failed(aliased("bad@dest.example"), unknownUser()))
	for where, s := range map[string]string{"Received": string(env.Prepend), "Date": string(text[:100]), "Arrival-Date": string(text)} {
		if !strings.Contains(s, "Sat,  1 Nov 2025 12:00:00 +0200 (CEST)") {
			t.Errorf("%s is not in local time: %s", where, s)
		}
	}
}
