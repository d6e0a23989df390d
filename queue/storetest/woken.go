package storetest

import (
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// inTrouble is an outcome that defers a job because of its destination.
func inTrouble(j queue.Job, next time.Time) queue.Outcome {
	o := all(j, mail.Deferred, "delivery temporarily suspended", next)
	o.Trouble = true
	return o
}

func (f *fixture) woken(d mail.Dest, before time.Time, limit int) (ids []mail.QueueID, jobs []queue.Job, more bool) {
	f.Helper()
	jobs, more, err := f.store.Woken(f.Context(), d, queue.Wake{Before: before}, limit)
	if err != nil {
		f.Fatalf("Woken %s: %v", d, err)
	}
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids, jobs, more
}

// What waits for its destination comes when that is well again, each job once; what waits
// on its own account, is held or is claimed does not.
func testWoken(f *fixture) {
	var ids []mail.QueueID
	for i := range 6 {
		env, jobs := f.commit("smtp:a")
		ids = append(ids, env.ID)
		next := f.clock.Now().Add(time.Duration(10-i) * time.Hour)
		switch i {
		case 1: // its own reply
			f.apply(all(jobs[0], mail.Deferred, "greylisted", next))
		case 2:
			f.apply(inTrouble(jobs[0], next))
			if err := f.store.Hold(f.Context(), env.ID); err != nil {
				f.Fatal(err)
			}
		default:
			f.apply(inTrouble(jobs[0], next))
		}
	}
	f.clock.Add(time.Minute)
	well := f.clock.Now()
	f.wantNoClaim("smtp:a")

	first, jobs, more := f.woken("smtp:a", well, 2)
	if want := []mail.QueueID{ids[5], ids[4]}; !slices.Equal(first, want) || !more {
		f.Fatalf("woken %v, more %v; want %v and more", first, more, want)
	}
	f.clock.Add(time.Second)
	f.apply(inTrouble(jobs[0], f.clock.Now().Add(9*time.Hour))) // fails again, behind others
	f.apply(all(jobs[1], mail.Delivered, "", time.Time{}))

	rest, _, more := f.woken("smtp:a", well, 10)
	for more {
		var next []mail.QueueID
		next, _, more = f.woken("smtp:a", well, 10)
		rest = append(rest, next...)
	}
	if slices.Contains(rest, ids[5]) || slices.Contains(rest, ids[1]) || slices.Contains(rest, ids[2]) {
		f.Errorf("woken %v: among them one that failed again, has a reason of its own, or is held (%v)", rest, ids)
	}
	if !slices.Contains(rest, ids[3]) || !slices.Contains(rest, ids[0]) {
		f.Errorf("woken %v of %v", rest, ids)
	}

	all, more, err := f.store.Woken(f.Context(), "smtp:a", queue.Wake{Before: well, All: true}, 10)
	if err != nil || more || len(all) != 1 || all[0].ID != ids[1] {
		f.Errorf("all woken: %v, more %v, %v; want the one with a reason of its own, %v", all, more, err, ids[1])
	}
	f.store.Release(all)

	f.clock.Add(time.Hour) // the next time it gets well
	again, _, _ := f.woken("smtp:a", f.clock.Now(), 10)
	if !slices.Contains(again, ids[5]) || slices.Contains(again, ids[1]) {
		f.Errorf("woken again: %v of %v", again, ids)
	}
}

// A message that is tried for the first time, or with new routes, waits for nobody.
func testWokenFresh(f *fixture) {
	env, jobs := f.commit("smtp:a")
	f.store.Release(jobs)
	f.clock.Add(time.Minute)
	if ids, _, _ := f.woken("smtp:a", f.clock.Now(), 10); len(ids) != 0 {
		f.Errorf("woken: %v", ids)
	}
	j := f.claimOne("smtp:a")
	f.apply(inTrouble(j, f.clock.Now().Add(time.Hour)))
	f.must(f.store.Requeue(f.Context(), env.ID, func(_ mail.Address, r mail.Recipient) []mail.Recipient { return []mail.Recipient{r} }))
	f.clock.Add(time.Minute)
	if ids, _, _ := f.woken("smtp:a", f.clock.Now(), 10); len(ids) != 0 {
		f.Errorf("woken after it was requeued: %v", ids)
	}
}

// Small letters go before what can wait.
func testBulk(f *fixture) {
	for _, tt := range []struct {
		dests []mail.Dest
		flags mail.Flags
		bulk  bool
	}{
		{[]mail.Dest{"smtp:a"}, 0, false},
		{[]mail.Dest{"smtp:a", "smtp:b"}, 0, false},
		{[]mail.Dest{"smtp:a", "smtp:b", "smtp:c"}, 0, true},
		{[]mail.Dest{"smtp:a"}, mail.FlagNotice, true},
	} {
		env := Envelope(f.store.IDs().Next(), f.clock.Now(), tt.dests...)
		env.Flags |= tt.flags
		d, err := f.store.Stage(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		_, _ = d.Write([]byte("Subject: test\r\n\r\n"))
		jobs, err := d.Commit(f.Context(), env)
		if err != nil {
			f.Fatal(err)
		}
		f.apply(all(jobs[0], mail.Deferred, "busy", f.clock.Now()))
		jobs = append(jobs[1:], f.claimOne(jobs[0].Dest))
		for _, j := range jobs {
			if j.Bulk != tt.bulk {
				f.Errorf("%v, flags %v: job at %s: bulk %v, want %v", tt.dests, tt.flags, j.Dest, j.Bulk, tt.bulk)
			}
		}
		for _, j := range jobs {
			f.apply(all(j, mail.Delivered, "", time.Time{}))
		}
	}
}
