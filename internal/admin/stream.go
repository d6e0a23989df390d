package admin

import (
	"bufio"
	"encoding/json"
	"net/http"
	"time"

	"aliasmx/internal/mail"
)

// Answers that are streams: lines of JSON, sent as they come. However slow they come, the
// client sees each within a moment, and a client that does not read ends the work.

// soon is how long a line may wait for others to go with it.
const soon = 200 * time.Millisecond

// stream sends lines. It is used by one goroutine.
type stream struct {
	buf  *bufio.Writer
	enc  *json.Encoder
	now  func() time.Time
	line []byte    // a message, to be used again
	sent time.Time // when the buffer was last empty for sure
	err  error
}

// deadlineWriter gives each write to the client its own deadline: how long a whole
// listing takes depends on the queue.
type deadlineWriter struct {
	w       http.ResponseWriter
	c       *http.ResponseController
	timeout time.Duration
}

func (d deadlineWriter) Write(p []byte) (int, error) {
	d.c.SetWriteDeadline(time.Now().Add(d.timeout))
	n, err := d.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, d.c.Flush()
}

func (s *Server) stream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	buf := bufio.NewWriterSize(deadlineWriter{w, http.NewResponseController(w), s.o.Timeout}, 32<<10)
	return &stream{buf: buf, enc: json.NewEncoder(buf), now: s.o.Now}
}

// send reports whether the client is still there. The first line goes at once.
func (s *stream) send(line any) bool {
	if s.err == nil {
		s.err = s.enc.Encode(line)
	}
	return s.goOn()
}

// list is send for a message.
func (s *stream) list(m mail.Listed) bool {
	if s.err == nil {
		s.line = appendListed(s.line[:0], &m)
		_, s.err = s.buf.Write(s.line)
	}
	return s.goOn()
}

func (s *stream) goOn() bool {
	if s.err == nil && s.now().Sub(s.sent) >= soon {
		s.flush()
	}
	return s.err == nil
}

func (s *stream) flush() {
	if s.err == nil {
		s.err = s.buf.Flush()
	}
	s.sent = s.now()
}

// finish sends the last line. The status has long been sent: an error is told in it.
func (s *stream) finish(err error) {
	last := trailer{End: err == nil}
	if err != nil {
		last.Error = err.Error()
	}
	if s.send(last) {
		s.flush()
	}
}

// How often long work tells how far it is: the client, and the log.
const (
	tellEvery = time.Second
	logEvery  = time.Minute
)

// report returns what tells the client of a stream, every second, and the log, every
// minute, how far the work is. What names it in the log; "": the log is not told.
func (s *Server) report(out *stream, what string, r *http.Request) Progress {
	told, logged := s.o.Now(), s.o.Now()
	return func(done, total int64) {
		now := s.o.Now()
		if now.Sub(told) >= tellEvery {
			told = now
			out.send(trailer{Progress: &progressLine{done, total}})
			out.flush()
		}
		if what != "" && now.Sub(logged) >= logEvery {
			logged = now
			s.operated(r, "postsuper", what+": "+progressText(done, total))
		}
	}
}
