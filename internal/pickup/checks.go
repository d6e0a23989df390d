package pickup

import (
	"io"
	"log/slog"

	"aliasmx/internal/checks"
	"aliasmx/internal/mail"
)

// What the content of a submission decides: header_checks(5) and its relatives. A local
// program is not told that they refuse its message, which goes back to its sender
// (cleanup(8)); only what may be otherwise later is said at once.

// check puts the checks before w, where the content goes; without any it is w itself.
func (s *session) check(w io.Writer) (io.Writer, error) {
	if s.Checks == nil {
		return w, nil
	}
	to := mail.Address{}
	if !s.last.IsNull() {
		to = s.Recipients.Complete(s.last)
	}
	s.checks = s.Checks.Filter(w, checks.Message{
		Log: s.Log.With(slog.String(mail.KeyDaemon, "cleanup"), slog.String(mail.KeyQueueID, s.id.String())),
		Origin: []slog.Attr{
			slog.String(mail.KeyFrom, s.reverse.Path.String()), slog.String(mail.KeyTo, to.String()),
		},
		Returnable: true,
	})
	var err error
	s.above, err = s.checks.Above(s.received())
	return s.checks, err
}

// closeContent ends the content. What was refused for now has no end.
func (s *session) closeContent() error {
	if err := s.content.Close(); err != nil {
		return err
	}
	if s.checks != nil {
		if err := s.checks.Close(); err != nil {
			return err
		}
		if refused := s.checks.Refused(); refused != nil && refused.Temporary() {
			return refused
		}
	}
	return s.header.Close()
}

// hops is the number of Received fields, ours included.
func (s *session) hops() int {
	if s.checks == nil {
		return s.header.Hops() + 1
	}
	return s.checks.Hops()
}

// goesOn tells whether checks have let the message pass.
func (s *session) goesOn() bool {
	return s.checks == nil || s.checks.Refused() == nil && !s.checks.Handling().Discard
}

// handle makes the message go where actions want it. drop tells that nobody gets it.
func (s *session) handle(env *mail.Envelope) (drop bool, err error) {
	var wanted mail.Handling
	if s.checks != nil {
		if refused := s.checks.Refused(); refused != nil {
			env.Ret = "HDRS" // what the message holds is what was not wanted
			for i := range env.Rcpts {
				env.Rcpts[i].Dest = refused.ErrorDest()
			}
			return false, nil
		}
		wanted = s.checks.Handling()
	}
	if wanted.Filter == "" {
		wanted.Filter = s.ContentFilter
	}
	if wanted.Hold {
		env.Flags |= mail.FlagHold
	}
	if wanted.Discard {
		return true, nil
	}
	seen := mail.NewDuplicates(s.DuplicateFilterLimit, s.EnableOriginalRecipient)
	for i := range env.Rcpts {
		seen.Seen(&env.Rcpts[i])
	}
	env.Rcpts, err = wanted.Route(env.Rcpts, s.reverse.Path, seen, s.Filters, func(r mail.RcptRequest) ([]mail.Recipient, error) {
		rcpts, err := s.Recipients.Expand(s.ctx, r)
		if status := mail.StatusOf(err); err != nil && !status.Temporary() {
			full := s.Recipients.Complete(r.Addr)
			return []mail.Recipient{{Final: full, Orig: r.Addr, Notify: r.Notify, Dest: errorDest(status)}}, nil
		}
		return rcpts, err
	})
	return false, err
}
