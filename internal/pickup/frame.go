package pickup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// kind says what a frame holds.
type kind byte

const (
	kindRequest kind = 'Q'
	kindGo      kind = 'G'
	kindRcpts   kind = 'R'
	kindData    kind = 'D'
	kindEnd     kind = 'E'
	kindAnswer  kind = 'A'
)

// maxFrame is the longest content of a frame.
const maxFrame = 64 << 10

const frameHeader = 5

// errProtocol: the other side does not speak this protocol.
var errProtocol = errors.New("protocol error")

// link is a connection that speaks in frames. It reads not one byte more than a frame
// has, so that the connection can change to SMTP after one.
type link struct {
	conn net.Conn
	buf  []byte // of the frame read last, reused

	mu      sync.Mutex    // guards timeout, and that the deadlines are by it
	timeout time.Duration // for each wait, in either direction
}

// hurry shortens each wait from now on, the one under way included. It may be called
// by another goroutine.
func (l *link) hurry(timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timeout = min(l.timeout, timeout)
	l.conn.SetDeadline(time.Now().Add(l.timeout))
}

// wait begins a wait.
func (l *link) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn.SetDeadline(time.Now().Add(l.timeout))
}

// read returns the next frame; its content is valid until the next read. The end of
// input between frames is io.EOF, within one io.ErrUnexpectedEOF.
func (l *link) read() (kind, []byte, error) {
	var head [frameHeader]byte
	if err := l.fill(head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", errProtocol, n)
	}
	if l.buf == nil {
		l.buf = make([]byte, maxFrame)
	}
	content := l.buf[:n]
	if err := l.fill(content); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return kind(head[0]), content, nil
}

func (l *link) fill(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	l.wait()
	_, err := io.ReadFull(l.conn, p)
	return err
}

// write sends one frame.
func (l *link) write(k kind, content []byte) error {
	frame := make([]byte, frameHeader, frameHeader+len(content))
	frame[0] = byte(k)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(content)))
	l.wait()
	_, err := l.conn.Write(append(frame, content...))
	return err
}
