package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing/iotest"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// A message goes in and comes out again, whole.

func testCommit(f *fixture) {
	env := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a.example", "smtp:b.example", "error:5.1.1 no such user")
	env.Client.Addr = netip.MustParseAddr("fe80::1%eth0")
	env.Rcpts[1].Orig = env.Rcpts[1].Final
	env.Rcpts[2].Final = mail.Address{Local: "odd @\x00 local", Domain: "[IPv6:::1]"}
	body := []byte("Subject: \xc3\xa4\r\n\r\n.dot\r\n")
	f.commitBody(env, body)
	if env.Size != int64(len(body)) || env.CRC == 0 {
		f.Errorf("Commit did not fill in size and checksum: %d, %08x", env.Size, env.CRC)
	}
	if want := mail.FlagEightBit | mail.FlagDotLines | mail.FlagBody8BitMIME; env.Flags != want {
		f.Errorf("flags %b, want %b", env.Flags, want)
	}
	f.wantMessage(env, body)

	// What the caller does to its envelope afterwards is no business of the store.
	kept := *env
	kept.Rcpts, kept.Prepend = slices.Clone(env.Rcpts), bytes.Clone(env.Prepend)
	env.Rcpts[0].Final.Local, env.Prepend[0] = "changed", '!'
	f.wantMessage(&kept, body)

	null := &mail.Envelope{ID: f.store.IDs().Next(), Arrived: f.clock.Now(), Rcpts: env.Rcpts[:1]}
	f.commitBody(null, nil)
	f.wantMessage(null, nil)
}

// What is staged can be read back while it is written, and is committed as if nobody had.
func testReadBack(f *fixture) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, size := range []int{0, 10, 5000, 200_000, 600_000} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
		d, err := f.store.Stage(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		for at := 0; at < size; at += 1000 {
			if _, err := d.Body(); err != nil {
				f.Fatal(err)
			}
			if _, err := d.Write(body[at:min(at+1000, size)]); err != nil {
				f.Fatal(err)
			}
		}
		for range 2 {
			b, err := d.Body()
			if err != nil {
				f.Fatal(err)
			}
			if got, err := io.ReadAll(reader(f, b)); err != nil || b.Size() != int64(size) || !bytes.Equal(got, body) {
				f.Errorf("body of %d bytes, read back: %d bytes, %v", size, len(got), err)
			}
		}
		env := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a.example")
		if _, err := d.Commit(f.Context(), env); err != nil {
			f.Fatal(err)
		}
		f.wantMessage(env, body)
		if _, err := d.Body(); err == nil {
			f.Error("a draft was read after its commit")
		}
	}
}

func testBodies(f *fixture) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, size := range []int{0, 1, 4095, 4096, 4097, 70_000, 128 << 10, 128<<10 + 1, 300_000, 3 << 20} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
		env := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a.example")
		jobs := f.commitBody(env, body)
		f.wantMessage(env, body)
		if _, b, err := f.store.Load(f.Context(), env.ID); err != nil {
			f.Fatalf("Load: %v", err)
		} else if err := iotest.TestReader(reader(f, b), body); err != nil {
			f.Errorf("body of %d bytes: %v", size, err)
		}
		f.apply(all(jobs[0], mail.Deferred, "later", f.clock.Now()))
		f.wantMessage(env, body)

		_, b, err := f.store.Load(f.Context(), env.ID)
		if err != nil {
			f.Fatalf("Load: %v", err)
		}
		if err := iotest.TestReader(reader(f, b), body); err != nil {
			f.Errorf("body of %d bytes: %v", size, err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if got, err := ReadBody(b); err != nil || !bytes.Equal(got, body) {
					f.Errorf("body of %d bytes read at the same time: %d bytes, %v", size, len(got), err)
				}
			})
		}
		wg.Wait()
		if err := f.store.Remove(f.Context(), env.ID); err != nil {
			f.Fatalf("Remove: %v", err)
		}
	}
	f.wantQueues()
}

