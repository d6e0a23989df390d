package main

import (
	"testing"
	"time"
)

// Clients who make errors on purpose get no more than so many transcripts sent.
func TestTranscriptsAreCounted(t *testing.T) {
	now := time.Date(2025, 11, 1, 10, 0, 0, 0, time.UTC)
	p := &postmaster{now: func() time.Time { return now }}
	for i := range 3 * transcriptsPerMinute {
		if got := p.count(); got != i+1 {
			t.Fatalf("transcript %d is counted as %d", i+1, got)
		}
	}
	now = now.Add(time.Minute)
	if got := p.count(); got != 1 {
		t.Errorf("in the next minute the first is counted as %d", got)
	}
}
