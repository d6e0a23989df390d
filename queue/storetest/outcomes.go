package storetest

import (
	"fmt"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// What becomes of jobs: given out once, recorded once, given out again when due.

func testJobs(f *fixture) {
	env, jobs := f.commit("smtp:a", "smtp:b", "smtp:a", "smtp:a", "smtp:a", "smtp:c")
	want := []queue.Job{
		{Dest: "smtp:a", Rcpts: []int{0, 2, 3}}, // the limit is three
		{Dest: "smtp:a", Rcpts: []int{4}},
		{Dest: "smtp:b", Rcpts: []int{1}},
		{Dest: "smtp:c", Rcpts: []int{5}},
	}
	if len(jobs) != len(want) {
		f.Fatalf("jobs %+v, want %+v", jobs, want)
	}
	for i, j := range jobs {
		if j.ID != env.ID || j.Dest != want[i].Dest || !slices.Equal(j.Rcpts, want[i].Rcpts) ||
			j.Attempts != 0 || !j.Due.Equal(f.clock.Now()) || !j.Arrived.Equal(env.Arrived) || j.Expired {
			f.Errorf("job %d: %+v, want %+v", i, j, want[i])
		}
	}
	f.wantHeads()
	for _, d := range []mail.Dest{"smtp:a", "smtp:b", "smtp:c"} {
		f.wantNoClaim(d)
	}
	f.wantQueues("active")
}

func testDelivered(f *fixture) {
	env, jobs := f.commit("smtp:a")
	if a := f.apply(all(jobs[0], mail.Delivered, "", time.Time{})); !a.Removed || a.Jobs != nil {
		f.Fatalf("applied %+v", a)
	}
	f.wantGone(env.ID)
}

func (f *fixture) wantGone(id mail.QueueID) {
	f.Helper()
	if _, _, err := f.store.Load(f.Context(), id); err == nil {
		f.Errorf("message %s is still there", id)
	}
	f.wantQueues()
	f.wantHeads()
}

func testDeferred(f *fixture) {
	env, jobs := f.commit("smtp:a", "smtp:a")
	j := jobs[0]
	for attempt := range 5 {
		due := f.clock.Now().Add(time.Duration(attempt+1) * 300 * time.Second)
		if a := f.apply(all(j, mail.Deferred, fmt.Sprintf("try %d", attempt), due)); a.Removed {
			f.Fatalf("applied %+v", a)
		}
		f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: due})
		l := f.wantQueues("deferred")
		for i, r := range l[0].Rcpts {
			if r.Reason != fmt.Sprintf("try %d", attempt) || r.Address != env.Rcpts[i].Final || r.Orig != env.Rcpts[i].OrigTo() {
				f.Fatalf("listed recipient %+v", r)
			}
		}
		f.clock.Add(due.Sub(f.clock.Now()) - time.Millisecond)
		early, next := f.claim("smtp:a", 10)
		if len(early) != 0 || !next.Equal(due) {
			f.Fatalf("claimed %+v before it was due; next %v, want %v", early, next, due)
		}
		f.clock.Add(time.Millisecond)
		claimed, next := f.claim("smtp:a", 10)
		if len(claimed) != 1 || !next.IsZero() {
			f.Fatalf("claimed %+v, next %v", claimed, next)
		}
		j = claimed[0]
		if j.ID != env.ID || j.Attempts != attempt+1 || !j.Due.Equal(due) || !slices.Equal(j.Rcpts, []int{0, 1}) {
			f.Fatalf("claimed %+v", j)
		}
		f.wantHeads()
		f.wantNoClaim("smtp:a")
		f.wantQueues("active")
	}
	// Without a next time it is due at once; times are kept to the millisecond, never early.
	f.apply(all(j, mail.Deferred, "", time.Time{}))
	j = f.claimOne("smtp:a")
	f.apply(all(j, mail.Deferred, "", f.clock.Now().Add(time.Microsecond)))
	f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: f.clock.Now().Add(time.Millisecond)})
	f.wantNoClaim("smtp:a")
}

