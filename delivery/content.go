package delivery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// errContent is content that could not be read, or is not as long as it was.
var errContent = errors.New("message content cannot be read")

// needs finds what keeps a message from a server that lacks an extension it needs. We
// convert nothing: the content leaves as it came or not at all.
func (s *session) needs(a *mail.Attempt) *failure {
	env := a.Env
	if f := s.needsTLS(a); f != nil {
		return f
	}
	if s.sizeLimit > 0 && size(a) > s.sizeLimit {
		return local(mail.Code(5, 3, 4), fmt.Sprintf("message size %d exceeds size limit %d of server %s", size(a), s.sizeLimit, s.place))
	}
	var f *failure
	switch {
	case !s.offers(extSMTPUTF8) && env.Flags&mail.FlagSMTPUTF8 != 0 && needsUTF8(a):
		f = local(mail.Code(5, 6, 7), "SMTPUTF8 is required, but was not offered by host "+s.place)
	case !s.offers(ext8BitMIME) && env.Flags&mail.FlagEightBit != 0 && !s.set.SendEightBit:
		f = local(mail.Code(5, 6, 3), "8BITMIME is required, but was not offered by host "+s.place)
	}
	if f != nil {
		f.elsewhere = true
	}
	return f
}

// size is what SIZE= tells: what we put on top, and the message below, if there is one.
func size(a *mail.Attempt) int64 {
	n := int64(len(a.Env.Prepend))
	if a.Body != nil {
		n += a.Body.Size()
	}
	return n
}

// needsUTF8 tells whether a message for which SMTPUTF8 was asked for needs it here: an
// address that is not ASCII, or such a byte in the header. An alias may well have led
// from a UTF-8 address to a plain one.
func needsUTF8(a *mail.Attempt) bool {
	sender := a.Env.Sender
	if !isASCII(sender.Local) || !isASCII(sender.Domain) {
		return true
	}
	for _, i := range a.Rcpts {
		if to := &a.Env.Rcpts[i].Final; !isASCII(to.Local) || !isASCII(to.Domain) {
			return true
		}
	}
	if a.Env.Flags&mail.FlagEightBit == 0 || a.Body == nil {
		return false
	}
	r, err := a.Body.Open()
	if err != nil {
		return false // sending it will fail
	}
	defer r.Close()
	for h := textproto.NewReader(bufio.NewReader(io.LimitReader(r, headerSearched))); ; {
		line, err := h.ReadLineBytes()
		if !isASCII(line) {
			return true
		}
		if err != nil || len(line) == 0 {
			return false
		}
	}
}

// headerSearched is how much of a message is searched for the end of its header.
const headerSearched = 1 << 20

// sendContent sends everything after 354, the final dot included. An error of errContent
// is ours; others are the connection's. rewrite, when not nil, replaces addresses in the
// header.
func (s *session) sendContent(a *mail.Attempt, signature []byte, body io.Reader, rewrite addressRewriter) error {
	s.dots.Reset(s.conn.Blocks(), s.set.LineLengthLimit)
	if err := s.sendTo(&s.dots, a, signature, body, rewrite); err != nil {
		return err
	}
	if !mayEnd(a) {
		return errGivenUp
	}
	s.dots.Close()
	if err := s.writer.deadline(); err != nil {
		return err
	}
	return s.conn.Flush()
}

// sendTo writes the content to dst, which leads to the server.
func (s *session) sendTo(dst io.Writer, a *mail.Attempt, signature []byte, body io.Reader, rewrite addressRewriter) error {
	limit := s.set.Timeouts.DataXfer
	w := &s.writer
	*w = contentWriter{s: s, dst: dst, wait: limit, until: time.Now().Add(limit)}
	if rate := s.set.MinDataRate; rate > 0 {
		w.until = w.until.Add(time.Duration(float64(size(a)) / float64(rate) * float64(time.Second)))
	} else {
		w.until = time.Time{}
	}
	n, err := w.send(a, signature, body, rewrite)
	switch {
	case w.err != nil:
		return w.err
	case err != nil:
		return fmt.Errorf("%w: %w", errContent, err)
	case n != a.Body.Size():
		return fmt.Errorf("%w: %d bytes in place of %d", errContent, n, a.Body.Size())
	}
	return nil
}

// contentWriter sends blocks, each within a time limit, all of them within another that
// grows with the size: a server that takes a byte now and then is not waited for.
type contentWriter struct {
	s     *session
	dst   io.Writer
	wait  time.Duration
	until time.Time // zero: no limit in all
	err   error     // of the connection
}

// contentBlock is what has to get away within one time limit. At Postfix's 180 seconds
// that is a line of a hundred bytes a second: slower ones would fail whatever the rate.
const contentBlock = 16 << 10

// send sends what stands above a message, and its body.
func (w *contentWriter) send(a *mail.Attempt, signature []byte, body io.Reader, rewrite addressRewriter) (int64, error) {
	ctx, rules := context.Background(), w.s.set.checksOf(w.s.proto)
	if rules != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.wait)
		defer cancel()
	}
	dst, above, end, err := w.through(ctx, a, rules, rewrite)
	if err != nil {
		return 0, err
	}
	for _, b := range [...][]byte{signature, above} {
		if _, err := w.Write(b); err != nil {
			return 0, err
		}
	}
	n, err := w.copy(dst, body)
	if err == nil && end != nil {
		err = end()
	}
	return n, err
}

// copy brings a body to dst, which leads here. A body that can write itself is let to,
// in blocks.
func (w *contentWriter) copy(dst io.Writer, body io.Reader) (int64, error) {
	if wt, ok := body.(io.WriterTo); ok {
		return wt.WriteTo(dst)
	}
	return io.CopyBuffer(struct{ io.Writer }{dst}, body, w.s.block())
}

func (w *contentWriter) Write(p []byte) (n int, _ error) {
	for len(p) > 0 {
		b := p[:min(len(p), contentBlock)]
		if w.err = w.deadline(); w.err == nil {
			_, w.err = w.dst.Write(b)
		}
		if w.err != nil {
			return n, w.err
		}
		n += len(b)
		p = p[len(b):]
	}
	return n, nil
}

func (w *contentWriter) deadline() error {
	wait := w.wait
	if !w.until.IsZero() {
		if wait = min(wait, time.Until(w.until)); wait <= 0 {
			return os.ErrDeadlineExceeded
		}
	}
	w.s.conn.SetTimeout(wait)
	return nil
}

// block is a buffer for bodies that are read.
func (s *session) block() []byte {
	if s.buffer == nil {
		s.buffer = make([]byte, contentBlock)
	}
	return s.buffer
}

// refusedEarly finds out whether the server has refused the message before it had all of
// it: then its reply has come, and the connection broke only for us.
func (s *session) refusedEarly(err error) bool {
	if wire.IsTimeout(err) {
		return false
	}
	s.conn.SetTimeout(s.set.Timeouts.Rset)
	return s.conn.ReadRefusal(&s.reply) == nil
}

// changed logs what the dot writer had to change, which is nothing for a message that
// was stored as it should be.
func (s *session) changed(id mail.QueueID) {
	if n := s.dots.Broken; n > 0 {
		s.log.Info(fmt.Sprintf("breaking line > %d bytes with <CR><LF>SPACE", s.set.LineLengthLimit), mail.KeyQueueID, id.String())
	}
	if n := s.dots.Changed; n > 0 {
		s.log.Warn(fmt.Sprintf("message content has %d stray <CR> or <LF>: sent as space or <CR><LF>", n), mail.KeyQueueID, id.String())
	}
}
