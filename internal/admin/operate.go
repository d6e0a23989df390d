package admin

import (
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

func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	out := s.stream(w)
	out.finish(s.o.Queue.List(r.Context(), out.list))
	return nil
}

// selected is list for some of the messages.
func (s *Server) selected(w http.ResponseWriter, r *http.Request) error {
	var req selectRequest
	if err := s.read(w, r, &req); err != nil {
		return err
	}
	if err := checkQueues(req.Queues); err != nil {
		return err
	}
	if err := req.Select.Check(); err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	out := s.stream(w)
	out.finish(Select(r.Context(), s.o.Queue, req.Queues, req.Select, s.report(out, "", nil), out.list))
	return nil
}

// read reads a question.
func (s *Server) read(w http.ResponseWriter, r *http.Request, question any) error {
	err := decode(http.MaxBytesReader(w, r.Body, maxRequest), question)
	// The deadline was for the body. From here on the server reads only to learn that the
	// client has gone, and would take a deadline that passes for that.
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	return err
}

// decode reads a question that anybody may have written. What is not known in it may be
// meant to restrict something, so it is an error.
func decode(r io.Reader, question any) error {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	err := dec.Decode(question)
	if err == nil && dec.More() {
		err = errors.New("there is more than one question")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	return nil
}

func (s *Server) actions(w http.ResponseWriter, r *http.Request) error {
	var req Request
	if err := s.read(w, r, &req); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	out := s.stream(w)
	var done int
	if req.All {
		req.Progress = s.report(out, req.String(), r)
	}
	err := Apply(r.Context(), s.o.Queue, s.o.NotFound, req, func(res Result) bool {
		if res.Err == nil {
			done++ // the queue has logged it
		}
		return out.send(toResult(res))
	})
	if req.All {
		sum := req.Sum(done)
		switch {
		case out.err != nil || r.Context().Err() != nil:
			sum += ", ended by the client"
		case err != nil:
			sum += ", ended by an error: " + err.Error()
		}
		s.operated(r, "postsuper", sum)
	}
	out.finish(err)
	return nil
}

// operated logs what was done for a client.
func (s *Server) operated(r *http.Request, daemon, what string) {
	s.log.Info(mail.EventOperator, slog.String(mail.KeyDaemon, daemon), slog.String(mail.KeyReason, what), slog.Int(mail.KeyUID, uidOf(r)))
}

// check tells what is wrong with a request.
func (req *Request) check() error {
	if _, ok := actions[req.Action]; !ok {
		return fmt.Errorf("%w: unknown action %q", errBadRequest, req.Action)
	}
	if len(req.IDs) > MaxIDs {
		return fmt.Errorf("%w: %d queue IDs, more than %d", errBadRequest, len(req.IDs), MaxIDs)
	}
	if err := req.Select.Check(); err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	if !req.All && !req.Select.IsZero() {
		return fmt.Errorf("%w: a selection is of all messages, not of queue IDs", errBadRequest)
	}
	return checkQueues(req.Queues)
}

func checkQueues(names []string) error {
	for _, q := range names {
		if !slices.Contains(queueNames, q) {
			return fmt.Errorf("%w: unknown queue %q", errBadRequest, q)
		}
	}
	return nil
}

func (s *Server) find(w http.ResponseWriter, r *http.Request) error {
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		return err
	}
	m, err := s.o.Queue.Find(r.Context(), id)
	if err != nil {
		return err
	}
	s.reply(w, http.StatusOK, toListed(m))
	return nil
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
