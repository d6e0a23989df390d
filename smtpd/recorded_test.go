package smtpd

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/wire"
)

// What Postfix 3.7.11 did with the same commands: testdata/recorded.json. Each session is
// replayed, and the replies, the messages that were taken and the lines of smtpd and
// cleanup in the log are compared.

type recorded struct {
	Name     string
	About    string
	MainCf   map[string]string `json:"main_cf"`
	Files    map[string]string
	Sessions []recordedSession
	Messages []struct {
		Session  int
		MailFrom string   `json:"mail_from"`
		RcptTo   []string `json:"rcpt_to"`
		Data     string
	}
	Log []string
}

type recordedSession struct {
	Client     string
	Verb, Helo string
	MailFrom   *string           `json:"mail_from"`
	MailParams string            `json:"mail_params"`
	RcptTo     []json.RawMessage `json:"rcpt_to"`
	Data       *string
	Steps      []json.RawMessage
	Replies    []struct {
		Cmd      string
		Code     *int
		Enhanced *string
		Text     string
	}
	Sleep float64
}

// unlike are cases in which we are not as the recorded Postfix, with the reason: the whole
// case, or the part of it that is not compared.
var unlike = map[string]string{
	"reject-verify-ok":       "reject_unverified_recipient is not there yet",
	"reject-verify-tempfail": "reject_unverified_recipient is not there yet",
	"addr-bare-user-mydest":  "the book of these tests has no local users",
	"map-quoted-key":         "messages: the book of these tests keeps quoted keys quoted",
	"header-8bit":            "messages: smtp(8) converted them",
	"header-long-line":       "messages: smtp(8) broke the line",
	"header-rewritten-local": "messages: header addresses are not rewritten",
}

// returnedLater are cases in which Postfix took a message and returned it, so that the
// recording does not have it.
var returnedLater = map[string]bool{"reject-unlisted-no": true, "addr-utf8-target-nosupport": true}

func TestRecorded(t *testing.T) {
	file, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []recorded
	if err := json.Unmarshal(file, &cases); err != nil {
		t.Fatal(err)
	}
	for _, rec := range cases {
		why := unlike[rec.Name]
		if why != "" && !strings.HasPrefix(why, "messages: ") {
			continue
		}
		t.Run(rec.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { replay(t, &rec, why != "") })
		})
	}
}

func replay(t *testing.T, rec *recorded, messagesDiffer bool) {
	w := usual(t)
	configure(t, w, rec)
	w.start()
	sent := 0
	ids, wantIDs := &numbering{}, &numbering{}
	for i := range rec.Sessions {
		s := &rec.Sessions[i]
		if s.Sleep > 0 {
			continue
		}
		replaySession(t, w, s, ids, wantIDs)
		w.conns.Wait()
		for _, m := range w.store.messages[sent:] {
			compareMessage(t, rec, i, &m, messagesDiffer)
		}
		sent = len(w.store.messages)
	}
	compareLog(t, rec.Log, w.log.all())
}

