package delivery

import (
	"context"

	"aliasmx/internal/mail"
)

// The reverse-path a message leaves with. A SenderRewriter says it for each recipient, and
// MAIL says it once: recipients whose mail has another one wait for the next transaction.

// oneSender leaves in the job those whose mail has the reverse-path of the first of them,
// and returns it with the others. Whose reverse-path cannot be had is decided.
func (s *session) oneSender(ctx context.Context, j *job) (sender mail.Address, rest []int) {
	rw := s.set.SenderRewriter
	if rw == nil || j.a.Probe {
		return j.a.Env.Sender, nil
	}
	all := append([]int(nil), j.left...)
	var same []int
	for _, pos := range all {
		a, err := rw.RewriteSender(ctx, j.a.Env, j.a.Rcpts[pos])
		switch {
		case err != nil:
			s.failOneHere(j, pos, ofError(err, "sender address rewriting failed"), err)
		case len(same) == 0 || a == sender:
			sender, same = a, append(same, pos)
		default:
			rest = append(rest, pos)
		}
	}
	j.left = append(j.left[:0], same...)
	return sender, rest
}

// failOneHere fails a recipient for a reason of ours, with the details for the operator
// alone. Another host would not help.
func (s *session) failOneHere(j *job, pos int, f *failure, err error) {
	s.log.Warn(f.reason+": "+err.Error(), mail.KeyQueueID, j.a.Env.ID.String())
	final := s.final
	s.final = true
	j.failOne(pos, f, s)
	s.final = final
}
