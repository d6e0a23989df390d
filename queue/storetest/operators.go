package storetest

import (
	"errors"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// What operators do to messages, idle ones and ones whose attempt is under way.

func (f *fixture) must(heads []queue.DestHead, err error) []queue.DestHead {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
	return heads
}

// deferred puts a message in whose jobs are all due in an hour.
func (f *fixture) deferred(dests ...mail.Dest) (*mail.Envelope, []queue.Job) {
	f.Helper()
	env, jobs := f.commit(dests...)
	for _, j := range jobs {
		f.apply(all(j, mail.Deferred, "busy", f.clock.Now().Add(time.Hour)))
	}
	return env, jobs
}

// A message may come to be held: nobody gets it before Unhold, not even after a restart.
func testHoldOnArrival(f *fixture) {
	env := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a", "smtp:b")
	env.Flags |= mail.FlagHold
	body := []byte("Subject: test\r\n\r\nheld\r\n")
	if jobs := f.commitBody(env, body); len(jobs) != 0 {
		f.Errorf("jobs %v", jobs)
	}
	f.wantQueues("hold")
	f.wantHeads()
	f.wantNoClaim("smtp:a")
	f.sameHeads(f.must(f.store.Unhold(f.Context(), env.ID)), []queue.DestHead{{Dest: "smtp:a", NextDue: f.clock.Now()}, {Dest: "smtp:b", NextDue: f.clock.Now()}})
	f.claimOne("smtp:b")
	f.wantMessage(env, body)
}

func testHold(f *fixture) {
	env, _ := f.deferred("smtp:a", "smtp:b")
	if err := f.store.Hold(f.Context(), env.ID); err != nil {
		f.Fatal(err)
	}
	if l := f.wantQueues("hold"); len(l[0].Rcpts) != 2 || l[0].Rcpts[1].Reason != "busy" {
		f.Errorf("listed %+v", l)
	}
	f.wantHeads()
	f.clock.Add(2 * time.Hour)
	f.wantNoClaim("smtp:a")
	if err := f.store.Hold(f.Context(), env.ID); !errors.Is(err, queue.ErrNotFound) {
		f.Errorf("second Hold: %v", err)
	}
	if _, err := f.store.MakeDue(f.Context(), env.ID); !errors.Is(err, queue.ErrNotFound) {
		f.Errorf("MakeDue of a held message: %v", err)
	}
	if heads := f.must(f.store.ForceExpire(f.Context(), env.ID)); len(heads) != 0 {
		f.Errorf("ForceExpire of a held message: heads %v", heads)
	}
	f.wantNoClaim("smtp:a")
	want := []queue.DestHead{{Dest: "smtp:a", NextDue: f.clock.Now()}, {Dest: "smtp:b", NextDue: f.clock.Now()}}
	f.sameHeads(f.must(f.store.Unhold(f.Context(), env.ID)), want)
	f.wantHeads(want...)
	if _, err := f.store.Unhold(f.Context(), env.ID); !errors.Is(err, queue.ErrNotFound) {
		f.Errorf("second Unhold: %v", err)
	}
	if j := f.claimOne("smtp:a"); j.Attempts != 1 || !j.Expired {
		f.Errorf("claimed %+v", j)
	}
	f.wantMessage(env, []byte("Subject: test\r\n\r\n"+env.ID.String()+"\r\n"))
}

func testHoldClaimed(f *fixture) {
	env, jobs := f.commit("smtp:a", "smtp:a", "smtp:b")
	if err := f.store.Hold(f.Context(), env.ID); err != nil {
		f.Fatal(err)
	}
	f.wantQueues("hold")
	f.apply(queue.Outcome{Job: jobs[0], NextDue: f.clock.Now(), Results: []mail.Result{{Rcpt: 0, State: mail.Delivered}}})
	f.store.Release(jobs[1:])
	f.wantNoClaim("smtp:a")
	f.wantNoClaim("smtp:b")
	f.wantHeads()
	if l := f.wantQueues("hold"); len(l[0].Rcpts) != 2 {
		f.Errorf("listed %+v", l)
	}
	f.must(f.store.Unhold(f.Context(), env.ID))
	if j := f.claimOne("smtp:a"); !slices.Equal(j.Rcpts, []int{1}) || j.Attempts != 1 {
		f.Errorf("claimed %+v", j)
	}
	if j := f.claimOne("smtp:b"); j.Attempts != 0 {
		f.Errorf("claimed %+v", j)
	}

	// Held and released again before the attempt ends: the attempt still counts.
	env, jobs = f.commit("smtp:c")
	if err := f.store.Hold(f.Context(), env.ID); err != nil {
		f.Fatal(err)
	}
	if heads := f.must(f.store.Unhold(f.Context(), env.ID)); len(heads) != 0 {
		f.Errorf("heads of a claimed job: %v", heads)
	}
	f.wantNoClaim("smtp:c")
	if a := f.apply(all(jobs[0], mail.Delivered, "", time.Time{})); !a.Removed {
		f.Errorf("applied %+v", a)
	}
	// All delivered while held: gone.
	env, jobs = f.commit("smtp:c")
	if err := f.store.Hold(f.Context(), env.ID); err != nil {
		f.Fatal(err)
	}
	if a := f.apply(all(jobs[0], mail.Delivered, "", time.Time{})); !a.Removed {
		f.Errorf("applied %+v", a)
	}
}

func testRemove(f *fixture) {
	idle, _ := f.deferred("smtp:a", "smtp:b")
	held, _ := f.deferred("smtp:a")
	if err := f.store.Hold(f.Context(), held.ID); err != nil {
		f.Fatal(err)
	}
	claimed, jobs := f.commit("smtp:a", "smtp:b")
	for _, env := range []*mail.Envelope{idle, held, claimed} {
		if err := f.store.Remove(f.Context(), env.ID); err != nil {
			f.Fatal(err)
		}
		if err := f.store.Remove(f.Context(), env.ID); !errors.Is(err, queue.ErrNotFound) {
			f.Errorf("second Remove: %v", err)
		}
	}
	f.wantGone(claimed.ID)
	o := all(jobs[0], mail.Failed, "", time.Time{})
	o.Emit = []queue.Emission{{Env: Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:sender"), Body: []byte("x")}}
	if a := f.apply(o); a.Removed || a.Jobs != nil {
		f.Errorf("outcome of a removed message: %+v", a)
	}
	f.store.Release(jobs[1:])
	f.wantGone(claimed.ID)
}

func testMakeDue(f *fixture) {
	env, _ := f.deferred("smtp:a", "smtp:b")
	_, _ = f.deferred("smtp:a")
	want := []queue.DestHead{{Dest: "smtp:a", NextDue: f.clock.Now()}, {Dest: "smtp:b", NextDue: f.clock.Now()}}
	for range 3 { // in the same instant
		f.sameHeads(f.must(f.store.MakeDue(f.Context(), env.ID)), want)
		f.wantHeads(want...)
	}
	j := f.claimOne("smtp:a")
	if j.ID != env.ID || j.Attempts != 1 || j.Expired {
		f.Errorf("claimed %+v", j)
	}
	f.sameHeads(f.must(f.store.MakeDue(f.Context(), env.ID)), want[1:])
	f.apply(all(j, mail.Deferred, "", f.clock.Now().Add(2*time.Hour)))
	f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: f.clock.Now().Add(time.Hour)}, want[1])
}

func testForceExpire(f *fixture) {
	env, _ := f.deferred("smtp:a", "smtp:b")
	want := []queue.DestHead{{Dest: "smtp:a", NextDue: f.clock.Now()}, {Dest: "smtp:b", NextDue: f.clock.Now()}}
	f.sameHeads(f.must(f.store.ForceExpire(f.Context(), env.ID)), want)
	if l := f.wantQueues("deferred"); !l[0].Expired {
		f.Errorf("listed %+v", l)
	}
	if j := f.claimOne("smtp:a"); !j.Expired {
		f.Errorf("claimed %+v", j)
	}
	_, jobs := f.commit("smtp:c")
	if heads := f.must(f.store.ForceExpire(f.Context(), jobs[0].ID)); len(heads) != 0 {
		f.Errorf("heads of a claimed job: %v", heads)
	}
	f.apply(all(jobs[0], mail.Deferred, "", f.clock.Now()))
	if j := f.claimOne("smtp:c"); !j.Expired {
		f.Errorf("claimed %+v", j)
	}
}

func testRequeue(f *fixture) {
	env, _ := f.deferred("smtp:a", "smtp:b", "smtp:c")
	f.must(f.store.ForceExpire(f.Context(), env.ID))
	f.apply(all(f.claimOne("smtp:c"), mail.Delivered, "", time.Time{}))
	if err := f.store.Hold(f.Context(), env.ID); err != nil {
		f.Fatal(err)
	}
	asked := 0
	heads := f.must(f.store.Requeue(f.Context(), env.ID, func(_ mail.Address, r mail.Recipient) []mail.Recipient {
		asked++
		if r.Dest == "smtp:a" { // moved
			r.Dest = "relay:[192.0.2.1]"
			return []mail.Recipient{r}
		}
		x, y := r, r // its alias has two members by now
		x.Final.Local, x.Dest = "x", "smtp:x"
		y.Final.Local, y.Dest = "y", "smtp:y"
		return []mail.Recipient{x, y}
	}))
	if asked != 2 {
		f.Errorf("asked for %d recipients, two are unfinished", asked)
	}
	want := []queue.DestHead{{Dest: "relay:[192.0.2.1]", NextDue: f.clock.Now()}, {Dest: "smtp:x", NextDue: f.clock.Now()}, {Dest: "smtp:y", NextDue: f.clock.Now()}}
	f.sameHeads(heads, want)
	f.wantHeads(want...)
	l := f.wantQueues("incoming")
	if len(l[0].Rcpts) != 3 || l[0].Rcpts[0].Reason != "" || l[0].Expired || !l[0].Arrived.Equal(env.Arrived) {
		f.Errorf("listed %+v", l)
	}
	for _, h := range want {
		j := f.claimOne(h.Dest)
		got, _, err := f.store.Load(f.Context(), j.ID)
		if err != nil || j.Attempts != 0 || len(j.Rcpts) != 1 || got.Rcpts[j.Rcpts[0]].Dest != h.Dest {
			f.Fatalf("claimed %+v, %v", j, err)
		}
		f.apply(all(j, mail.Delivered, "", time.Time{}))
	}
	f.wantGone(env.ID)

	// A route that leads nowhere leaves a recipient as it was.
	env, _ = f.deferred("smtp:a")
	f.must(f.store.Requeue(f.Context(), env.ID, func(_ mail.Address, _ mail.Recipient) []mail.Recipient { return nil }))
	f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: f.clock.Now()})
}

