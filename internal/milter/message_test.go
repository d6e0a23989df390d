package milter

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

const letter = "Subject: one\r\nX-Two:  a\r\n\tb\r\n\r\nbody\r\n.\r\n"

// A message that nobody changes is the same draft; one to which fields are put on top, too.
func TestUnchanged(t *testing.T) {
	for name, packets := range map[string][][]byte{
		"nothing":      nil,
		"put on top":   {packet(replyInsertHeader, "\x00\x00\x00\x00A\x00a\x00"), packet(replyInsertHeader, "\x00\x00\x00\x02B\x00b\x00")},
		"not there":    {packet(replyChangeHeader, "\x00\x00\x00\x07Subject\x00\x00")},
		"not ours":     {packet(replyChangeHeader, "\x00\x00\x00\x01Received\x00\x00")},
		"the envelope": {packet(replyAddRcpt, "<x@y.example>\x00"), packet(replyChangeFrom, "<>\x00")},
	} {
		t.Run(name, func(t *testing.T) {
			s, log := &shelf{}, &notes{}
			sn := begun(t, atEnd(packets...).set(t, Milter{}), log)
			m := s.message(letter)
			first := m.Draft
			if r, err := sn.Message(m); err != nil || r.Action != mail.MilterContinue {
				t.Fatalf("%+v, %v; %s", r, err, log)
			}
			if m.Draft != first || s.open != 1 || !strings.HasSuffix(whole(m), letter) || !strings.Contains(string(m.Prepend), ownField) {
				t.Errorf("another draft of %d, or changed:\n%s", s.open, whole(m))
			}
			if name == "put on top" && string(m.Prepend) != "A: a\r\n"+ownField+"B: b\r\n" {
				t.Errorf("above it: %q", m.Prepend)
			}
		})
	}
}

// A changed message is another draft; the first one is given back, and every byte that no
// milter named is as it was.
func TestChanged(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		packets    [][]byte
	}{
		{"appended", ownField + "Subject: one\r\nX-Two:  a\r\n\tb\r\nN: v\r\n\r\nbody\r\n.\r\n", [][]byte{packet(replyAddHeader, "N\x00v\x00")}},
		{"changed", ownField + "SUBJECT: two\r\n\tlines\r\nX-Two:  a\r\n\tb\r\n\r\nbody\r\n.\r\n", [][]byte{packet(replyChangeHeader, "\x00\x00\x00\x00SUBJECT\x00two\nlines\x00")}},
		{"deleted", ownField + "Subject: one\r\n\r\nbody\r\n.\r\n", [][]byte{packet(replyChangeHeader, "\x00\x00\x00\x01x-two\x00\x00")}},
		{"a CR in a field", ownField + "Subject: one\r\nX-Two:  a\r\n\tb\r\nN: a b\r\n\tc\r\n\r\nbody\r\n.\r\n", [][]byte{packet(replyAddHeader, "N\x00a\rb\r\nc\x00")}},
		{"another body", ownField + "Subject: one\r\nX-Two:  a\r\n\tb\r\n\r\nx y\r\nz\r\n", [][]byte{packet(replyBody, "x\ry\r"), packet(replyBody, "\nz")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, log := &shelf{}, &notes{}
			sn := begun(t, atEnd(tt.packets...).set(t, Milter{}), log)
			m := s.message(letter)
			first := m.Draft.(*draft)
			if r, err := sn.Message(m); err != nil || r.Action != mail.MilterContinue {
				t.Fatalf("%+v, %v; %s", r, err, log)
			}
			if whole(m) != tt.want || !first.aborted || s.open != 1 {
				t.Errorf("first aborted %v, %d open:\n%q, want\n%q", first.aborted, s.open, whole(m), tt.want)
			}
		})
	}
}