func testParts(f *fixture) {
	env, jobs := f.commit("smtp:a", "smtp:a", "smtp:a", "smtp:b")
	next := f.clock.Now().Add(time.Minute)
	a := f.apply(queue.Outcome{Job: jobs[0], NextDue: next, Results: []mail.Result{
		{Rcpt: 0, State: mail.Delivered},
		{Rcpt: 1, State: mail.Deferred, Reason: "greylisted"},
		// The third has no result: deferred.
	}})
	if a.Removed {
		f.Fatal("message removed with three recipients to go")
	}
	l := f.wantQueues("active") // the job at b is claimed
	want := []mail.ListedRcpt{
		{Address: env.Rcpts[1].Final, Orig: env.Rcpts[1].OrigTo(), Reason: "greylisted", Dest: "smtp:a"},
		{Address: env.Rcpts[2].Final, Orig: env.Rcpts[2].OrigTo(), Dest: "smtp:a"},
		{Address: env.Rcpts[3].Final, Orig: env.Rcpts[3].OrigTo(), Dest: "smtp:b"},
	}
	if !slices.Equal(l[0].Rcpts, want) {
		f.Fatalf("listed %+v, want %+v", l[0].Rcpts, want)
	}
	f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: next})
	f.apply(all(jobs[1], mail.Failed, "", next))
	f.wantQueues("deferred")
	f.clock.Add(time.Minute)
	j := f.claimOne("smtp:a")
	if !slices.Equal(j.Rcpts, []int{1, 2}) || j.Attempts != 1 {
		f.Fatalf("claimed %+v", j)
	}
	f.apply(queue.Outcome{Job: j, NextDue: next, Results: []mail.Result{
		{Rcpt: 2, State: mail.Failed},
		{Rcpt: 0, State: mail.Deferred, Reason: "not of this job"},
	}})
	l = f.wantQueues("deferred")
	if !slices.Equal(l[0].Rcpts, want[:1]) {
		f.Fatalf("listed %+v, want %+v", l[0].Rcpts, want[:1])
	}
	if a := f.apply(all(f.claimOne("smtp:a"), mail.Delivered, "", next)); !a.Removed {
		f.Fatalf("applied %+v", a)
	}
	f.wantGone(env.ID)
}

func testTwice(f *fixture) {
	env, jobs := f.commit("smtp:a", "smtp:b")
	next := f.clock.Now().Add(time.Minute)
	report := func() []queue.Emission {
		r := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:sender")
		r.Flags = mail.FlagNotice
		return []queue.Emission{{Env: r, Body: []byte("delayed\r\n")}}
	}
	o := all(jobs[0], mail.Deferred, "busy", next)
	o.Emit = report()
	if a := f.apply(o); len(a.Jobs) != 1 {
		f.Fatalf("applied %+v", a)
	}
	o.Emit = report()
	if a := f.apply(o); a.Removed || a.Jobs != nil {
		f.Fatalf("applied again: %+v", a)
	}
	f.clock.Add(time.Minute)
	again := f.claimOne("smtp:a")
	if a := f.apply(o); a.Removed || a.Jobs != nil {
		f.Fatalf("applied to the next attempt: %+v", a)
	}
	f.apply(all(again, mail.Delivered, "", next))
	o = all(jobs[1], mail.Failed, "", next)
	o.Emit = report()
	if a := f.apply(o); !a.Removed || len(a.Jobs) != 1 {
		f.Fatalf("applied %+v", a)
	}
	if a := f.apply(o); a.Removed || a.Jobs != nil {
		f.Fatalf("applied again: %+v", a)
	}
	f.wantQueues("active", "active") // the two reports
	if _, _, err := f.store.Load(f.Context(), env.ID); err == nil {
		f.Error("the message is still there")
	}
}

