package queue

import "aliasmx/internal/mail"

// SplitRcpts divides the recipients of env that are not finished into jobs: one for
// each destination, in the order in which the destinations first appear, and of no
// more than limit recipients each. A limit of zero or less is
// DestinationRecipientLimit.
func SplitRcpts(env *mail.Envelope, open []int, limit int) [][]int {
	if limit <= 0 {
		limit = DestinationRecipientLimit
	}
	if len(open) == 1 {
		return [][]int{{open[0]}}
	}
	var jobs [][]int
	last := make(map[mail.Dest]int) // the job that still has room
	for _, i := range open {
		dest := env.Rcpts[i].Dest
		n, ok := last[dest]
		if !ok || len(jobs[n]) >= limit {
			n = len(jobs)
			jobs = append(jobs, nil)
			last[dest] = n
		}
		jobs[n] = append(jobs[n], i)
	}
	return jobs
}
