package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// fate is what became of a recipient.
type fate struct {
	delivered, failed int
	removed           bool // an operator removed the message
}

// chaos is a queue in a bad world: next hops that refuse, fail and come back, an
// operator who does everything at random, restarts.
type chaos struct {
	t     *testing.T
	rnd   *rand.Rand
	rolls *rand.Rand // for dice: guarded by the lock of the hop
	r     *rig
	store *memstore.Store
	fates map[mail.QueueID][]fate // of the messages that were sent
	calm  bool                    // the world behaves from now on
}

func (c *chaos) start(p queue.Params) {
	c.r = newRig(c.t, c.store, c.store, p)
	c.r.hop.dice = c.dice
	c.r.run()
}

// dice says what becomes of a recipient in an attempt. The lock of the hop is held.
func (c *chaos) dice(a *mail.Attempt, n int) string {
	fates, known := c.fates[a.Env.ID]
	if !known {
		return "" // a report: always taken
	}
	says := ""
	if roll := c.rolls.IntN(20); !c.calm {
		switch {
		case roll < 6:
			says = "450 later"
		case roll < 7:
			says = "550 no"
		case roll < 9:
			says = "down"
		}
	}
	if says == "" {
		fates[n].delivered++
	} else if says[0] == '5' {
		fates[n].failed++
	}
	return says
}

func (c *chaos) send() {
	var rcpts []string
	for range 1 + c.rnd.IntN(3) {
		to := fmt.Sprintf("r%d@dest%d.example", len(rcpts), c.rnd.IntN(4))
		c.r.hop.slow(to, time.Duration(c.rnd.IntN(3000))*time.Millisecond)
		rcpts = append(rcpts, to)
	}
	c.r.hop.set(func() { c.fates[c.r.q.NewID()+1] = make([]fate, len(rcpts)) })
	c.r.send(sender, rcpts...)
}

// operate does something to some message.
func (c *chaos) operate() {
	var ids []mail.QueueID
	c.r.hop.set(func() {
		for id := range c.fates {
			ids = append(ids, id)
		}
	})
	if len(ids) == 0 {
		return
	}
	id, q, ctx := ids[c.rnd.IntN(len(ids))], c.r.q, context.Background()
	var err error
	switch c.rnd.IntN(8) {
	case 0:
		if err = q.Delete(ctx, id); err == nil {
			c.r.hop.set(func() {
				for i := range c.fates[id] {
					c.fates[id][i].removed = true
				}
			})
		}
	case 1:
		err = q.Hold(ctx, id)
	case 2, 3:
		err = q.Release(ctx, id)
	case 4:
		err = q.Flush(ctx)
	case 5, 6:
		err = q.Requeue(ctx, id, func(_ mail.Address, r mail.Recipient) []mail.Recipient {
			r.Dest = mail.Dest(fmt.Sprintf("smtp:other%d.example", c.rnd.IntN(3)))
			return []mail.Recipient{r}
		})
	case 7:
		err = q.FlushID(ctx, id)
	}
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		c.t.Errorf("operator: %v", err)
	}
}

// TestChaos: whatever happens, everybody gets the message once, or its sender is told.
func TestChaos(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &chaos{
					t: t, rnd: rand.New(rand.NewPCG(seed, 3)), rolls: rand.New(rand.NewPCG(seed, 4)),
					store: memstore.New(memstore.Options{}), fates: map[mail.QueueID][]fate{},
				}
				defer c.store.Close()
				p := queue.Params{MessageActiveLimit: 40, ProcessLimit: 6, Default: most(3)}
				c.start(p)
				for range 300 {
					switch n := c.rnd.IntN(30); {
					case n == 0:
						c.r.stop()
						c.start(p)
					case n < 15:
						c.send()
					case n < 20:
						c.operate()
					default:
						c.r.wait(time.Duration(c.rnd.IntN(20_000)) * time.Millisecond)
					}
				}
				c.r.hop.set(func() { c.calm = true })
				if _, err := c.r.q.Each(t.Context(), nil, c.r.q.Release); err != nil {
					t.Error(err)
				}
				c.r.wait(5 * time.Hour)
				c.r.wantQueued("")
				if s := c.r.q.Status(0); s.Active != 0 || s.Connections != 0 {
					t.Errorf("Status: %+v", s)
				}
				c.r.stop()
				c.check()
			})
		})
	}
}

func (c *chaos) check() {
	delivered, failed := 0, 0
	defer func() {
		if delivered < 100 || failed < 5 {
			c.t.Errorf("%d delivered, %d failed: that was no test", delivered, failed)
		}
	}()
	for id, fates := range c.fates {
		for i, f := range fates {
			delivered += f.delivered
			failed += f.failed
			if f.delivered > 1 {
				c.t.Errorf("message %s, recipient %d: delivered %d times", id, i, f.delivered)
			}
			if f.delivered+f.failed == 0 && !f.removed {
				c.t.Errorf("message %s, recipient %d: lost", id, i)
			}
		}
	}
}
