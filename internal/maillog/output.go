package maillog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// sink takes finished lines. It is called by one goroutine at a time.
type sink interface {
	// begin begins a line: all that stands before the text of the record.
	begin(b []byte, o *output, l slog.Level, when time.Time, ident string) []byte
	send(line []byte) error
	// flush brings on their way the lines that are there.
	flush()
	close() error
}

// output puts lines together and sends them, one at a time.
type output struct {
	sink   sink
	json   bool
	host   string
	errors io.Writer
	lost   atomic.Uint64

	mu      sync.Mutex // guards all below, and the sink
	line    []byte
	failing bool
	missing uint64 // lines lost since it fails
}

func newOutput(o Options, s sink) *output {
	return &output{sink: s, json: o.JSON, host: firstLabel(o.Hostname), errors: o.Errors}
}

// firstLabel is the host as Postfix's log shows it.
func firstLabel(host string) string {
	for i := 0; i < len(host); i++ {
		if host[i] == '.' && i > 0 {
			host = host[:i]
			break
		}
	}
	return string(appendPrintable(nil, host))
}

// write sends one line. A line that fails is lost: that is said once on the error
// stream, and in the log itself when it works again.
func (o *output) write(l slog.Level, when time.Time, ident string, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.send(l, when, ident, body); err != nil {
		n := uint64(1)
		if earlier, ok := errors.AsType[*lostLines](err); ok {
			n = uint64(earlier.n)
		}
		o.lost.Add(n)
		o.missing += n
		if !o.failing {
			o.failing = true
			fmt.Fprintf(o.errors, "aliasmx: mail log: %v; lines are lost until it works again\n", err)
		}
		return
	}
	if o.failing {
		o.failing = false
		o.tellMissing(when, ident)
	}
}

func (o *output) tellMissing(when time.Time, ident string) {
	form := "warning: %d lines of this log were lost"
	if o.json {
		form = `{"time":"` + when.Format(jsonTime) + `","level":"warning","msg":"%d lines of this log were lost"}`
	}
	_ = o.send(slog.LevelWarn, when, ident, fmt.Appendf(nil, form, o.missing)) // the next will tell
	o.missing = 0
}

func (o *output) send(l slog.Level, when time.Time, ident string, body []byte) error {
	o.line = o.sink.begin(o.line[:0], o, l, when, ident)
	o.line = append(append(o.line, body...), '\n')
	return o.sink.send(o.line)
}

// writerSink is a file, a pipe, or whatever else takes bytes. Its lines are those of
// postlogd(8).
type writerSink struct{ w io.Writer }

func (s writerSink) begin(b []byte, o *output, _ slog.Level, when time.Time, ident string) []byte {
	if o.json {
		return b
	}
	b = when.AppendFormat(b, "Jan 02 15:04:05 ")
	b = append(append(b, o.host...), ' ')
	return append(b, ident...)
}

func (s writerSink) send(line []byte) error {
	_, err := s.w.Write(line)
	return err
}

func (s writerSink) flush() {
	if f, ok := s.w.(interface{ Flush() }); ok {
		f.Flush()
	}
}

func (s writerSink) close() error { return nil }