func testRequeueClaimed(f *fixture) {
	reroute := func(_ mail.Address, r mail.Recipient) []mail.Recipient {
		r.Dest = "smtp:new"
		return []mail.Recipient{r}
	}
	report := func(o queue.Outcome) queue.Outcome {
		o.Emit = []queue.Emission{{Env: Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:sender"), Body: []byte("x")}}
		return o
	}
	// Delivered by the old way: not sent again. Failed by the old way: tried by the new.
	env, jobs := f.commit("smtp:a", "smtp:a")
	f.must(f.store.Requeue(f.Context(), env.ID, reroute))
	f.wantNoClaim("smtp:a")
	f.wantQueues("active")
	a := f.apply(report(queue.Outcome{Job: jobs[0], Results: []mail.Result{{Rcpt: 0, State: mail.Delivered}, {Rcpt: 1, State: mail.Failed}}}))
	if a.Removed || a.Jobs != nil {
		f.Fatalf("applied %+v", a)
	}
	j := f.claimOne("smtp:new")
	if !slices.Equal(j.Rcpts, []int{1}) || j.Attempts != 0 {
		f.Fatalf("claimed %+v", j)
	}
	if a := f.apply(all(j, mail.Delivered, "", time.Time{})); !a.Removed {
		f.Fatalf("applied %+v", a)
	}

	// All delivered by the old way while the new one has begun: done, with its report.
	env, jobs = f.commit("smtp:a")
	f.must(f.store.Requeue(f.Context(), env.ID, reroute))
	j = f.claimOne("smtp:new")
	if a := f.apply(report(all(jobs[0], mail.Delivered, "", time.Time{}))); !a.Removed || len(a.Jobs) != 1 {
		f.Fatalf("applied %+v", a)
	}
	if a := f.apply(all(j, mail.Delivered, "", time.Time{})); a.Removed {
		f.Fatalf("applied %+v", a)
	}

	// The recipient was replaced by others: the old attempt counts for nobody.
	env, jobs = f.commit("smtp:b")
	f.must(f.store.Requeue(f.Context(), env.ID, func(_ mail.Address, r mail.Recipient) []mail.Recipient {
		r.Final.Local, r.Dest = "other", "smtp:new"
		return []mail.Recipient{r}
	}))
	if a := f.apply(report(all(jobs[0], mail.Delivered, "", time.Time{}))); a.Removed || a.Jobs != nil {
		f.Fatalf("applied %+v", a)
	}
	j = f.claimOne("smtp:new")
	got, _, err := f.store.Load(f.Context(), j.ID)
	if err != nil || got.Rcpts[j.Rcpts[0]].Final.Local != "other" {
		f.Fatalf("claimed %+v, %v", j, err)
	}
	f.store.Release([]queue.Job{j, jobs[0]})
	f.claimOne("smtp:new")

	// Released instead of reported.
	env, jobs = f.commit("smtp:c")
	f.must(f.store.Requeue(f.Context(), env.ID, reroute))
	f.store.Release(jobs)
	f.wantNoClaim("smtp:c")
	f.claimOne("smtp:new")
}