// testStrangers: outcomes and releases of jobs that were not given out change nothing.
func testStrangers(f *fixture) {
	_, jobs := f.commit("smtp:a", "smtp:b")
	f.apply(all(jobs[0], mail.Deferred, "", f.clock.Now()))
	for _, j := range []queue.Job{
		jobs[0],
		{ID: jobs[0].ID, N: 99, Dest: "smtp:a", Rcpts: []int{0}, Attempts: 1},
		{ID: jobs[0].ID, N: jobs[0].N, Dest: "smtp:a", Rcpts: []int{0}, Attempts: 1}, // not claimed
		{ID: jobs[0].ID + 1, N: jobs[0].N, Dest: "smtp:a", Rcpts: []int{0}},
	} {
		if a := f.apply(all(j, mail.Delivered, "", f.clock.Now())); a.Removed {
			f.Errorf("outcome of %+v: %+v", j, a)
		}
		f.store.Release([]queue.Job{j})
	}
	f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: f.clock.Now()})
	if l := f.wantQueues("active"); len(l[0].Rcpts) != 2 {
		f.Errorf("listed %+v", l)
	}
}

func testEmission(f *fixture) {
	_, jobs := f.commit("smtp:a")
	r := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:sender", "smtp:postmaster")
	r.Sender, r.Flags = mail.Address{}, mail.FlagNotice
	body := []byte("Subject: Undelivered Mail Returned to Sender\r\n\r\n.\r\n")
	o := all(jobs[0], mail.Failed, "550 no", time.Time{})
	nobody := &mail.Envelope{ID: f.store.IDs().Next(), Arrived: f.clock.Now()}
	unnamed := Envelope(0, f.clock.Now(), "smtp:sender")
	o.Emit = []queue.Emission{{Env: r, Body: body}, {Env: nobody}, {Env: unnamed, Body: body}}
	a := f.apply(o)
	if !a.Removed || len(a.Jobs) != 3 {
		f.Fatalf("applied %+v", a)
	}
	if r.Flags != mail.FlagNotice|mail.FlagDotLines || r.Size != int64(len(body)) {
		f.Errorf("envelope of the report: flags %b, size %d", r.Flags, r.Size)
	}
	f.wantMessage(r, body)
	if unnamed.ID == 0 || unnamed.ID != a.Jobs[2].ID {
		f.Errorf("report without ID became %s, job %+v", unnamed.ID, a.Jobs[2])
	}
	f.wantQueues("active", "active")
	f.wantHeads() // claimed
	f.apply(all(a.Jobs[0], mail.Delivered, "", time.Time{}))
	f.apply(all(a.Jobs[2], mail.Delivered, "", time.Time{}))
	if a := f.apply(all(a.Jobs[1], mail.Delivered, "", time.Time{})); !a.Removed {
		f.Errorf("applied %+v", a)
	}
	f.wantGone(r.ID)
}

func testRelease(f *fixture) {
	_, jobs := f.commit("smtp:a", "smtp:b")
	f.store.Release(jobs[:1])
	f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: jobs[0].Due})
	f.wantNoClaim("smtp:b")
	if got := f.claimOne("smtp:a"); !sameJob(got, jobs[0]) {
		f.Fatalf("claimed %+v, released %+v", got, jobs[0])
	}
	f.store.Release(jobs)
	f.wantQueues("incoming")
	f.apply(all(f.claimOne("smtp:a"), mail.Deferred, "busy", f.clock.Now().Add(time.Second)))
	f.clock.Add(time.Second)
	j := f.claimOne("smtp:a")
	f.store.Release([]queue.Job{j, j})
	f.wantQueues("deferred")
	if got := f.claimOne("smtp:a"); !sameJob(got, j) {
		f.Fatalf("claimed %+v, released %+v", got, j)
	}
	f.apply(all(f.claimOne("smtp:b"), mail.Delivered, "", time.Time{}))
	if a := f.apply(all(j, mail.Delivered, "", time.Time{})); !a.Removed {
		f.Fatalf("applied %+v", a)
	}
	f.wantQueues()
}

func sameJob(a, b queue.Job) bool {
	return a.ID == b.ID && a.N == b.N && a.Dest == b.Dest && slices.Equal(a.Rcpts, b.Rcpts) && a.Attempts == b.Attempts &&
		a.Due.Equal(b.Due) && a.Arrived.Equal(b.Arrived) && a.Expired == b.Expired
}

