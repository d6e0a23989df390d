package smtpd

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/smuggle"
	"aliasmx/internal/wire"
)

// SMTP smuggling against the whole server: a message with something in it that is not its
// end, commands of a second message behind that, and commands behind its end.

const (
	smuggledBegin = "Subject: first\r\n\r\nbefore"
	smuggled      = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\nSubject: second\r\n\r\nsmuggled\r\n"
)

var bareLFModes = []wire.BareLF{wire.BareLFNormalize, wire.BareLFReject, wire.BareLFAllow}

// endsIfAllowed are what ends a message with smtpd_forbid_bare_newline = no, in Postfix as
// here. That is why nobody should set it.
var endsIfAllowed = smuggle.Server{Ends: []string{"\r\n.\r\n", "\n.\n", "\n.\r\n", "\r\n.\n"}}

// expected is what a message must have become.
type expected struct {
	body    string // of the only message; "": there is none
	codes   string // of the replies from the one to the message on
	smuggle bool   // the sequence is one that "no" lets end a message: it makes two
}

func expectData(seq string, mode wire.BareLF, replace bool) expected {
	keep := smuggle.Kept
	if mode == wire.BareLFAllow {
		keep = smuggle.KeptAllowed
	}
	body, left, ended := keep(smuggledBegin+seq+smuggled+".\r\nQUIT\r\n", replace)
	if !ended || left != "QUIT\r\n" {
		panic("the sequence is the end itself")
	}
	_, left, _ = endsIfAllowed.Split(smuggledBegin + seq + smuggled + ".\r\nQUIT\r\n")
	switch bare := strings.Contains(strings.ReplaceAll(smuggledBegin+seq+smuggled, "\r\n", ""), "\n"); {
	case mode == wire.BareLFReject && bare:
		return expected{codes: "550 221"}
	case mode == wire.BareLFAllow && left != "QUIT\r\n":
		return expected{smuggle: true}
	}
	return expected{body: body, codes: "250 221"}
}

func expectChunks(seq string, mode wire.BareLF, replace bool) expected {
	content := smuggledBegin + seq + smuggled + ".\r\n"
	if mode == wire.BareLFReject && strings.Contains(strings.ReplaceAll(content, "\r\n", ""), "\n") {
		return expected{codes: "550 221"}
	}
	return expected{body: smuggle.KeptChunks(content, replace), codes: "250 221"}
}

// check compares with what the server said, from the reply to the message on, and kept.
func (o expected) check(t *testing.T, what, said string, kept []message) {
	t.Helper()
	switch {
	case o.smuggle:
	case codes(said) != o.codes:
		t.Fatalf("%s: the server said %q, want %s", what, said, o.codes)
	case o.body == "" && len(kept) != 0 || o.body != "" && len(kept) != 1:
		t.Fatalf("%s: %d messages", what, len(kept))
	case o.body != "" && kept[0].body != o.body:
		t.Fatalf("%s: kept %q, want %q", what, kept[0].body, o.body)
	}
}

func (w *world) set(mode wire.BareLF, replace bool) {
	w.o.ForbidBareNewline, w.o.ReplaceStrayCR = mode, replace
	w.srv.Update(w.o)
	w.store.mu.Lock()
	w.store.messages = nil
	w.store.mu.Unlock()
}

func (w *world) kept() []message {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.messages
}

var envelopeSteps = []string{"EHLO client.example.net\r\n", "MAIL FROM:<good@example.net>\r\n", "RCPT TO:<a@virt.example>\r\n"}

