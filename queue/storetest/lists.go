package storetest

import (
	"context"
	"fmt"
	"sync"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

func testList(f *fixture) {
	f.deferred("smtp:a")
	held, _ := f.deferred("smtp:a")
	if err := f.store.Hold(f.Context(), held.ID); err != nil {
		f.Fatal(err)
	}
	active, _ := f.commit("smtp:b")
	_, jobs := f.commit("smtp:c", "smtp:d")
	f.store.Release(jobs)
	l := f.wantQueues("deferred", "hold", "active", "incoming")
	for i, m := range l {
		if i > 0 && m.ID <= l[i-1].ID {
			f.Errorf("%s is listed after %s", m.ID, l[i-1].ID)
		}
	}
	got := l[2]
	want := mail.Listed{Queue: "active", ID: active.ID, Arrived: active.Arrived, Size: active.Size + int64(len(active.Prepend)), Sender: active.Sender}
	if !got.Arrived.Equal(want.Arrived) || got.ID != want.ID || got.Size != want.Size || got.Sender != want.Sender || got.Expired || len(got.Rcpts) != 1 {
		f.Errorf("listed %+v, want %+v", got, want)
	}
	n := 0
	if err := f.store.List(f.Context(), func(mail.Listed) bool { n++; return n < 2 }); err != nil || n != 2 {
		f.Errorf("List stopped after %d, %v", n, err)
	}
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	if err := f.store.List(ctx, func(mail.Listed) bool { return true }); err == nil {
		f.Error("List with a context that is over: no error")
	}
}

// testListChanging: the list may be walked while its messages change, by the walker
// and by others; what was there all the time is listed exactly once.
func testListChanging(f *fixture) {
	const total = 700
	stay := make(map[mail.QueueID]int)
	for i := range total {
		env, _ := f.deferred("smtp:a")
		if i%7 != 0 {
			stay[env.ID] = 0
		}
	}
	var wg sync.WaitGroup
	first := true
	err := f.store.List(f.Context(), func(l mail.Listed) bool {
		if first {
			first = false
			wg.Go(func() {
				for range 50 {
					env := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:b")
					d, err := f.store.Stage(context.Background())
					if err == nil {
						_, err = d.Commit(context.Background(), env)
					}
					if err != nil {
						f.Error(err)
					}
				}
			})
		}
		if _, ok := stay[l.ID]; ok {
			stay[l.ID]++
		} else if l.Queue == "deferred" {
			if err := f.store.Remove(f.Context(), l.ID); err != nil {
				f.Error(err)
			}
		}
		return true
	})
	wg.Wait()
	if err != nil {
		f.Fatal(err)
	}
	for id, n := range stay {
		if n != 1 {
			f.Errorf("%s was listed %d times", id, n)
		}
	}
}

// testConcurrent has sessions commit, workers claim, deliver, defer and release, and an
// operator hold and unhold, all at once. In the end every message is gone, and every
// recipient was delivered exactly once.
func testConcurrent(f *fixture) {
	const sessions, each, dests = 8, 40, 5
	var mu sync.Mutex
	delivered := make(map[string]int)
	ctx := f.Context()
	settle := func(j queue.Job, k int) {
		o := queue.Outcome{Job: j, NextDue: f.clock.Now()}
		for i, r := range j.Rcpts {
			state := mail.Delivered
			if (int(j.ID)/3+i+k+j.Attempts)%3 == 0 && j.Attempts < 3 {
				state = mail.Deferred
			}
			o.Results = append(o.Results, mail.Result{Rcpt: r, State: state, Reason: "busy"})
		}
		if a := Apply(f.store, o); a.Err != nil {
			f.Errorf("Apply: %v", a.Err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, r := range o.Results {
			if r.State == mail.Delivered {
				delivered[fmt.Sprint(j.ID, r.Rcpt)]++
			}
		}
	}
	rcpts := 0
	var sessionsWG, operators sync.WaitGroup
	for k := range sessions {
		sessionsWG.Go(func() {
			for i := range each {
				var to []mail.Dest
				for n := range 1 + (i+k)%4 {
					to = append(to, mail.Dest(fmt.Sprintf("smtp:d%d", (i*k+n)%dests)))
				}
				env := Envelope(f.store.IDs().Next(), f.clock.Now(), to...)
				d, err := f.store.Stage(ctx)
				if err != nil {
					f.Errorf("Stage: %v", err)
					return
				}
				_, _ = d.Write(make([]byte, i*i*200))
				jobs, err := d.Commit(ctx, env)
				if err != nil {
					f.Errorf("Commit: %v", err)
					return
				}
				mu.Lock()
				rcpts += len(to)
				mu.Unlock()
				for n, j := range jobs {
					if (i+n)%3 == 0 {
						f.store.Release([]queue.Job{j})
					} else {
						settle(j, k)
					}
				}
				if i%5 == 0 {
					operators.Go(func() {
						if f.store.Hold(ctx, env.ID) == nil {
							_, _ = f.store.MakeDue(ctx, env.ID)
							_, _ = f.store.Unhold(ctx, env.ID)
						}
					})
				}
			}
		})
	}
	work := func() (n int) {
		for d := range dests {
			jobs, _, err := f.store.Claim(ctx, mail.Dest(fmt.Sprintf("smtp:d%d", d)), f.clock.Now(), 7)
			if err != nil {
				f.Errorf("Claim: %v", err)
			}
			for _, j := range jobs {
				if _, _, err := f.store.Load(ctx, j.ID); err != nil {
					f.Errorf("Load: %v", err)
				}
				settle(j, d)
			}
			n += len(jobs)
		}
		return n
	}
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					work()
				}
			}
		})
	}
	sessionsWG.Wait()
	operators.Wait()
	close(done)
	workers.Wait()
	for work() > 0 {
	}
	f.wantQueues()
	f.wantHeads()
	if len(delivered) != rcpts {
		f.Errorf("%d recipients delivered, %d accepted", len(delivered), rcpts)
	}
	for key, n := range delivered {
		if n != 1 {
			f.Errorf("recipient %s was delivered %d times", key, n)
		}
	}
}
