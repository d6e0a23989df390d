package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"aliasmx/internal/mail"
)

// What is asked about the queue: listings and actions as streams, single messages.

// maxRequest is the size of a Request with MaxIDs IDs, with room to spare.
const maxRequest = 64 << 10

// queueNames are what Request.Queues may hold.
var queueNames = []string{"active", "incoming", "deferred", "hold", "corrupt"}

// stream sends lines of JSON as they come, each wait for the client bounded.
type stream struct {
	buf *bufio.Writer
	enc *json.Encoder
	err error
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
	return &stream{buf: buf, enc: json.NewEncoder(buf)}
}

// send reports whether the client is still there.
func (s *stream) send(line any) bool {
	if s.err == nil {
		s.err = s.enc.Encode(line)
	}
	return s.err == nil
}

// finish sends the last line. The status has long been sent: an error is told in it.
func (s *stream) finish(err error) {
	last := trailer{End: err == nil}
	if err != nil {
		last.Error = err.Error()
	}
	if s.send(last) {
		s.buf.Flush()
	}
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	out := s.stream(w)
	out.finish(s.o.Queue.List(r.Context(), func(m mail.Listed) bool { return out.send(toListed(m)) }))
	return nil
}

// flushWait is how long the client of a flush waits for it. A large queue takes longer:
// that is no failure, and the flush goes on.
const flushWait = 30 * time.Second

// maxFlushes is how many go on at a time.
const maxFlushes = 8

func (s *Server) flush(w http.ResponseWriter, r *http.Request) error {
	flush := s.o.Queue.Flush
	query := r.URL.Query()
	switch {
	case query.Has("id"):
		id, err := parseID(query.Get("id"))
		if err != nil {
			return err
		}
		flush = func(ctx context.Context) error { return s.o.Queue.FlushID(ctx, id) }
	case query.Has("site"):
		flush = func(ctx context.Context) error { return s.o.Queue.FlushDest(ctx, query.Get("site")) }
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return errors.New("the queue is being flushed already")
	}
	done := make(chan error, 1)
	s.tasks.Go(func() {
		defer func() { <-s.slots }()
		done <- flush(s.ctx)
	})
	timer := time.NewTimer(flushWait)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			return err
		}
	case <-timer.C:
	case <-r.Context().Done():
	}
	s.reply(w, http.StatusOK, struct{}{})
	return nil
}

func (s *Server) actions(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	// The deadline was for the body. From here on the server reads only to learn that the
	// client has gone, and would take a deadline that passes for that.
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	req, err := parseRequest(body)
	if err != nil {
		return err
	}
	out := s.stream(w)
	var done int
	err = Apply(r.Context(), s.o.Queue, s.o.NotFound, req, func(res Result) bool {
		if res.Err == nil {
			done++ // the queue has logged it
		}
		return out.send(toResult(res))
	})
	if req.All {
		s.log.Info(req.Action.Summary(done), slog.String(mail.KeyDaemon, "postsuper"))
	}
	out.finish(err)
	return nil
}

// parseRequest reads a Request that anybody may have written.
func parseRequest(body []byte) (Request, error) {
	var req Request
	if err := json.Unmarshal(body, &req); err != nil {
		return req, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	if _, ok := actions[req.Action]; !ok {
		return req, fmt.Errorf("%w: unknown action %q", errBadRequest, req.Action)
	}
	if len(req.IDs) > MaxIDs {
		return req, fmt.Errorf("%w: %d queue IDs, more than %d", errBadRequest, len(req.IDs), MaxIDs)
	}
	for _, q := range req.Queues {
		if !slices.Contains(queueNames, q) {
			return req, fmt.Errorf("%w: unknown queue %q", errBadRequest, q)
		}
	}
	return req, nil
}

func (s *Server) message(w http.ResponseWriter, r *http.Request) error {
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		return err
	}
	env, _, err := s.o.Queue.Load(r.Context(), id)
	if err != nil {
		return err
	}
	s.reply(w, http.StatusOK, toEnvelope(env))
	return nil
}

func (s *Server) content(w http.ResponseWriter, r *http.Request) error {
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		return err
	}
	_, body, err := s.o.Queue.Load(r.Context(), id)
	if err != nil {
		return err
	}
	in, err := body.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(body.Size(), 10))
	// With its length announced, a body that ends early is an error at the client.
	io.Copy(deadlineWriter{w, http.NewResponseController(w), s.o.Timeout}, in)
	return nil
}
