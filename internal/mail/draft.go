package mail

import (
	"context"
	"io"
)

// Draft is a message on its way into the queue. The body is written to it as it
// comes: CRLF line ends, no dot stuffing. A Draft is used by one goroutine and ends
// with exactly one Commit or Abort.
type Draft interface {
	io.Writer

	// Body is what was written so far. It can be read until the next Write, Commit or
	// Abort.
	Body() (Body, error)

	// Commit makes the message durable. The envelope is taken as it is at this
	// moment, but for Size and CRC, which the queue fills in. A nil error means that
	// the message is on stable storage: only then may a client be told 250. After any
	// error no trace of the message is left.
	Commit(ctx context.Context, env *Envelope) error

	// Abort drops what was written. After Commit it does nothing.
	Abort()
}

// Body is the content of a queued message below Envelope.Prepend: CRLF line ends, no
// dot stuffing. It may be opened several times, also concurrently.
type Body interface {
	Size() int64
	// Open returns a reader of all bytes; it may implement io.WriterTo.
	Open() (io.ReadCloser, error)
}
