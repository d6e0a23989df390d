package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"aliasmx/integration/smuggle"
)

// SMTP smuggling against the codecs: one message in is one message, and one message out is
// one message for every server that could be at the other end.

// readDots reads one message that comes in pieces of the given size (0: as a whole), and
// what is left behind it.
func readDots(in string, size int, mode BareLF, replace bool) (message, left string, err error) {
	if size == 0 {
		size = max(len(in), 1)
	}
	r := bufio.NewReaderSize(&pieces{in, size}, 16)
	var got strings.Builder
	_, err = NewDotReader(r, mode, replace).WriteTo(&got)
	rest, _ := io.ReadAll(r)
	return got.String(), string(rest), err
}

// writeDots sends a message in blocks of the given size.
func writeDots(message string, size int) string {
	var out bytes.Buffer
	w := bufio.NewWriterSize(&out, 16)
	var d DotWriter
	d.Reset(w, 0)
	for p := range (pieces{message, size}).all {
		io.WriteString(&d, p)
	}
	d.Close()
	w.Flush()
	return out.String()
}

// all are the pieces.
func (p pieces) all(yield func(string) bool) {
	for p.s != "" {
		n := min(p.n, len(p.s))
		if n == 0 {
			n = len(p.s)
		}
		if !yield(p.s[:n]) {
			return
		}
		p.s = p.s[n:]
	}
}

const (
	begunWith = "Subject: first\r\n\r\nbefore"
	behind    = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\nSubject: second\r\n\r\nx\r\n"
	theEnd    = ".\r\n"
	next      = "MAIL FROM:<good@example.net>\r\n"
)

// checkInbound sends a message with a sequence in it to the reader.
func checkInbound(t *testing.T, name, seq string, sizes ...int) {
	t.Helper()
	for _, mode := range []BareLF{BareLFNormalize, BareLFReject, BareLFAllow} {
		for _, replace := range []bool{false, true} {
			in := begunWith + seq + behind + theEnd + next
			want, left, ended := naiveDots(in, mode, replace)
			if !ended {
				t.Fatalf("%s: %q never ends", name, seq)
			}
			proper, _, _ := smuggle.Strict().Split(in)
			if mode != BareLFAllow && len(in)-len(left) != len(proper)+len("\r\n")+len(theEnd) {
				t.Fatalf("%s: %q: the naive model is wrong: %q is left", name, seq, left)
			}
			for _, size := range sizes {
				got, rest, err := readDots(in, size, mode, replace)
				if refused := errors.Is(err, ErrBareLF); err != nil && (!refused || mode != BareLFReject) {
					t.Fatalf("%s: %q, mode %d: %v", name, seq, mode, err)
				} else if mode == BareLFReject && refused != hasBareLF(in[:len(in)-len(left)]) {
					t.Fatalf("%s: %q: refused: %v", name, seq, refused)
				}
				if got != want || rest != left {
					t.Fatalf("%s: %q in pieces of %d, mode %d, replace %v:\n got %q, left %q\nwant %q, left %q", name, seq, size, mode, replace, got, rest, want, left)
				}
			}
		}
	}
}

func hasBareLF(s string) bool { return strings.Contains(strings.ReplaceAll(s, "\r\n", ""), "\n") }

// checkOutbound sends a message with a sequence in it to every server that there is.
func checkOutbound(t *testing.T, servers []smuggle.Server, name, message string, sizes ...int) {
	t.Helper()
	for _, size := range sizes {
		sent := writeDots(message, size)
		for _, s := range servers {
			_, rest, ended := s.Split(sent + "QUIT")
			if !ended || rest != "QUIT" {
				t.Fatalf("%s: %q in blocks of %d, to a server that %s: sent %q, of which it takes %q for commands", name, message, size, s.Name, sent, rest)
			}
		}
	}
}

func everyServer() []smuggle.Server { return append(smuggle.Lax(), smuggle.Strict()) }

func checkBothWays(t *testing.T, list []smuggle.Sequence) {
	servers := everyServer()
	for _, s := range list {
		t.Run(s.Name, func(t *testing.T) {
			sizes := make([]int, 0, 40)
			for n := range len(begunWith) + len(s.Bytes) + 3 {
				sizes = append(sizes, n)
			}
			checkInbound(t, s.Name, s.Bytes, sizes...)
			// As it was in an older queue, and as it is after DATA and after BDAT.
			raw := begunWith + s.Bytes + behind
			checkOutbound(t, servers, s.Name, raw, sizes...)
			for _, replace := range []bool{false, true} {
				got, _, err := readDots(raw+theEnd, 0, BareLFNormalize, replace)
				if err != nil {
					t.Fatal(err)
				}
				checkOutbound(t, servers, s.Name+", by DATA", got, 0, 1, 2, 3)
				var chunks strings.Builder
				l := NewLineWriter(&chunks, replace)
				io.WriteString(l, raw)
				l.Close()
				checkOutbound(t, servers, s.Name+", by BDAT", chunks.String(), 0, 1, 2, 3)
			}
		})
	}
}

func TestPublicEndsOfData(t *testing.T) { checkBothWays(t, smuggle.Public(t)) }

func TestOwnEndsOfData(t *testing.T) { checkBothWays(t, smuggle.Own()) }

// Every string of up to six of the bytes that matter, inside a message.
func TestEveryShortSequence(t *testing.T) {
	longest := 6
	if testing.Short() {
		longest = 4
	}
	servers := everyServer()
	servers = servers[len(servers)-6:] // of those that take one sequence the last takes all
	servers = append(servers, smuggle.Lax()[:4]...)
	for s := range smuggle.Short(longest) {
		if _, _, ended := smuggle.Strict().Split(begunWith + s + behind); !ended {
			checkInbound(t, "inside", s, 0, 1, 7)
		}
		checkOutbound(t, servers, "raw", "x"+s+"MAIL\r\n", 0, 1)
		checkOutbound(t, servers, "alone", s, 0, 1)
	}
}

// What came is what leaves: with CRLF line ends nothing is changed on the way through both
// codecs, except the NULs of which DotWriter tells.
func TestShortRoundTrip(t *testing.T) {
	nulsAtDot := regexp.MustCompile(`(?m)^\x00+\.`)
	for s := range smuggle.Short(6) {
		message := s + "\r\n"
		sent := writeDots(message, 0)
		got, left, err := readDots(sent, 1, BareLFNormalize, false)
		if err != nil || left != "" {
			t.Fatalf("%q was sent as %q: left %q, %v", message, sent, left, err)
		}
		if strings.ContainsAny(strings.ReplaceAll(message, "\r\n", ""), "\r\n") || nulsAtDot.MatchString(message) {
			continue
		}
		if got != message {
			t.Fatalf("%q was sent as %q and arrived as %q", message, sent, got)
		}
	}
}
