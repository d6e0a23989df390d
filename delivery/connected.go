package delivery

import (
	"context"
	"errors"

	"aliasmx/internal/mail"
)

// An attempt while the client of the message waits (relay_while_connected) may be given up:
// from outside, until the end of the content is about to leave. Then whoever hands it out is
// asked, and from there on it comes to its end as any other.

// errGivenUp is content whose end is not to be sent.
var errGivenUp = errors.New("delivery was given up before the end of the message")

// mayEnd tells whether the end of the content may leave. It costs nothing where nobody asks.
func mayEnd(a *mail.Attempt) bool { return a.Ending == nil || a.Ending() }

// until is what the attempt waits in: it ends when the attempt is given up. The function that
// is returned is for the end of the attempt; connections outlive that.
func (j *job) until(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(j.a.Until, func() { cancel(errGivenUp) })
	return ctx, func() {
		stop()
		for _, f := range j.unheed {
			f()
		}
		j.unheed = nil
		cancel(nil)
	}
}

// heed has the connection closed when the attempt that it is used for is given up.
func (s *session) heed(j *job) {
	if j.a != nil && j.a.Until != nil {
		raw := s.raw
		j.unheed = append(j.unheed, context.AfterFunc(j.a.Until, func() { raw.Close() }))
	}
}
