package queue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// Random clients, next hops and failures, and a ledger. Whoever was told 250 for a message has
// each recipient of it served or reported of; whoever was refused has nobody served; nobody is
// served twice, but where the end of the content was sent and the connection lost, or the client
// has not been told and nobody could know. Clients bring again what they were not told of.
func TestConnectedProperty(t *testing.T) {
	for i := range 150 {
		seed := uint64(time.Now().UnixNano()) + uint64(i)
		if !connectedRun(t, seed) {
			t.Fatalf("seed %d", seed)
		}
	}
}

// fates is what is known of one recipient of one message, by "rcpt@dest".
type fates struct {
	mu     sync.Mutex
	served map[string]int
	lost   map[string]int // of these, with the connection lost
}

// dice are next hops that do anything.
type dice struct {
	*fates
	rngMu sync.Mutex
	rng   *rand.Rand
	calm  atomic.Bool
}

func (d *dice) roll(n int) int {
	d.rngMu.Lock()
	defer d.rngMu.Unlock()
	return d.rng.IntN(n)
}

func (d *dice) take(ctx context.Context, dest mail.Dest, src mail.Source) bool {
	for {
		a, ok := src.Next(ctx, time.Duration(d.roll(3))*time.Second)
		if !ok {
			return true
		}
		results, f := d.attempt(a)
		src.Done(a, results, f)
	}
}

func (d *dice) attempt(a *mail.Attempt) (results []mail.Result, f mail.Feedback) {
	given := func(state mail.State, code int, list []int) {
		for _, n := range list {
			results = append(results, mail.Result{Rcpt: n, State: state, Agent: "smtp", Reason: "x", RemoteMTA: "mx",
				Status: mail.Status{Code: code, Enhanced: mail.Code(uint16(code/100), 0, 0)}})
		}
	}
	if d.calm.Load() {
		d.serve(a, a.Rcpts, false)
		given(mail.Delivered, 250, a.Rcpts)
		return results, f
	}
	// As many transactions as it likes; each takes some, refuses some, puts some off.
	left := a.Rcpts
	for len(left) > 0 {
		n := 1 + d.roll(len(left))
		now := left[:n]
		left = left[n:]
		if !pass(a, time.Duration(d.roll(12))*time.Second) {
			given(mail.Deferred, 0, append(now, left...))
			return results, mail.FeedbackBad
		}
		switch d.roll(8) {
		case 0, 1:
			given(mail.Failed, 550, now)
			continue
		case 2:
			given(mail.Deferred, 450, now)
			continue
		case 3:
			given(mail.Deferred, 0, append(now, left...))
			return results, mail.FeedbackBad
		}
		r, err := a.Body.Open()
		if err != nil {
			given(mail.Deferred, 0, append(now, left...))
			return results, mail.FeedbackGood
		}
		content := make([]byte, a.Body.Size())
		read, _ := r.Read(content)
		r.Close()
		if int64(read) != a.Body.Size() {
			given(mail.Deferred, 0, append(now, left...))
			return results, mail.FeedbackGood
		}
		if a.Ending != nil && !a.Ending() {
			given(mail.Deferred, 0, append(now, left...))
			return results, mail.FeedbackBad
		}
		time.Sleep(time.Duration(d.roll(60)) * time.Second)
		switch d.roll(8) {
		case 0: // it has the message, and we do not know
			d.serve(a, now, true)
			given(mail.Deferred, 0, append(now, left...))
			return results, mail.FeedbackBad
		case 1:
			given(mail.Failed, 554, now)
		case 2:
			given(mail.Deferred, 451, now)
		default:
			d.serve(a, now, false)
			given(mail.Delivered, 250, now)
		}
	}
	return results, f
}

func (d *dice) serve(a *mail.Attempt, list []int, lost bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range list {
		to := a.Env.Rcpts[n].Final.String()
		d.served[to]++
		if lost {
			d.lost[to]++
		}
	}
}

