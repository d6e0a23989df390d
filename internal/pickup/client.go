package pickup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"aliasmx/internal/sock"
)

// ErrDown: no daemon takes mail on the socket.
var ErrDown = errors.New("mail system is down")

// answerWait is how long the daemon may take for a step: remote tables and a busy disk
// have their own, shorter limits.
const answerWait = 10 * time.Minute

// Submit hands a message to the daemon behind a socket. The daemon is asked before
// anything is read from body; body is read to its end, and may be of any size. An
// error means that nothing was taken: ErrDown, what reading body or r.Found returned,
// or that the connection failed. Otherwise the Reply is the daemon's answer.
//
// A connection that fails after the end was said leaves open whether the message was
// taken: that error is a *LostAnswerError.
func Submit(ctx context.Context, socket string, r Request, body io.Reader) (Reply, error) {
	l, done, err := dial(ctx, socket)
	if err != nil {
		return Reply{}, err
	}
	defer done()
	if reply, err := l.open(&r, modeSubmit); err != nil || reply != nil {
		return deref(reply), err
	}
	if err := l.sendMessage(&r, body); err != nil {
		if sendErr, ok := errors.AsType[*sendError](err); ok {
			// The daemon may have said why it stopped listening.
			if reply, err := l.answer(); err == nil {
				return reply, nil
			}
			return Reply{}, sendErr.error
		}
		return Reply{}, err
	}
	reply, err := l.answer()
	if err != nil {
		return Reply{}, &LostAnswerError{err}
	}
	return reply, nil
}

// LostAnswerError says that the daemon went away without an answer to a whole message.
type LostAnswerError struct{ Err error }

func (e *LostAnswerError) Error() string {
	return fmt.Sprintf("the mail system did not answer, the message may have been queued: %v", e.Err)
}

func (e *LostAnswerError) Unwrap() error { return e.Err }

// DialSMTP returns a connection to the daemon that is plain SMTP from here on; the
// server speaks first. A refusal is a *RefusedError.
func DialSMTP(ctx context.Context, socket string) (net.Conn, error) {
	l, done, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	reply, err := l.open(&Request{}, modeSMTP)
	if err == nil && reply != nil {
		err = &RefusedError{*reply}
	}
	if err != nil {
		done()
		return nil, err
	}
	l.conn.SetDeadline(time.Time{})
	return l.conn, nil
}

// RefusedError is an answer in place of a connection.
type RefusedError struct{ Reply Reply }

func (e *RefusedError) Error() string { return e.Reply.Text }

// dial connects. When ctx ends, so does the connection.
func dial(ctx context.Context, socket string) (*link, func(), error) {
	conn, err := sock.DialContext(ctx, socket)
	if err != nil {
		if sock.Down(err) {
			err = fmt.Errorf("%w (%w)", ErrDown, err)
		}
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return &link{conn: conn, timeout: answerWait}, func() { stop(); conn.Close() }, nil
}

// open sends the request. A nil Reply means: go ahead.
func (l *link) open(r *Request, mode string) (*Reply, error) {
	if err := r.check(mode); err != nil {
		return nil, err
	}
	request := r.encode(mode)
	if len(request) > maxFrame {
		return nil, fmt.Errorf("%w: a request of %d bytes", errProtocol, len(request))
	}
	werr := l.write(kindRequest, request)
	k, b, err := l.read()
	switch {
	case err == nil && k == kindGo && len(b) == 0:
		return nil, nil
	case err == nil && k == kindAnswer:
		reply, err := parseReply(b)
		return &reply, err
	case err == nil:
		err = fmt.Errorf("%w: frame of kind %q", errProtocol, byte(k))
	case werr != nil:
		err = werr
	case errors.Is(err, io.EOF):
		err = errors.New("the mail system closed the connection; it may be busy")
	}
	return nil, err
}

// sendError is an error of the connection, as opposed to one of the message's source.
type sendError struct{ error }

func (l *link) send(k kind, b []byte) error {
	if err := l.write(k, b); err != nil {
		return &sendError{err}
	}
	return nil
}

func (l *link) sendMessage(r *Request, body io.Reader) error {
	sendRcpts := func(b []byte) error { return l.send(kindRcpts, b) }
	if err := encodeRcpts(r.Rcpts, sendRcpts); err != nil {
		return err
	}
	buf := make([]byte, maxFrame)
	for {
		n, err := fill(body, buf)
		if err != nil && err != io.EOF {
			return err
		}
		if n > 0 {
			if err := l.send(kindData, buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
	}
	if r.Found != nil {
		found, err := r.Found()
		if err != nil {
			return err
		}
		if err := encodeRcpts(found, sendRcpts); err != nil {
			return err
		}
	}
	return l.send(kindEnd, nil)
}

// fill is io.ReadFull, but that the end of input is io.EOF also after some bytes: an
// io.ErrUnexpectedEOF of r itself must not look like that end.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

func (l *link) answer() (Reply, error) {
	k, b, err := l.read()
	if err != nil {
		return Reply{}, err
	}
	if k != kindAnswer {
		return Reply{}, fmt.Errorf("%w: frame of kind %q", errProtocol, byte(k))
	}
	return parseReply(bytes.Clone(b))
}

func deref(r *Reply) Reply {
	if r == nil {
		return Reply{}
	}
	return *r
}
