package queue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aliasmx/queue"
)

// TestExpiryAtADeadDestination: mail expires no later than maximal_backoff_time and a
// sweep after its time, also where nobody answers and little is tried. Seen as mail that
// was returned at the age of 5 days, 2 hours and 14 minutes.
func TestExpiryAtADeadDestination(t *testing.T) {
	const lifetime, backoff, sweep = 12 * time.Hour, 4000 * time.Second, 300 * time.Second
	p := queue.Params{
		MaximalQueueLifetime: lifetime, BounceQueueLifetime: lifetime,
		MinimalBackoff: 300 * time.Second, MaximalBackoff: backoff, QueueRunDelay: sweep,
	}
	in(t, p, func(r *rig) {
		began := time.Now()
		arrived := map[string]time.Time{}
		for i := range 40 {
			to := fmt.Sprintf("r%d@dest.example", i)
			r.hop.answer(to, "down")
			r.send(sender, to)
			arrived[to] = time.Now()
			r.wait(7 * time.Minute)
		}
		told := map[string]bool{}
		for time.Since(began) < 3*lifetime {
			r.wait(time.Minute)
			for to, at := range arrived {
				age := time.Since(at)
				switch gone := !strings.Contains(r.queued(), " "+to+" "); {
				case gone && !told[to] && age < lifetime:
					t.Errorf("%s has expired at the age of %v", to, age)
				case !gone && age > lifetime+backoff+sweep:
					t.Errorf("%s has not expired at the age of %v", to, age)
					delete(arrived, to)
				case gone:
					told[to] = true
				}
			}
		}
	})
}