func connectedRun(t *testing.T, seed uint64) (ok bool) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s := &failing{Store: memstore.New(memstore.Options{})}
		defer s.Close()
		d := &dice{fates: &fates{served: map[string]int{}, lost: map[string]int{}}, rng: rand.New(rand.NewPCG(seed, 1))}
		r, _ := connectedRig(t, s.Store, s, queue.Options{Params: queue.Params{ProcessLimit: 2 + rng.IntN(8)}})
		r.hop.work = d.take
		r.run()
		type client struct {
			rcpts          []string
			told           string
			unknown, tries int // how often it was not told
		}
		clients := make([]*client, 2+rng.IntN(6))
		var wg sync.WaitGroup
		for i := range clients {
			c := &client{}
			clients[i] = c
			for n := range 1 + rng.IntN(4) {
				c.rcpts = append(c.rcpts, fmt.Sprintf("m%d-%d@%c.example", i, n, 'a'+rng.IntN(3)))
			}
			wait := time.Duration(rng.IntN(30)) * time.Second
			with := mail.WhileConnected{Pass: rng.IntN(2) == 0, Wait: time.Second + time.Duration(rng.IntN(40))*time.Second}
			leaves := time.Duration(rng.IntN(60)) * time.Second
			impatient := rng.IntN(3) == 0
			wg.Go(func() {
				time.Sleep(wait)
				for c.told == "" || c.told[0] == '4' {
					c.tries++
					began, with := time.Now(), with
					if impatient = impatient && c.tries < 3; impatient {
						with.Gone = func() bool { return time.Since(began) >= leaves }
					}
					with.Pass = with.Pass && c.tries <= 5
					told := ""
					answered := make(chan answer, 1)
					wg.Go(func() {
						a := r.relayEnv(context.Background(), with, r.envelope(sender, c.rcpts...))
						here := with.Gone == nil || !with.Gone()
						if a.Heard != nil {
							a.Heard(here)
						}
						if here {
							answered <- a
						}
					})
					patience := 1000 * time.Second
					if impatient {
						patience = leaves
					}
					select {
					case a := <-answered:
						if told = a.String(); a.err != nil {
							told = "4"
						}
					case <-time.After(patience): // nobody is there; it comes again, the first may be under way
					}
					c.told = told
					time.Sleep(time.Duration(1+d.roll(60)) * time.Second)
				}
			})
		}
		for range rng.IntN(4) {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Second)
			s.commits.Store(int64(rng.IntN(2)))
			s.outcomes.Store(int64(rng.IntN(3)))
		}
		wg.Wait()
		s.commits.Store(0)
		s.outcomes.Store(0)
		time.Sleep(3 * time.Hour)
		d.calm.Store(true)
		time.Sleep(12 * time.Hour)
		synctest.Wait()
		d.mu.Lock()
		reports := r.notes.all()
		for i, c := range clients {
			for _, to := range c.rcpts {
				served, failed := d.served[to]-d.lost[to], strings.Count(reports, to)
				switch {
				case c.told[0] == '5' && (served > 0 || failed > 0):
					t.Errorf("seed %d: client %d was refused, and %s was served %d times, reported %d times", seed, i, to, d.served[to], failed)
				case c.told[0] == '2' && d.served[to] == 0 && failed == 0:
					t.Errorf("seed %d: client %d was told %q, and %s is lost", seed, i, c.told, to)
				case served > 1:
					t.Errorf("seed %d: client %d: %s was served %d times, and %d times with the connection lost", seed, i, to, served, d.lost[to])
				case failed > 1:
					t.Errorf("seed %d: client %d: %s was reported %d times", seed, i, to, failed)
				}
			}
		}
		d.mu.Unlock()
		r.wantQueued("")
		r.wantIdle()
		r.stop()
		ok = !t.Failed()
	})
	return ok
}
