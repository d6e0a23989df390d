package maillog

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// Options are what a log needs. The zero value writes Postfix's lines to standard
// output.
type Options struct {
	Name     string           // syslog_name; "postfix" when empty
	Hostname string           // shown up to its first dot; the machine's own when empty
	Out      io.Writer        // gets one Write a line; standard output when nil
	JSON     bool             // one JSON object a line
	PID      int              // shown in brackets; that of the process when zero
	Now      func() time.Time // the clock; that of the records when nil
	Location *time.Location   // of the time shown; local when nil
	Level    slog.Leveler     // lines below are dropped; slog.LevelInfo when nil
	Errors   io.Writer        // is told when the log itself fails; standard error when nil
}

// Handler is the mail log. It is safe for concurrent use; each line is one Write. An Out
// that has a method Flush is told when lines should not wait there: those of warnings,
// the beginning and the end of a connection, and what came before the 250 for a message.
type Handler struct {
	out    *output
	o      *Options
	name   string
	preset []slog.Attr // of Logger.With
	group  string      // of Logger.WithGroup: a prefix of the keys to come
	daemon string
	ident  string // "postfix/smtpd[4711]: "
}

// defaultDaemon is whose line it is when nobody said.
const defaultDaemon = "master"

// New makes a log that writes to Options.Out.
func New(o Options) *Handler {
	if o.Out == nil {
		o.Out = os.Stdout
	}
	return newHandler(o, writerSink{o.Out})
}

func newHandler(o Options, s sink) *Handler {
	if o.Name == "" {
		o.Name = "postfix"
	}
	if o.Hostname == "" {
		if name, err := os.Hostname(); err == nil {
			o.Hostname = name
		}
	}
	if o.PID == 0 {
		o.PID = os.Getpid()
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	if o.Errors == nil {
		o.Errors = os.Stderr
	}
	h := &Handler{o: &o, out: newOutput(o, s), name: o.Name}
	h.setDaemon(defaultDaemon)
	return h
}

// Named is the same log under another syslog_name, for a service that has its own:
// postfix/submission/smtpd.
func (h *Handler) Named(name string) *Handler {
	c := *h
	c.name = name
	c.setDaemon(h.daemon)
	return &c
}

// Lost is how many lines could not be written.
func (h *Handler) Lost() uint64 { return h.out.lost.Load() }

// Close closes the connection to syslog. A writer belongs to whoever opened it.
func (h *Handler) Close() error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	return h.out.sink.close()
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.o.Level.Level() }

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.preset = append([]slog.Attr(nil), h.preset...)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		c.preset = append(c.preset, a)
		if a.Key == keyNames[keyDaemon] {
			c.setDaemon(text(a.Value.Resolve()))
		}
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	c := *h
	if name != "" {
		c.group += name + "."
	}
	return &c
}

func (h *Handler) setDaemon(daemon string) {
	h.daemon = daemon
	h.ident = string(appendPrintable(nil, h.name+"/"+daemon)) + "[" + strconv.Itoa(h.o.PID) + "]: "
}

// Handle implements slog.Handler. It returns no errors: who logs can do nothing about
// them, and mail goes on.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	s := scratchPool.Get().(*scratch)
	defer s.free()
	for _, a := range h.preset {
		s.set("", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		s.set(h.group, a)
		return true
	})
	if s.has(keyDaemon) {
		if d := text(s.v[keyDaemon]); d != h.daemon {
			other := *h
			other.setDaemon(d)
			h = &other
		}
	}
	when := r.Time
	if h.o.Now != nil || when.IsZero() {
		when = h.now()
	}
	when = when.In(h.o.Location)
	if h.o.JSON {
		s.buf = h.appendJSON(s.buf, &s.fields, r, when)
	} else {
		s.buf = appendLine(s.buf, &s.fields, r)
	}
	h.out.write(r.Level, when, h.ident, s.buf)
	if r.Level >= slog.LevelWarn || r.Message == mail.EventConnect || r.Message == mail.EventMessageID || r.Message == mail.EventDisconnect {
		h.out.sink.flush()
	}
	return nil
}

func (h *Handler) now() time.Time {
	if h.o.Now != nil {
		return h.o.Now()
	}
	return time.Now()
}

// scratch is the memory that one line needs while it is made.
type scratch struct {
	fields
	buf []byte
}

var scratchPool = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 1024)} }}

func (s *scratch) free() {
	clear(s.v[:])
	clear(s.extra)
	s.present, s.extra, s.buf = 0, s.extra[:0], s.buf[:0]
	scratchPool.Put(s)
}