// What is refused, or cannot be done, leaves the draft to its owner and nothing else behind.
func TestNoTrace(t *testing.T) {
	body := packet(replyBody, strings.Repeat("x", 1000))
	field := packet(replyAddHeader, "N\x00v\x00")
	for _, tt := range []struct {
		name  string
		reply []byte
		err   string
		limit int64
		disk  bool
		want  mail.MilterAction
	}{
		{name: "refused", reply: bytes.Join([][]byte{body, field, packet(replyReject, "")}, nil), want: mail.MilterRefuse},
		{name: "dropped", reply: bytes.Join([][]byte{body, field, packet(replyDiscard, "")}, nil), want: mail.MilterDiscard},
		{name: "broken", reply: bytes.Join([][]byte{body, field, packet('Z', "")}, nil), want: mail.MilterRefuse},
		{name: "too long", reply: append(bytes.Repeat(body, 3), packet(replyContinue, "")...), limit: 2500, err: "552 5.3.4 Error: message file too big"},
		{name: "disk", reply: bytes.Join([][]byte{field, packet(replyContinue, "")}, nil), disk: true, err: errDisk.Error()},
		{name: "disk, but refused for now", reply: bytes.Join([][]byte{body, packet(replyTempfail, "")}, nil), disk: true, want: mail.MilterRefuse},
		{name: "disk, refused for good", reply: bytes.Join([][]byte{body, packet(replyReject, "")}, nil), disk: true, err: errDisk.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, log := &shelf{}, &notes{}
			sn := begun(t, script(func(cmd byte, _ []byte) []byte {
				if cmd == cmdEnd {
					return tt.reply
				}
				return nil
			}).set(t, Milter{}), log)
			m := s.message(letter)
			m.SizeLimit = tt.limit
			if tt.disk {
				s.err = errDisk
			}
			r, err := sn.Message(m)
			if got := errorText(err); got != tt.err || r.Action != tt.want {
				t.Errorf("%+v, %q; want %d, %q", r, got, tt.want, tt.err)
			}
			if s.open != 1 || whole(m) != ownField+letter {
				t.Errorf("%d drafts open, %q", s.open, whole(m))
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A milter that breaks off in the middle of another body has not replaced it.
func TestHalfABody(t *testing.T) {
	s, log := &shelf{}, &notes{}
	sn := begun(t, atEnd(packet(replyBody, "half"), packet('Z', "")).set(t, Milter{DefaultAction: Accept}), log)
	m := s.message(letter)
	if r, err := sn.Message(m); err != nil || r.Action != mail.MilterContinue || whole(m) != ownField+letter || s.open != 1 {
		t.Errorf("%+v, %v: %q", r, err, whole(m))
	}
}

// What a hostile milter can make us hold and wait for.
func TestBounds(t *testing.T) {
	many := func(one []byte) []byte { return bytes.Repeat(one, maxEdits/editPrice+2) }
	for _, tt := range []struct {
		name  string
		reply func() []byte
		want  string
	}{
		{"many fields", func() []byte { return many(packet(replyAddHeader, "N\x00\x00")) }, "unreasonable amount of modifications"},
		{"many recipients", func() []byte { return many(packet(replyAddRcpt, "<x@y.example>\x00")) }, "unreasonable amount of modifications"},
		{"large fields", func() []byte {
			return bytes.Repeat(packet(replyAddHeader, "N\x00"+strings.Repeat("x", maxEdits/2)+"\x00"), 3)
		}, "unreasonable amount of modifications"},
		{"a packet", func() []byte { return []byte{0xff, 0xff, 0xff, 0xff, replyBody} }, "unreasonable packet length: 4294967295 > 1048576"},
		{"no packet", func() []byte { return make([]byte, 4) }, "bad packet length: 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, log := &shelf{}, &notes{}
			sn := begun(t, script(func(cmd byte, _ []byte) []byte {
				if cmd == cmdEnd {
					return tt.reply()
				}
				return nil
			}).set(t, Milter{}), log)
			m := s.message(letter)
			m.Log = slog.New(log)
			r, err := sn.Message(m)
			if err != nil || r.Text != "451 4.7.1 Service unavailable - try again later" || !strings.Contains(log.String(), tt.want) {
				t.Errorf("%+v, %v; log:\n%s", r, err, log)
			}
		})
	}
}

// A header that is more than we remember is refused, not cut.
func TestHugeHeader(t *testing.T) {
	s, log := &shelf{}, &notes{}
	sn := begun(t, atEnd().set(t, Milter{}), log)
	_, err := sn.Message(s.message(strings.Repeat("A: b\r\n", maxHeader/fieldPrice+1) + "\r\n"))
	if errorText(err) != "552 5.3.4 Error: message header too big" {
		t.Errorf("%v", err)
	}
}

// Each wait has its limit, and so has the sum of them.
func TestTimeLimits(t *testing.T) {
	silent := script(func(cmd byte, _ []byte) []byte {
		if cmd == cmdMail {
			return []byte{}
		}
		return nil
	})
	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := &notes{}
			sn := silent.set(t, Milter{CommandTimeout: 7 * time.Second}).Session(t.Context(), slog.New(log), nil)
			defer sn.Close()
			sn.Connect(mail.MilterClient{Name: "unknown"})
			began := time.Now()
			r := sn.Mail([]string{"<a@b.example>"})
			if took := time.Since(began); took != 7*time.Second || r.Action != mail.MilterRefuse {
				t.Errorf("%+v after %s", r, took)
			}
			if want := "milter inet:test:1: can't read SMFIC_MAIL reply packet header: Connection timed out"; log.String() != want {
				t.Errorf("log %q, want %q", log, want)
			}
		})
	})
	t.Run("for ever at work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := &notes{}
			stop := make(chan struct{})
			defer close(stop)
			set := script(func(cmd byte, _ []byte) []byte { return nil }).set(t, Milter{CommandTimeout: 7 * time.Second})
			sn := set.Session(t.Context(), slog.New(log), nil)
			defer sn.Close()
			sn.Connect(mail.MilterClient{Name: "unknown"})
			began := time.Now()
			c := sn.clients[0]
			theirs := tick(c, stop)
			defer theirs()
			r := sn.Mail([]string{"<a@b.example>"})
			if took := time.Since(began); took != 70*time.Second || r.Action != mail.MilterRefuse {
				t.Errorf("%+v after %s; %s", r, took, log)
			}
		})
	})
	t.Run("the session is over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			log := &notes{}
			sn := silent.set(t, Milter{}).Session(ctx, slog.New(log), nil)
			defer sn.Close()
			sn.Connect(mail.MilterClient{Name: "unknown"})
			began := time.Now()
			time.AfterFunc(time.Second, cancel)
			if r := sn.Mail([]string{"<a@b.example>"}); r.Action != mail.MilterRefuse || time.Since(began) != time.Second {
				t.Errorf("%+v after %s", r, time.Since(began))
			}
		})
	})
}

