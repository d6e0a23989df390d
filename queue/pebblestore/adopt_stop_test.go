package pebblestore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// Adoptions that do not come to their end at once.

// TestAdoptOfAdopter: a queue that dies while it takes another over leaves both to a third,
// which takes each message once.
func TestAdoptOfAdopter(t *testing.T) {
	disk, rng := vfs.NewMem(), rand.New(rand.NewPCG(1, 2))
	want := variedQueue(t, disk, oldDir, 1, rng, 250)
	second := openAt(t, disk, "/second", func(o *pebblestore.Options) { o.Node = 2 })
	ctx, stop := context.WithCancel(t.Context())
	sofar, err := second.Adopt(ctx, oldDir, func(mail.Adoption, []queue.DestHead) { stop() })
	if !errors.Is(err, context.Canceled) || sofar.Messages == 0 || sofar.Messages >= len(want) {
		t.Fatalf("adopted %+v of %d, %v", sofar, len(want), err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, disk, "/var/queue", nil)
	if _, err := adopt(s, oldDir); err == nil || !strings.Contains(err.Error(), "adopt it first") {
		t.Fatalf("adopted what is another's: %v", err)
	}
	for _, dir := range []string{"/second", oldDir} {
		if _, err := adopt(s, dir); err != nil {
			t.Fatal(err)
		}
	}
	if diff := difference(portrait(t, s), want); diff != "" {
		t.Error(diff)
	}
}

// TestAdoptStops: when the disk has no room left, long before it is full, and goes on when
// there is some.
func TestAdoptStops(t *testing.T) {
	mem := vfs.NewMem()
	want := variedQueue(t, mem, oldDir, 1, rand.New(rand.NewPCG(1, 2)), 400)
	disk := newSmallDisk(mem, 64<<20)
	clock := storetest.NewClock(testTime)
	now := func(o *pebblestore.Options) {
		o.Now, o.MinFree = func() time.Time { clock.Add(time.Second); return clock.Now() }, 30<<20
	}
	s := openAt(t, disk, "/var/queue", now)
	var filled atomic.Bool
	sofar, err := s.Adopt(t.Context(), oldDir, func(mail.Adoption, []queue.DestHead) {
		if !filled.Swap(true) {
			disk.fill(30 << 20)
		}
	})
	if !errors.Is(err, queue.ErrNoSpace) || sofar.Messages == 0 || sofar.Messages >= len(want) {
		t.Fatalf("adopted %+v of %d, %v", sofar, len(want), err)
	}
	disk.fill(-30 << 20)
	rest, err := adopt(s, oldDir)
	if err != nil || rest.Messages+sofar.Messages != len(want) {
		t.Fatalf("adopted %+v after %+v of %d, %v", rest, sofar, len(want), err)
	}
	if diff := difference(portrait(t, s), want); diff != "" {
		t.Error(diff)
	}
}