// configure sets what main.cf of the case sets.
func configure(t *testing.T, w *world, rec *recorded) {
	b := newBook(rec.MainCf["virtual_alias_domains"], rec.Files["virtual"])
	w.o.Recipients = b
	w.o.ForbidBareNewline = wire.BareLFAllow // what Postfix 3.7 did unless told otherwise
	w.o.ReplaceStrayCR = true
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, value := range rec.MainCf {
		switch name {
		case "myhostname", "mydestination", "local_transport", "virtual_alias_domains", "disable_mime_output_conversion":
		case "virtual_alias_maps":
			b.broken = strings.HasPrefix(value, "fail:")
		case "mynetworks":
			var n networks
			for a := range strings.FieldsSeq(value) {
				n = append(n, netip.MustParseAddr(strings.TrimSuffix(a, "/32")))
			}
			w.o.MyNetworks = n
		case "smtpd_relay_restrictions":
			w.o.Relay = restrict(strings.Split(value, ", ")...)
		case "smtpd_sender_restrictions":
			w.o.Sender = restrict(splitList(strings.ReplaceAll(strings.ReplaceAll(value, "=", " "), "{ ", "{"))...)
		case "smtpd_delay_reject":
			w.o.DelayReject = false
		case "smtpd_authorized_xforward_hosts":
			w.o.AuthorizedXforward = networks{netip.MustParseAddr("127.0.0.2")}
		case "smtpd_forbid_bare_newline":
			w.o.ForbidBareNewline = wire.BareLFNormalize
		case "message_size_limit":
			w.o.MessageSizeLimit = int64(number(value))
		case "smtpd_discard_ehlo_keywords":
			w.o.DiscardEhloKeywords = strings.Split(value, ", ")
		case "smtpd_hard_error_limit":
			w.o.HardErrorLimit = number(value)
		case "smtpd_timeout":
			w.o.Timeout, _ = time.ParseDuration(value)
		case "disable_vrfy_command":
			w.o.DisableVRFY = true
		case "unknown_virtual_alias_reject_code":
			b.code = number(value)
		case "show_user_unknown_table_name":
			b.unknown = "User unknown"
		case "smtpd_recipient_limit":
			w.o.RecipientLimit = number(value)
		case "relay_domains_reject_code":
			w.o.RelayRejectCode = number(value)
		case "soft_bounce":
			w.o.SoftBounce = true
		case "smtpd_reject_unlisted_recipient":
			b.lax = true
		case "smtpd_reject_unlisted_sender":
			w.o.RejectUnlistedSender = true
		case "append_dot_mydomain":
			b.dotted = true
		case "hopcount_limit":
			w.o.HopcountLimit = number(value)
		case "enable_original_recipient":
			w.o.OneDeliveryPerTarget = true
		default:
			t.Fatalf("the case sets %s, and this test does not know it", name)
		}
	}
	if rec.MainCf["smtpd_relay_restrictions"] == "" {
		w.o.Relay = restrict("permit_mynetworks", "permit_sasl_authenticated", "defer_unauth_destination")
	}
	b.noDomain = strings.HasPrefix(rec.MainCf["virtual_alias_domains"], "fail:")
}

