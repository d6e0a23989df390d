package storetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// What operators do to whole destinations, and the numbers of messages.

func (f *fixture) wantHeld(want ...mail.HeldDest) {
	f.Helper()
	got, err := f.store.HeldDests(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	if !slices.EqualFunc(got, want, func(a, b mail.HeldDest) bool {
		return a.Dest == b.Dest && a.Reason == b.Reason && a.Since.Equal(b.Since)
	}) {
		f.Fatalf("held\n got %+v\nwant %+v", got, want)
	}
}

func testHoldDest(f *fixture) {
	f.wantHeld()
	began := f.clock.Now()
	hold := func(d mail.Dest, reason string) {
		f.Helper()
		if err := f.store.HoldDest(f.Context(), d, reason); err != nil {
			f.Fatal(err)
		}
	}
	hold("smtp:b.example", "they asked")
	f.clock.Add(time.Hour)
	hold("[192.0.2.1]:25", "")
	hold("smtp:b.example", "they asked again") // the reason is new, the time is not
	a := mail.HeldDest{Dest: "[192.0.2.1]:25", Since: began.Add(time.Hour)}
	b := mail.HeldDest{Dest: "smtp:b.example", Reason: "they asked again", Since: began}
	f.wantHeld(a, b)
	for _, d := range []mail.Dest{"b.example", "smtp:b.exampl", "smtp:b.example2", ""} {
		if err := f.store.ReleaseDest(f.Context(), d); !errors.Is(err, queue.ErrNotFound) {
			f.Errorf("release of %q: %v", d, err)
		}
	}
	if err := f.store.ReleaseDest(f.Context(), "smtp:b.example"); err != nil {
		f.Fatal(err)
	}
	f.wantHeld(a)
	// The store keeps the note, and nothing else.
	f.deferred("smtp:x")
	hold("smtp:x", "")
	f.clock.Add(2 * time.Hour)
	f.claimOne("smtp:x")
}

func (f *fixture) wantCounts(want mail.QueueCounts) {
	f.Helper()
	got, err := f.store.Counts(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	if got != want {
		f.Fatalf("counts %+v, want %+v", got, want)
	}
}

func testCounts(f *fixture) {
	f.wantCounts(mail.QueueCounts{})
	late, _ := f.deferred("smtp:a", "smtp:b")
	_, fresh := f.commit("smtp:a", "smtp:b")
	env := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a")
	env.Flags |= mail.FlagHold
	f.commitBody(env, []byte("x"))
	f.wantCounts(mail.QueueCounts{Active: 1, Deferred: 1, Hold: 1})
	f.store.Release(fresh)
	f.wantCounts(mail.QueueCounts{Incoming: 1, Deferred: 1, Hold: 1})
	f.must(f.store.Unhold(f.Context(), env.ID))
	f.wantCounts(mail.QueueCounts{Incoming: 2, Deferred: 1})
	if err := f.store.Hold(f.Context(), late.ID); err != nil {
		f.Fatal(err)
	}
	f.wantCounts(mail.QueueCounts{Incoming: 2, Hold: 1})
	f.must(f.store.Requeue(f.Context(), late.ID, func(_ mail.Address, r mail.Recipient) []mail.Recipient { return []mail.Recipient{r} }))
	f.wantCounts(mail.QueueCounts{Incoming: 3})
	jobs, _ := f.claim("smtp:b", 10)
	f.wantCounts(mail.QueueCounts{Incoming: 1, Active: 2})
	o := all(jobs[0], mail.Failed, "no", time.Time{})
	o.Emit = []queue.Emission{{Env: Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:sender"), Body: []byte("x")}}
	reports := f.apply(o).Jobs
	f.apply(all(jobs[1], mail.Deferred, "busy", f.clock.Now()))
	f.wantCounts(mail.QueueCounts{Incoming: 2, Active: 1, Deferred: 1})
	f.apply(all(reports[0], mail.Delivered, "", time.Time{}))
	f.wantCounts(mail.QueueCounts{Incoming: 2, Deferred: 1})
	l, err := List(f.store)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range l {
		if err := f.store.Remove(f.Context(), m.ID); err != nil {
			f.Fatal(err)
		}
	}
	f.wantCounts(mail.QueueCounts{})
}

// destOperators are the methods of this file, in one form.
func destOperators(s queue.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"HoldDest":    func(ctx context.Context) error { return s.HoldDest(ctx, "smtp:a", "") },
		"ReleaseDest": func(ctx context.Context) error { return s.ReleaseDest(ctx, "smtp:a") },
		"HeldDests":   func(ctx context.Context) error { _, err := s.HeldDests(ctx); return err },
		"Counts":      func(ctx context.Context) error { _, err := s.Counts(ctx); return err },
	}
}
