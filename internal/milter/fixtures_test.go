package milter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// draft is a mail.Draft in memory.
type draft struct {
	bytes.Buffer
	shelf   *shelf
	aborted bool
}

func (d *draft) Body() (mail.Body, error)                     { return content(d.String()), nil }
func (d *draft) Commit(context.Context, *mail.Envelope) error { return nil }
func (d *draft) Abort() {
	if !d.aborted {
		d.aborted = true
		d.shelf.open--
	}
}

type content string

func (c content) Size() int64 { return int64(len(c)) }
func (c content) Open() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(c))), nil
}

// shelf is where drafts come from.
type shelf struct {
	open int // neither committed nor aborted
	err  error
}

func (s *shelf) stage() (mail.Draft, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.open++
	return &draft{shelf: s}, nil
}

const ownField = "Received: by us\r\n"

// message is a message with this content.
func (s *shelf) message(text string) *mail.MilterMessage {
	d, _ := s.stage()
	io.WriteString(d, text)
	return &mail.MilterMessage{
		ID: 1, Prepend: []byte(ownField), Received: len(ownField), Draft: d, Stage: s.stage, Log: slog.New(slog.DiscardHandler),
	}
}

func whole(m *mail.MilterMessage) string { return string(m.Prepend) + m.Draft.(*draft).String() }

// notes is a log that keeps its lines.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) Enabled(context.Context, slog.Level) bool { return true }
func (n *notes) WithAttrs([]slog.Attr) slog.Handler       { return n }
func (n *notes) WithGroup(string) slog.Handler            { return n }
func (n *notes) Handle(_ context.Context, r slog.Record) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, r.Message)
	return nil
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}

// packet is a packet of a milter.
func packet(code byte, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	return append(append(b, code), data...)
}

func optionsPacket(events uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, 6)
	b = binary.BigEndian.AppendUint32(b, allActions)
	return packet(cmdOptions, string(binary.BigEndian.AppendUint32(b, events)))
}

// script answers the events of a milter: what it returns for a command is sent; nil: go on.
type script func(cmd byte, data []byte) []byte

// set is a set of one milter that follows a script, over pipes.
func (f script) set(t *testing.T, m Milter) *Set {
	m.Name, m.Network, m.Address = "inet:test:1", "tcp", "test:1"
	for _, d := range []*time.Duration{&m.ConnectTimeout, &m.CommandTimeout, &m.ContentTimeout} {
		if *d == 0 {
			*d = 30 * time.Second
		}
	}
	if m.Protocol.Version == 0 {
		m.Protocol.Version = 6
	}
	dial := func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go f.serve(theirs)
		return ours, nil
	}
	return New(&Config{MyHostname: "mx.example", Dial: dial}, []Milter{m})
}

func (f script) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		cmd, n, err := readHead(r, 0)
		if err != nil {
			return
		}
		data, err := readData(r, n)
		if err != nil || cmd == cmdQuit {
			return
		}
		if cmd == cmdMacro || cmd == cmdAbort {
			continue
		}
		out := f(cmd, data)
		switch {
		case out == nil && cmd == cmdOptions:
			out = optionsPacket(0)
		case out == nil:
			out = packet(replyContinue, "")
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// begun is a session whose milter has heard of the connection and the envelope.
func begun(t *testing.T, s *Set, log *notes) *Session {
	t.Helper()
	sn := s.Session(t.Context(), slog.New(log), nil)
	t.Cleanup(sn.Close)
	for _, r := range []mail.MilterReply{
		sn.Connect(mail.MilterClient{Name: "unknown"}), sn.Helo("client.example"), sn.Mail([]string{"<a@b.example>"}),
		sn.Rcpt([]string{"<c@d.example>"}, false), sn.Data(),
	} {
		if r.Action != mail.MilterContinue {
			t.Fatalf("refused: %+v; %s", r, log)
		}
	}
	return sn
}

// replies is a script that sends packets at the end of the message, and then goes on.
func atEnd(packets ...[]byte) script {
	return func(cmd byte, _ []byte) []byte {
		if cmd != cmdEnd {
			return nil
		}
		return append(bytes.Join(packets, nil), packet(replyContinue, "")...)
	}
}

var errDisk = errors.New("disk on fire")

// tick puts a milter that says again and again that it still works in place of a client's.
func tick(c *client, stop chan struct{}) (wait func()) {
	ours, theirs := net.Pipe()
	c.conn.Close()
	c.conn, c.r, c.w = ours, bufio.NewReader(ours), bufio.NewWriter(ours)
	var both sync.WaitGroup
	both.Go(func() { io.Copy(io.Discard, theirs) })
	both.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
			}
			if _, err := theirs.Write(packet(replyProgress, "")); err != nil {
				return
			}
		}
	})
	return func() { ours.Close(); both.Wait() }
}