// replaySession sends what was sent, and compares what is answered.
func replaySession(t *testing.T, w *world, s *recordedSession, ids, wantIDs *numbering) {
	c := w.dial(s.Client)
	next := 0
	expect := func(sent string) (code int) {
		want := s.Replies[next]
		next++
		line := "<connection closed>"
		if want.Code != nil {
			code, line = *want.Code, strconv.Itoa(*want.Code)+" "
			if want.Enhanced != nil {
				line += *want.Enhanced + " "
			}
			line = strings.ReplaceAll(line+want.Text, "\n", "\n"+strconv.Itoa(code)+"-")
			if i := strings.LastIndexByte(line, '\n'); i >= 0 {
				line = line[:3] + "-" + line[4:i+4] + " " + line[i+5:]
			}
		}
		got := ids.normal(c.reply())
		if got == "" {
			got = "<connection closed>"
		}
		if line = wantIDs.normal(line); got != line {
			t.Errorf("%q:\n got %q\nwant %q", shorten(sent), got, line)
		}
		return code
	}
	step := func(send string) int { c.send(send); return expect(send) }

	expect("(connect)")
	if s.Steps == nil {
		verb := s.Verb
		if verb == "" {
			verb = "EHLO"
		}
		step(verb + " " + s.Helo + "\r\n")
		params := s.MailParams
		if params != "" {
			params = " " + params
		}
		step("MAIL FROM:<" + *s.MailFrom + ">" + params + "\r\n")
		accepted := false
		for _, raw := range s.RcptTo {
			var addr string
			var with struct{ Addr, Params string }
			if json.Unmarshal(raw, &addr) != nil {
				json.Unmarshal(raw, &with)
				addr = with.Addr
			}
			if next == len(s.Replies) {
				break
			}
			accepted = step(strings.TrimSuffix("RCPT TO:<"+addr+"> "+with.Params, " ")+"\r\n")/100 == 2 || accepted
		}
		if accepted && s.Data != nil {
			step("DATA\r\n")
			step(crlf(*s.Data))
		}
		if next < len(s.Replies) {
			step("QUIT\r\n")
		}
	}
	for _, raw := range s.Steps {
		var line string
		var other struct {
			Data, Send *string
			Expect     *int
		}
		if json.Unmarshal(raw, &line) == nil {
			step(line + "\r\n")
			continue
		}
		json.Unmarshal(raw, &other)
		if other.Data != nil {
			step(crlf(*other.Data))
			continue
		}
		n := 1
		if other.Expect != nil {
			n = *other.Expect
		}
		if *other.Send != "" {
			c.send(*other.Send)
		}
		for range n {
			expect(*other.Send)
		}
		if n == 0 {
			synctest.Wait()
		}
	}
	c.hangUp()
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

func compareMessage(t *testing.T, rec *recorded, session int, m *message, contentDiffers bool) {
	date := regexp.MustCompile(`\w{3}, .\d \w{3} 2025 10:00:00 \+0000 \(UTC\)`)
	id := regexp.MustCompile(`\bid Q\d+`)
	got := date.ReplaceAllString(m.String(), "DATE")
	got = strings.ReplaceAll(got, m.env.ID.String(), "Q0")
	got = strings.ReplaceAll(got, "<20251122100000.", "<TIMESTAMP.")
	var rcpts []string
	for i := range m.env.Rcpts {
		rcpts = append(rcpts, rcptString(&m.env.Rcpts[i]))
	}
	slices.Sort(rcpts)
	for _, want := range rec.Messages {
		from, _, _ := strings.Cut(want.MailFrom, " ")
		if want.Session != session || from != "<"+m.env.Sender.String()+">" {
			continue
		}
		data := regexp.MustCompile(`\.Q\d+@`).ReplaceAllString(id.ReplaceAllString(want.Data, "id Q0"), ".Q0@")
		if data != got && !contentDiffers {
			t.Errorf("session %d: message\n got %q\nwant %q", session, got, data)
		}
		var wantRcpts []string
		for _, r := range want.RcptTo {
			wantRcpts = append(wantRcpts, unXtext(r))
		}
		slices.Sort(wantRcpts)
		if !slices.Equal(rcpts, wantRcpts) {
			t.Errorf("session %d: recipients\n got %q\nwant %q", session, rcpts, wantRcpts)
		}
		return
	}
	if !returnedLater[rec.Name] {
		t.Errorf("session %d: a message from <%s> that Postfix did not send on", session, m.env.Sender)
	}
}

// unXtext decodes the ORCPT of an RCPT command, and leaves the rest.
func unXtext(rcpt string) string {
	before, orcpt, _ := strings.Cut(rcpt, "ORCPT=")
	orcpt, _, _ = strings.Cut(orcpt, " ")
	plain, _ := decodeXtext(orcpt)
	return before + "ORCPT=" + plain
}

// compareLog compares the lines that smtpd and cleanup wrote.
func compareLog(t *testing.T, want, got []string) {
	ids, wantIDs := &numbering{}, &numbering{}
	var lines, wantLines []string
	for _, l := range got {
		lines = append(lines, ids.normal(l))
	}
	for _, l := range want {
		// Warnings of the tables and of cleanup's way to give up are not ours.
		if strings.Contains(l, "lookup error for") || strings.Contains(l, "mail_stream_cleanup") ||
			strings.Contains(l, "cleanup[PID]: warning: Q1: queue file size") || strings.Contains(l, "message-id=<TIMESTAMP.") {
			continue
		}
		wantLines = append(wantLines, wantIDs.normal(l))
	}
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.Contains(l, "no answer") || strings.Contains(l, "message-id=<20251122")
	})
	slices.Sort(lines)
	slices.Sort(wantLines)
	for _, l := range wantLines {
		if i := slices.Index(lines, l); i >= 0 {
			lines = slices.Delete(lines, i, i+1)
		} else {
			t.Errorf("not in the log: %s", shorten(l))
		}
	}
	for _, l := range lines {
		t.Errorf("unexpected in the log: %s", shorten(l))
	}
}

// numbering gives queue IDs the names that the recordings have, in the order in which they
// are met.
type numbering struct{ known []string }

func (n *numbering) normal(s string) string {
	return regexp.MustCompile(`\b0{6,}\w+\b|\bQ\d+\b`).ReplaceAllStringFunc(s, func(id string) string {
		i := slices.Index(n.known, id)
		if i < 0 {
			i = len(n.known)
			n.known = append(n.known, id)
		}
		return fmt.Sprintf("Q%d", i+1)
	})
}
