package queue_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// again runs f with a second queue on the same store, as after a restart.
func again(t *testing.T, store *memstore.Store, f func(r *rig)) {
	r := newRig(t, store, store, queue.Params{})
	r.run()
	f(r)
	r.stop()
}

// What is under way is finished and recorded; what waits is not begun.
func TestShutdownInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, queue.Params{Default: most(1)})
		r.run()
		r.hop.slow("a@dest.example", 3*time.Second)
		r.hop.slow("x@other.example", 4*time.Second)
		r.hop.answer("x@other.example", "550 no")
		r.send(sender, "a@dest.example")
		r.send(sender, "b@dest.example")
		r.send(sender, "x@other.example")
		began := time.Now()
		r.stop()
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %s, want the 4 s of the attempt", took)
		}
		if got := fmt.Sprint(r.hop.received()); got != "[a@dest.example]" {
			t.Errorf("delivered: %s", got)
		}
		r.wantQueued("incoming <sender@client.example> b@dest.example\n" +
			"incoming <> sender@client.example\n")
		if err := r.q.Admit(1); fmt.Sprint(err) != "421 4.3.2 Service shutting down" {
			t.Errorf("Admit afterwards: %v", err)
		}
		again(t, store, func(r *rig) {
			if got := len(r.hop.received()); got != 2 {
				t.Errorf("after the restart: %v", r.hop.received())
			}
			r.wantQueued("")
		})
	})
}

// An attempt that takes too long is given up, and made again after the restart.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, queue.Params{})
		r.run()
		r.hop.slow("a@dest.example", time.Hour)
		r.send(sender, "a@dest.example")
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("took %s", took)
		}
		if r.log.count("delivery is cut short by the end of the process") != 1 {
			t.Error("not logged")
		}
		r.wantQueued("incoming <sender@client.example> a@dest.example\n")
		again(t, store, func(r *rig) { r.wantQueued("") })
		time.Sleep(2 * time.Hour) // the late report is for nobody
	})
}

// What an operator has deleted is not tried again, and nobody says so.
func TestShutdownCutsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, queue.Params{})
		r.run()
		r.hop.slow("a@dest.example", time.Hour)
		id := r.send(sender, "a@dest.example")
		synctest.Wait()
		if err := r.q.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		r.stop()
		if r.log.count("it will be tried again") != 0 || r.log.count("delivery of a deleted message is cut short") != 1 {
			t.Error("logged as if it were tried again")
		}
		r.wantQueued("")
		again(t, store, func(r *rig) { r.wantQueued("") })
		time.Sleep(2 * time.Hour)
	})
}

// A failure that waits for another destination of its message is recorded when that
// one is not begun any more.
func TestShutdownRecordsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, queue.Params{Default: most(1)})
		r.run()
		r.hop.slow("x@slow.example", 2*time.Second)
		r.hop.answer("a@fast.example", "550 no")
		r.send(sender, "x@slow.example")
		r.send(sender, "a@fast.example", "b@slow.example")
		if got := r.notes.all(); got != "" {
			t.Errorf("reported early: %s", got)
		}
		r.stop()
		if got := r.notes.all(); got != "failed a@fast.example 5.1.1" {
			t.Errorf("reports: %s", got)
		}
		r.wantQueued("incoming <sender@client.example> b@slow.example\nincoming <> sender@client.example\n")
	})
}

// Mail that comes before Run is delivered by it; deferred mail keeps its time over a
// restart.
func TestBeforeAndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, queue.Params{})
		r.send(sender, "a@dest.example")
		if len(r.hop.received()) != 0 {
			t.Error("delivered before Run")
		}
		r.run()
		if len(r.hop.received()) != 1 {
			t.Error("not delivered by Run")
		}
		r.hop.answer("b@dest.example", "450 later")
		r.send(sender, "b@dest.example")
		r.stop()
		again(t, store, func(r *rig) {
			r.wait(299 * time.Second)
			if len(r.hop.received()) != 0 {
				t.Error("a restart is no reason to try again")
			}
			r.wait(2 * time.Second)
			if len(r.hop.received()) != 1 {
				t.Error("not tried when due")
			}
		})
	})
}

func TestCloseAndMisuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, queue.Params{})
		r.run()
		if err := r.q.Run(context.Background()); err == nil {
			t.Error("Run ran twice")
		}
		r.q.Close()
		r.q.Close()
		r.stop()

		r = newRig(t, store, store, queue.Params{})
		r.q.Close() // never run
		r.send(sender, "a@dest.example")
		r.wantQueued("incoming <sender@client.example> a@dest.example\n")

		for name, o := range map[string]queue.Options{
			"nothing":      {},
			"no transport": {Store: store, Notifier: &notes{}},
			"no notifier":  {Store: store, Transport: newHop()},
		} {
			if _, err := queue.New(o); err == nil {
				t.Errorf("New with %s succeeds", name)
			}
		}
	})
}

// Run says so when the store cannot be read.
func TestRunNeedsItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		r := newRig(t, store, store, queue.Params{})
		_ = store.Close()
		if err := r.q.Run(t.Context()); err == nil {
			t.Error("Run on a closed store succeeds")
		}
	})
}

// Mail that arrives while the queue ends stays where it is: it was accepted.
func TestArrivalDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, queue.Params{})
		r.run()
		r.hop.slow("a@dest.example", 3*time.Second)
		r.send(sender, "a@dest.example")
		d, err := r.q.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.end()
		synctest.Wait()
		to := mail.SplitAddress("b@dest.example")
		env := &mail.Envelope{ID: r.q.NewID(), Arrived: time.Now(), Rcpts: []mail.Recipient{{Final: to, Orig: to, Dest: "smtp:dest.example"}}}
		if err := d.Commit(t.Context(), env); err != nil {
			t.Error(err)
		}
		r.stop()
		r.wantQueued("incoming <> b@dest.example\n")
	})
}