// Replies in a milter's own words.
func TestReplyText(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		soft, ok bool
	}{
		{"550 5.7.1 no\x00", "550 5.7.1 no", false, true},
		{"550 5.7.1 no\x00", "450 4.7.1 no", true, true},
		{"550-5.7.1 a\r\n550 5.7.1 b\r\n\x00", "450-4.7.1 a\r\n450 4.7.1 b", true, true},
		{"451 at 100%% of 5%", "451 at 100% of 5", false, true},
		{"250 2.0.0 ok", "", false, false}, {"550 4.0.0 x", "", false, false}, {"5x0 x", "", false, false}, {"550", "", false, false},
		{"", "", false, false}, {"550x", "", false, false},
	} {
		if got, ok := replyText(tt.in, tt.soft); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: %q, %v; want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

// What a milter gets to see of a field is bounded by header_size_limit.
func TestHeaderLimit(t *testing.T) {
	var seen []string
	f := script(func(cmd byte, data []byte) []byte {
		if cmd == cmdHeader {
			seen = append(seen, string(data))
		}
		return nil
	})
	set := f.set(t, Milter{})
	set.cfg.HeaderLimit = 20
	s, log := &shelf{}, &notes{}
	m := s.message("Long: 0123456789\r\n 0123456789\r\nShort: x\r\n\r\n")
	if r, err := begun(t, set, log).Message(m); err != nil || r.Action != mail.MilterContinue {
		t.Fatal(r, err)
	}
	if want := "Long\x000123456789\n 0\x00,Short\x00x\x00"; strings.Join(seen, ",") != want {
		t.Errorf("%q, want %q", seen, want)
	}
}
