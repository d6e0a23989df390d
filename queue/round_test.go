package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// What an operator does to a message comes after the outcomes that did not know of it.
func TestMarkWaitsForOutcomesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs := newRounds()
		job := Job{ID: 1, Rcpts: []int{0}}
		rs.enter([]Job{job}, time.Now())
		out := rs.finish(pending{job: job, results: []mail.Result{{State: mail.Failed}}})
		if len(out) != 1 || out[0].requeued {
			t.Fatalf("outcomes: %+v", out)
		}
		marked := false
		go func() {
			rs.mark(job.ID, func(r *round) { r.requeued = true })
			marked = true
		}()
		synctest.Wait()
		if marked {
			t.Error("the mark is set while an outcome is on its way that does not know of it")
		}
		rs.written(job)
		synctest.Wait()
		if !marked {
			t.Error("the mark is not set though the outcome is written")
		}
	})
}

func TestWarningsForgetTheOldest(t *testing.T) {
	var w warnings
	for id := range mail.QueueID(warningsKept + 10) {
		if !w.first(id) || w.first(id) {
			t.Fatalf("message %d is not told of once", id)
		}
	}
	if len(w.last) != warningsKept || len(w.line) != warningsKept {
		t.Errorf("%d and %d kept, want %d", len(w.last), len(w.line), warningsKept)
	}
	if !w.first(3) || w.first(warningsKept+9) || w.first(11) {
		t.Error("the newest are not those that are kept")
	}
}
