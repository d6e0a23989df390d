package milter

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// FuzzMilter: whatever a milter sends, the session ends with a reply that SMTP can say, no
// draft is left over, and a message that is taken still has the lines of its body, or else
// another body that is as messages are. It is given the whole stream at once.
func FuzzMilter(f *testing.F) {
	ok := packet(replyContinue, "")
	begin := bytes.Join([][]byte{optionsPacket(noHeaders | noEOH | noBody), ok, ok, ok, ok, ok}, nil)
	for _, end := range [][]byte{
		ok, packet(replyAddHeader, "A\x00b\x00"), packet(replyInsertHeader, "\x00\x00\x00\x01A\x00b\nc\x00"), packet(replyChangeHeader, "\x00\x00\x00\x01Subject\x00\x00"),
		packet(replyBody, "new\rbody\n"), packet(replyQuarantine, "odd\x00"), packet(replyCode, "550 5.7.1 %%\x00"), packet(replyAddRcptPar, "<a@b>\x00NOTIFY=NEVER ORCPT=x;+2B\x00"),
		packet(replyChangeFrom, "<a@b>\x00RET=FULL ENVID=+41\x00"), packet(replyDelRcpt, "<c@d.example>\x00"), packet(replyProgress, ""), packet('Z', "x"), {0xff},
	} {
		f.Add(append(append(slices.Clone(begin), end...), ok...))
	}
	f.Add(packet(cmdOptions, "\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01a b\x00"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		set := script(nil).set(t, Milter{CommandTimeout: time.Second, ContentTimeout: time.Second})
		sn := set.Session(t.Context(), slog.New(slog.DiscardHandler), nil)
		defer sn.Close()
		c := sn.clients[0]
		c.conn, c.r, c.w, c.leave = deaf{}, bufio.NewReader(bytes.NewReader(stream)), bufio.NewWriter(deaf{}), func() bool { return true }
		c.negotiate()
		if c.state == stateReady {
			c.state = stateEnvelope
		}
		s := &shelf{}
		m := s.message(letter)
		for _, r := range []mail.MilterReply{sn.Helo("h"), sn.Mail([]string{"<a@b>"}), sn.Rcpt([]string{"<c@d>"}, false), sn.Data()} {
			sayable(t, r)
		}
		r, err := sn.Message(m)
		sayable(t, r)
		if s.open != 1 {
			t.Fatalf("%d drafts open", s.open)
		}
		if err != nil || r.Action != mail.MilterContinue && r.Action != mail.MilterHold {
			if whole(m) != ownField+letter {
				t.Fatalf("changed all the same: %q", whole(m))
			}
			return
		}
		got := whole(m)
		if !strings.Contains(got, ownField) || strings.Contains(strings.ReplaceAll(got, "\r\n", ""), "\r") || strings.Contains(strings.ReplaceAll(got, "\r\n", ""), "\n") {
			t.Fatalf("not as messages are: %q", got)
		}
		if !bytes.Contains(stream, []byte{replyBody}) && !strings.HasSuffix(got, "\r\n\r\nbody\r\n.\r\n") {
			t.Fatalf("another body: %q", got)
		}
	})
}

func sayable(t *testing.T, r mail.MilterReply) {
	t.Helper()
	if said := r.Said(); r.Action != mail.MilterContinue && r.Action != mail.MilterHold && r.Action != mail.MilterDiscard && (len(said) < 4 || said[0] != '4' && said[0] != '5') {
		t.Fatalf("%+v cannot be said", r)
	}
}

// deaf is a connection that takes everything.
type deaf struct{ net.Conn }

func (deaf) Write(p []byte) (int, error) { return len(p), nil }
func (deaf) Close() error                { return nil }
func (deaf) SetDeadline(time.Time) error { return nil }

// FuzzStrings: what is written as strings is read as the same ones.
func FuzzStrings(f *testing.F) {
	f.Add("a", "b")
	f.Add("", "\x00")
	f.Fuzz(func(t *testing.T, a, b string) {
		got, err := cutStrings(appendString(appendString(nil, a), b), 2, 0)
		want := []string{strings.ReplaceAll(a, "\x00", "?"), strings.ReplaceAll(b, "\x00", "?")}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
}

// FuzzEdits: modifications of the header are those of a model that is a list of lines.
func FuzzEdits(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 1, 2, 0, 2, 3, 1, 0})
	f.Add([]byte{1, 0, 3, 1, 5, 0, 2, 1, 1, 2, 1, 1, 3, 2, 0, 0, 9, 9})
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := &shelf{}
		m := s.message("A: 1\r\nB: 1\r\nA: 2\r\n c\r\n\r\nbody\r\n")
		e, err := newEditor(m)
		if err != nil {
			t.Fatal(err)
		}
		model := []string{ownField, "A: 1\r\n", "B: 1\r\n", "A: 2\r\n c\r\n"}
		for ; len(ops) >= 3; ops = ops[3:] {
			name, n := string(rune('A'+ops[1]%3)), int(ops[2]%6)
			value := fmt.Sprint("v", len(ops))
			line := name + ": " + value + "\r\n"
			at, left := -1, max(n, 1)
			for i, l := range model {
				if strings.HasPrefix(l, name+":") {
					if left--; left == 0 {
						at = i
					}
				}
			}
			switch ops[0] % 4 {
			case 0:
				e.insert(len(e.fields), name, " ", value)
				model = append(model, line)
			case 1:
				e.insert(n, name, " ", value)
				model = slices.Insert(model, min(n, len(model)), line)
			case 2:
				e.change(uint32(max(n, 1)), name, " ", value)
				if at < 0 {
					model = append(model, line)
				} else {
					model[at] = line
				}
			case 3:
				e.change(uint32(max(n, 1)), name, " ", "")
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
			}
		}
		if err := e.finish(); err != nil {
			t.Fatal(err)
		}
		e.close()
		if got, want := whole(m), strings.Join(model, "")+"\r\nbody\r\n"; got != want || s.open != 1 {
			t.Errorf("%d open, %q, want %q", s.open, got, want)
		}
	})
}
