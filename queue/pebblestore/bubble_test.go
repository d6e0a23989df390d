package pebblestore_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// TestVirtualTime: the store works in a bubble of virtual time, where whole servers are
// tested, and leaves no goroutine behind.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: vfs.NewMem()})
		jobs, err := put(s, rand.New(rand.NewPCG(1, 1)), 200_000)
		if err != nil {
			t.Fatal(err)
		}
		storetest.Apply(s, queue.Outcome{Job: jobs[0], NextDue: time.Now().Add(3 * time.Hour)})
		time.Sleep(2 * time.Hour)
		if got, _, err := s.Claim(t.Context(), "smtp:a.example", time.Now(), 1); len(got) != 0 || err != nil {
			t.Errorf("claimed %+v, %v", got, err)
		}
		time.Sleep(time.Hour)
		if got, _, err := s.Claim(t.Context(), "smtp:a.example", time.Now(), 1); len(got) != 1 || err != nil {
			t.Errorf("claimed %+v, %v", got, err)
		}
	})
}
