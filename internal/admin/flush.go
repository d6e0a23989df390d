package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"aliasmx/internal/mail"
)

// Flushes. They are the daemon's work once they were asked for: they go on when the
// client has gone.

// flushWait is how long the client of a flush waits for it, unless it wants to watch. A
// large queue takes longer: that is no failure.
const flushWait = 5 * time.Second

// maxFlushes is how many go on at a time; one more waits for its turn for turnWait.
const (
	maxFlushes = 8
	turnWait   = 2 * time.Second
)

// flushing is one of them.
type flushing struct {
	name string
	run  func(ctx context.Context, progress func(n int)) error
	n    atomic.Int64  // messages looked at
	done chan struct{} // closed at its end
	err  error
}

func (s *Server) flushOf(r *http.Request) (*flushing, error) {
	f := &flushing{name: "all mail", done: make(chan struct{})}
	f.run = func(ctx context.Context, _ func(int)) error { return s.o.Queue.Flush(ctx) }
	query := r.URL.Query()
	switch {
	case query.Has("id"):
		id, err := parseID(query.Get("id"))
		if err != nil {
			return nil, err
		}
		f.name = id.String()
		f.run = func(ctx context.Context, _ func(int)) error { return s.o.Queue.FlushID(ctx, id) }
	case query.Has("site"):
		site := query.Get("site")
		f.name = "mail for " + site
		f.run = func(ctx context.Context, progress func(int)) error { return s.o.Queue.FlushDest(ctx, site, progress) }
	}
	return f, nil
}

func (s *Server) flush(w http.ResponseWriter, r *http.Request) error {
	f, err := s.flushOf(r)
	if err != nil {
		return err
	}
	turn := time.NewTimer(turnWait)
	defer turn.Stop()
	select {
	case s.slots <- struct{}{}:
	case <-turn.C:
		return errors.New("the queue is being flushed already")
	}
	ctx := mail.ByUser(s.ctx, uidOf(r))
	s.tasks.Go(func() {
		defer func() { <-s.slots }()
		defer close(f.done)
		f.err = f.run(ctx, func(n int) { f.n.Store(int64(n)) })
	})
	s.tasks.Go(func() { s.logFlush(f, r) })
	if r.URL.Query().Has("watch") {
		s.watch(w, r, f)
		return nil
	}
	timer := time.NewTimer(flushWait)
	defer timer.Stop()
	select {
	case <-f.done:
		if f.err != nil {
			return f.err
		}
	case <-timer.C:
	case <-r.Context().Done():
	}
	s.reply(w, http.StatusOK, struct{}{})
	return nil
}

// watch shows a flush to its client until it ends or the client goes.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, f *flushing) {
	out := s.stream(w)
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for out.err == nil {
		select {
		case <-f.done:
			out.finish(f.err)
			return
		case <-r.Context().Done():
			return
		case <-tick.C:
			out.send(trailer{Progress: &progressLine{Done: f.n.Load()}})
			out.flush()
		}
	}
}

// logFlush tells the log every minute how far a flush is, and how it ended if it took
// longer than that.
func (s *Server) logFlush(f *flushing, r *http.Request) {
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	for minutes := 0; ; minutes++ {
		select {
		case <-f.done:
			switch {
			case f.err != nil && !s.isAbsent(f.err):
				s.operated(r, "postqueue", "flush: "+f.name+": ended by an error: "+f.err.Error())
			case minutes > 0:
				s.operated(r, "postqueue", fmt.Sprintf("flush: %s: done, %s messages looked at", f.name, Thousands(f.n.Load())))
			}
			return
		case <-tick.C:
			s.operated(r, "postqueue", fmt.Sprintf("flush: %s: %s messages looked at so far", f.name, Thousands(f.n.Load())))
		}
	}
}

// progressText is how far something is: "12,000 of 1,000,000".
func progressText(done, total int64) string {
	if total == 0 {
		return Thousands(done)
	}
	return Thousands(done) + " of " + Thousands(total)
}

// Thousands writes a number for people: 1,234,567.
func Thousands(n int64) string {
	if n < 0 {
		return "-" + Thousands(-n)
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", Thousands(n/1000), n%1000)
}
