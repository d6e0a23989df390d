package wire

import "time"

// A time-out for each wait lets a peer that sends a byte now and then keep a connection
// for days. A budget bounds what a whole command or message may take, as postconf(5):
// smtpd_per_request_deadline and smtpd_min_data_rate do: time runs while we wait, and
// each byte that comes earns some back. It is never more than in the beginning.

type budget struct {
	on      bool
	left    time.Duration
	most    time.Duration
	perByte time.Duration
}

// SetBudget gives the peer the time total for all that it sends from now on, and for
// each byte what it may take at minRate bytes a second (0: nothing).
func (c *Conn) SetBudget(total time.Duration, minRate int) {
	c.budget = budget{on: true, left: total, most: total}
	if minRate > 0 {
		c.budget.perByte = time.Second / time.Duration(minRate)
	}
}

// NoBudget leaves the time-out of each single wait.
func (c *Conn) NoBudget() { c.budget = budget{} }

// allow is how long the next wait may take.
func (b *budget) allow(timeout time.Duration) time.Duration {
	if b.on {
		return min(timeout, b.left)
	}
	return timeout
}

func (b *budget) spend(waited time.Duration, bytes int) {
	if b.on {
		b.left = min(b.left-waited+time.Duration(bytes)*b.perByte, b.most)
	}
}