// smuggleInMemory tries one sequence in some modes and cut in many ways.
func smuggleInMemory(t *testing.T, w *world, modes []wire.BareLF, seq string, cuts [][2]string, sizes []int) {
	t.Helper()
	for _, mode := range modes {
		for _, replace := range []bool{false, true} {
			data, chunks := expectData(seq, mode, replace), expectChunks(seq, mode, replace)
			for _, size := range sizes {
				for _, cut := range cuts {
					what := fmt.Sprintf("%q cut at %q in packets of %d, mode %d, stray CRs replaced: %v", seq, cut, size, mode, replace)
					w.set(mode, replace)
					before := append(append([]string{}, envelopeSteps...), "DATA\r\n", smuggledBegin+cut[0], cut[1]+smuggled+".\r\nQUIT\r\n")
					said := w.play(&tape{steps: before, size: size})
					_, after, _ := strings.Cut(said, "354 End data with <CR><LF>.<CR><LF>\r\n")
					data.check(t, "DATA: "+what, after, w.kept())

					w.set(mode, replace)
					content := smuggledBegin + seq + smuggled + ".\r\n"
					first := len(smuggledBegin) + len(cut[0])
					steps := append(append([]string{}, envelopeSteps...),
						fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%sQUIT\r\n", first, content[:first], len(content)-first, content[first:]))
					said = w.play(&tape{steps: steps, size: size})
					_, after, _ = strings.Cut(said, fmt.Sprintf("250 2.0.0 Ok: %d bytes\r\n", first))
					chunks.check(t, "BDAT: "+what, after, w.kept())
				}
			}
		}
	}
}

// cutsOf are all ways to have a sequence in two packets.
func cutsOf(seq string) (cuts [][2]string) {
	for i := range len(seq) + 1 {
		cuts = append(cuts, [2]string{seq[:i], seq[i:]})
	}
	return cuts
}

func quiet(t *testing.T) *world {
	w := usual(t)
	w.o.ForbidUnauthPipelining, w.o.Log = true, nil
	return w.start()
}

func TestPublicSmugglingInMemory(t *testing.T) {
	w := quiet(t)
	for _, s := range smuggle.Public(t) {
		smuggleInMemory(t, w, bareLFModes, s.Bytes, cutsOf(s.Bytes), []int{0, 1, 2, 3})
	}
}

func TestOwnSmugglingInMemory(t *testing.T) {
	w := quiet(t)
	for _, s := range smuggle.Own() {
		smuggleInMemory(t, w, bareLFModes, s.Bytes, cutsOf(s.Bytes), []int{0, 1})
	}
}

// All strings of up to six bytes that matter, through the whole server.
func TestEveryShortSmuggling(t *testing.T) {
	longest := 6
	if testing.Short() {
		longest = 4
	}
	w := quiet(t)
	for s := range smuggle.Short(longest) {
		if _, _, ended := smuggle.Strict().Split(smuggledBegin + s + smuggled); !ended {
			modes := bareLFModes
			if len(s) > 5 { // most of all: as it is by default
				modes = modes[:1]
			}
			smuggleInMemory(t, w, modes, s, [][2]string{{s[:len(s)/2], s[len(s)/2:]}}, []int{0})
		}
	}
}

// The same over sockets, in the clear and behind STARTTLS.
func TestSmugglingOverSockets(t *testing.T) {
	list := smuggle.Own()
	t.Run("own", func(t *testing.T) { smuggleOverSockets(t, list) })
	t.Run("public", func(t *testing.T) { smuggleOverSockets(t, smuggle.Public(t)) })
}

func smuggleOverSockets(t *testing.T, list []smuggle.Sequence) {
	cert, _ := certificate(t, "mx.example.com")
	w := usual(t)
	w.o.TLS = &TLS{Config: &tls.Config{Certificates: []tls.Certificate{cert}}, Timeout: time.Minute}
	w.o.LocalClients, w.o.Log, w.o.ForbidUnauthPipelining = nil, nil, true
	addr := listen(t, w)
	for _, s := range list {
		for i, mode := range bareLFModes {
			for _, secure := range []bool{false, true} {
				replace, cut := i%2 == 0, cutsOf(s.Bytes)[i%(len(s.Bytes)+1)]
				what := fmt.Sprintf("%s, cut at %q, mode %d, TLS %v", s.Name, cut, mode, secure)
				w.set(mode, replace)
				said := overSocket(t, addr, secure, append(envelopeSteps, "DATA\r\n"), smuggledBegin+cut[0], cut[1]+smuggled+".\r\nQUIT\r\n")
				expectData(s.Bytes, mode, replace).check(t, "DATA: "+what, said, w.kept())

				w.set(mode, replace)
				content := smuggledBegin + s.Bytes + smuggled + ".\r\n"
				first := len(smuggledBegin) + len(cut[0])
				said = overSocket(t, addr, secure, envelopeSteps, fmt.Sprintf("BDAT %d\r\n%s", first, content[:first]),
					fmt.Sprintf("BDAT %d LAST\r\n%sQUIT\r\n", len(content)-first, content[first:]))
				said = strings.TrimPrefix(said, fmt.Sprintf("250 2.0.0 Ok: %d bytes\r\n", first))
				expectChunks(s.Bytes, mode, replace).check(t, "BDAT: "+what, said, w.kept())
			}
		}
	}
}

// overSocket sends lines, waiting for the reply to each, then packets without waiting, and
// returns what is said to those.
func overSocket(t *testing.T, addr string, secure bool, lines []string, packets ...string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	hear := func() {
		var b [1024]byte
		for all := ""; !strings.HasSuffix(all, "\r\n") || codes(all) == ""; {
			n, err := nc.Read(b[:])
			if err != nil {
				t.Fatalf("%v after %q", err, all)
			}
			all += string(b[:n])
		}
	}
	hear()
	if secure {
		for _, line := range []string{"EHLO x\r\n", "STARTTLS\r\n"} {
			io.WriteString(nc, line)
			hear()
		}
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	for _, line := range lines {
		io.WriteString(nc, line)
		hear()
	}
	for _, p := range packets {
		io.WriteString(nc, p)
	}
	said, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}