func testClaimOrder(f *fixture) {
	base := f.clock.Now()
	var ids []mail.QueueID // in the order in which they are due
	for i := range 20 {
		_, jobs := f.commit("smtp:a")
		f.apply(all(jobs[0], mail.Deferred, "", base.Add(time.Duration(100-i)*time.Second)))
		ids = slices.Insert(ids, 0, jobs[0].ID)
	}
	f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: base.Add(81 * time.Second)})
	f.clock.Add(90 * time.Second) // the first ten are due
	jobs, next := f.claim("smtp:a", 4)
	if !slices.Equal(idsOf(jobs), ids[:4]) || !next.Equal(base.Add(85*time.Second)) {
		f.Fatalf("claimed %v, next %v", idsOf(jobs), next)
	}
	f.wantHeads(queue.DestHead{Dest: "smtp:a", NextDue: next})
	jobs, next = f.claim("smtp:a", 100)
	if !slices.Equal(idsOf(jobs), ids[4:10]) || !next.Equal(base.Add(91*time.Second)) {
		f.Fatalf("claimed %v, next %v", idsOf(jobs), next)
	}
	f.clock.Add(time.Hour)
	jobs, next = f.claim("smtp:a", 0)
	if len(jobs) != 0 || !next.Equal(base.Add(91*time.Second)) {
		f.Fatalf("claimed %v, next %v", idsOf(jobs), next)
	}
	jobs, next = f.claim("smtp:a", 100)
	if !slices.Equal(idsOf(jobs), ids[10:]) || !next.IsZero() {
		f.Fatalf("claimed %v, next %v", idsOf(jobs), next)
	}
	f.wantHeads()
}

func idsOf(jobs []queue.Job) (ids []mail.QueueID) {
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

// testClaimAgain: jobs that come back earlier than those already passed over are found.
func testClaimAgain(f *fixture) {
	base := f.clock.Now()
	for range 10 {
		_, jobs := f.commit("smtp:a")
		f.apply(all(jobs[0], mail.Deferred, "", base.Add(time.Hour)))
	}
	f.clock.Add(2 * time.Hour)
	jobs, _ := f.claim("smtp:a", 5)
	f.apply(all(jobs[4], mail.Delivered, "", time.Time{}))
	f.apply(all(jobs[3], mail.Deferred, "", base)) // due long ago
	f.store.Release(jobs[:1])
	for i, want := range []mail.QueueID{jobs[3].ID, jobs[0].ID} {
		got, _ := f.claim("smtp:a", 1)
		if len(got) != 1 || got[0].ID != want {
			f.Fatalf("claim %d: %v, want %s", i, idsOf(got), want)
		}
	}
	rest, next := f.claim("smtp:a", 100)
	if len(rest) != 5 || !next.IsZero() {
		f.Fatalf("claimed %d, next %v", len(rest), next)
	}
}

func testHeads(f *fixture) {
	dests := []mail.Dest{
		"", "smtp:", "smtp:a", "smtp:a.b", "smtp:a\x00", "smtp:a\x00b", "smtp:a\x01", "smtp:a\x01\x01", "smtp:a\x02",
		"smtp:A", "relay:[192.0.2.1]:25", "error:5.1.1 User unknown in virtual alias table", "smtp:\xff\xff", "smtp:\xff",
		"lmtp:unix:/run/lmtp", mail.Dest(append([]byte("smtp:"), make([]byte, 300)...)),
	}
	var want []queue.DestHead
	for i, d := range dests {
		for k := range 3 {
			_, jobs := f.commit(d)
			due := f.clock.Now().Add(time.Duration(i+k) * time.Second)
			f.apply(all(jobs[0], mail.Deferred, "", due))
		}
		want = append(want, queue.DestHead{Dest: d, NextDue: f.clock.Now().Add(time.Duration(i) * time.Second)})
	}
	f.wantHeads(want...)
	n := 0
	if err := f.store.Heads(f.Context(), func(queue.DestHead) bool { n++; return n < 3 }); err != nil || n != 3 {
		f.Errorf("Heads stopped after %d, %v", n, err)
	}
	f.clock.Add(time.Hour)
	for i, d := range dests {
		jobs, next := f.claim(d, 1)
		if len(jobs) != 1 || jobs[0].Dest != d || !next.Equal(want[i].NextDue.Add(time.Second)) {
			f.Fatalf("destination %q: %+v, next %v", d, jobs, next)
		}
		want[i].NextDue = next
	}
	f.wantHeads(want...)
}