// reader opens a body to be read only by Read.
func reader(f *fixture, b mail.Body) io.Reader {
	f.Helper()
	r, err := b.Open()
	if err != nil {
		f.Fatalf("Open: %v", err)
	}
	f.Cleanup(func() { _ = r.Close() })
	return struct{ io.Reader }{r}
}

func testFlags(f *fixture) {
	for _, tt := range []struct {
		body string
		want mail.Flags
	}{
		{"a\r\n", 0},
		{"a\r\n.\r\n", mail.FlagDotLines},
		{strings.Repeat("x", 6999) + "\r\n.\r\n", mail.FlagDotLines | mail.FlagLongLines},
		{strings.Repeat("x\r\n", 2333) + "x\xff\r\n", mail.FlagEightBit},
	} {
		env := Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a.example")
		f.commitBody(env, []byte(tt.body))
		if want := tt.want | mail.FlagBody8BitMIME; env.Flags != want {
			f.Errorf("%.20q: flags %b, want %b", tt.body, env.Flags, want)
		}
		f.wantMessage(env, []byte(tt.body))
	}
}

func testCommitRefused(f *fixture) {
	ended, cancel := context.WithCancel(f.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		env  *mail.Envelope
	}{
		{"no queue ID", f.Context(), Envelope(0, f.clock.Now(), "smtp:a.example")},
		{"no recipients", f.Context(), Envelope(f.store.IDs().Next(), f.clock.Now())},
		{"context over", ended, Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a.example")},
	} {
		for _, size := range []int{10, 1 << 20} {
			d, err := f.store.Stage(f.Context())
			if err != nil {
				f.Fatalf("Stage: %v", err)
			}
			_, _ = d.Write(make([]byte, size))
			if jobs, err := d.Commit(tt.ctx, tt.env); err == nil || jobs != nil {
				f.Errorf("%s: committed, jobs %v", tt.name, jobs)
			}
			if _, err := d.Commit(f.Context(), Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a.example")); err == nil {
				f.Errorf("%s: a second Commit went through", tt.name)
			}
		}
	}
	f.wantQueues()
	f.wantHeads()

	// A queue ID is for one message.
	for _, size := range []int{10, 1 << 20} {
		env, _ := f.commit("smtp:a.example")
		d, err := f.store.Stage(f.Context())
		if err != nil {
			f.Fatalf("Stage: %v", err)
		}
		_, _ = d.Write(make([]byte, size))
		if jobs, err := d.Commit(f.Context(), Envelope(env.ID, f.clock.Now(), "smtp:b.example")); err == nil {
			f.Errorf("a second message got the queue ID of another, jobs %v", jobs)
		}
		f.wantMessage(env, []byte("Subject: test\r\n\r\n"+env.ID.String()+"\r\n"))
	}
	f.wantQueues("active", "active")
}

func testAbort(f *fixture) {
	for _, size := range []int{0, 100, 1 << 20} {
		d, err := f.store.Stage(f.Context())
		if err != nil {
			f.Fatalf("Stage: %v", err)
		}
		_, _ = d.Write(make([]byte, size))
		d.Abort()
		d.Abort()
		if _, err := d.Write([]byte("x")); err == nil {
			f.Error("Write after Abort went through")
		}
		if _, err := d.Commit(f.Context(), Envelope(f.store.IDs().Next(), f.clock.Now(), "smtp:a.example")); err == nil {
			f.Error("Commit after Abort went through")
		}
	}
	f.wantQueues()
}

func testIDs(f *fixture) {
	last := mail.QueueID(0)
	for range 10_000 {
		id := f.store.IDs().Next()
		if id <= last {
			f.Fatalf("ID %s after %s", id, last)
		}
		last = id
	}
}

func testNotFound(f *fixture) {
	id := f.store.IDs().Next()
	if _, _, err := f.store.Load(f.Context(), id); !errors.Is(err, queue.ErrNotFound) {
		f.Errorf("Load: %v", err)
	}
	for name, op := range operators(f.store) {
		if err := op(f.Context(), id); !errors.Is(err, queue.ErrNotFound) {
			f.Errorf("%s: %v", name, err)
		}
	}
	f.wantNoClaim("smtp:nobody.example")
	f.store.Release([]queue.Job{{ID: id}})
	if a := f.apply(queue.Outcome{Job: queue.Job{ID: id}}); a.Removed || a.Jobs != nil {
		f.Errorf("Apply: %+v", a)
	}
}

// operators are the operator's methods, in one form.
func operators(s queue.Store) map[string]func(context.Context, mail.QueueID) error {
	return map[string]func(context.Context, mail.QueueID) error{
		"Find":        func(ctx context.Context, id mail.QueueID) error { _, err := s.Find(ctx, id); return err },
		"Hold":        s.Hold,
		"Remove":      s.Remove,
		"Unhold":      func(ctx context.Context, id mail.QueueID) error { _, err := s.Unhold(ctx, id); return err },
		"MakeDue":     func(ctx context.Context, id mail.QueueID) error { _, err := s.MakeDue(ctx, id); return err },
		"ForceExpire": func(ctx context.Context, id mail.QueueID) error { _, err := s.ForceExpire(ctx, id); return err },
		"Requeue": func(ctx context.Context, id mail.QueueID) error {
			_, err := s.Requeue(ctx, id, func(_ mail.Address, r mail.Recipient) []mail.Recipient { return []mail.Recipient{r} })
			return err
		},
	}
}

func testClosed(f *fixture) {
	env, jobs := f.commit("smtp:a.example")
	d, err := f.store.Stage(f.Context())
	if err != nil {
		f.Fatalf("Stage: %v", err)
	}
	if err := f.store.Close(); err != nil {
		f.Fatalf("Close: %v", err)
	}
	if err := f.store.Close(); err != nil {
		f.Fatalf("second Close: %v", err)
	}
	if _, err := d.Commit(f.Context(), Envelope(1, f.clock.Now(), "smtp:a.example")); !errors.Is(err, queue.ErrClosed) {
		f.Errorf("Commit: %v", err)
	}
	if _, err := f.store.Stage(f.Context()); !errors.Is(err, queue.ErrClosed) {
		f.Errorf("Stage: %v", err)
	}
	if err := f.store.Admit(1); !errors.Is(err, queue.ErrClosed) {
		f.Errorf("Admit: %v", err)
	}
	if a := Apply(f.store, all(jobs[0], mail.Delivered, "", f.clock.Now())); !errors.Is(a.Err, queue.ErrClosed) {
		f.Errorf("Apply: %+v", a)
	}
	f.store.Release(jobs)
	if _, _, err := f.store.Claim(f.Context(), "smtp:a.example", f.clock.Now(), 1); !errors.Is(err, queue.ErrClosed) {
		f.Errorf("Claim: %v", err)
	}
	if _, _, err := f.store.Load(f.Context(), env.ID); !errors.Is(err, queue.ErrClosed) {
		f.Errorf("Load: %v", err)
	}
	if _, err := Heads(f.store); !errors.Is(err, queue.ErrClosed) {
		f.Errorf("Heads: %v", err)
	}
	if _, err := List(f.store); !errors.Is(err, queue.ErrClosed) {
		f.Errorf("List: %v", err)
	}
	for name, op := range destOperators(f.store) {
		if err := op(f.Context()); !errors.Is(err, queue.ErrClosed) {
			f.Errorf("%s: %v", name, err)
		}
	}
	for name, op := range operators(f.store) {
		if err := op(f.Context(), env.ID); !errors.Is(err, queue.ErrClosed) {
			f.Errorf("%s: %v", name, err)
		}
	}
}
