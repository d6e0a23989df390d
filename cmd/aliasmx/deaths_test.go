package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Three deaths in ten minutes keep the daemon from starting, whatever else the file says.
func TestDeaths(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		minutes []int // before now
		before  string
		refused bool
	}{
		{name: "none"},
		{name: "two", minutes: []int{9, 1}},
		{name: "three", minutes: []int{9, 5, 1}, refused: true},
		{name: "three, one long ago", minutes: []int{11, 5, 1}},
		{name: "the clock was set back", minutes: []int{-9, -5, -1}, refused: true},
		{name: "the clock was set back by far", minutes: []int{-90, -85, -81}},
		{name: "rubbish", before: "\x00\x00\nyesterday\n", minutes: []int{2, 1}},
		{name: "rubbish and three", before: "\x00\x00\nyesterday\n", minutes: []int{3, 2, 1}, refused: true},
	} {
		path := filepath.Join(t.TempDir(), "deaths")
		if tt.before != "" {
			if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range tt.minutes {
			noteDeath(path, now.Add(-time.Duration(m)*time.Minute))
		}
		err := checkDeaths(path, now)
		if (err != nil) != tt.refused {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "remove "+path) {
			t.Errorf("%s: no remedy in %q", tt.name, err)
		}
		if err := os.Remove(path); err != nil && len(tt.minutes) > 0 {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := checkDeaths(path, now); err != nil {
			t.Errorf("%s: after the remedy: %v", tt.name, err)
		}
	}
	noteDeath(filepath.Join(t.TempDir(), "missing", "deaths"), now) // a disk that is gone is no further trouble
}
