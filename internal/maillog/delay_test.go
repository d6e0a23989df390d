package maillog

import (
	"log/slog"
	"testing"
	"time"
)

// TestDelay: the wanted texts are what format_tv(3) of Postfix 3.7 makes of the same
// microseconds, with two significant digits and two behind the point.
func TestDelay(t *testing.T) {
	tests := []struct {
		us   int64
		want string
	}{
		{0, "0"}, {1, "0"}, {999, "0"}, {4000, "0"}, {4999, "0"},
		{5000, "0.01"}, {9999, "0.01"}, {10000, "0.01"}, {14999, "0.01"}, {15000, "0.02"},
		{80000, "0.08"}, {99999, "0.1"}, {104999, "0.1"}, {105000, "0.11"},
		{570000, "0.57"}, {810000, "0.81"}, {994999, "0.99"},
		{995000, "1"}, {996000, "1"}, {999999, "1"}, {1000000, "1"}, {1049999, "1"},
		{1050000, "1.1"}, {1500000, "1.5"}, {1949999, "1.9"}, {1950000, "2"},
		{9949999, "9.9"}, {9950000, "10"}, {9999999, "10"}, {10000000, "10"}, {10499999, "10"},
		{10500000, "11"}, {99499999, "99"}, {99500000, "100"},
		{345678901, "346"}, {86400000000, "86400"},
		{-1, "0"}, {-5000000, "0"}, // a clock that was set back
	}
	for _, tt := range tests {
		if got := string(appendDelay(nil, time.Duration(tt.us)*time.Microsecond)); got != tt.want {
			t.Errorf("%d µs = %q, want %q", tt.us, got, tt.want)
		}
	}
}

func TestDelayValues(t *testing.T) {
	parts := [4]time.Duration{1, 2, 3, 4}
	for _, v := range []slog.Value{slog.AnyValue(parts), slog.AnyValue(&parts), slog.AnyValue(parts[:])} {
		if got := delaysOf(v); got != parts {
			t.Errorf("delaysOf(%v) = %v", v, got)
		}
	}
	for _, v := range []slog.Value{{}, slog.StringValue("x"), slog.AnyValue((*[4]time.Duration)(nil))} {
		if got := delaysOf(v); got != ([4]time.Duration{}) {
			t.Errorf("delaysOf(%v) = %v", v, got)
		}
		if got := delayOf(v); got != 0 {
			t.Errorf("delayOf(%v) = %v", v, got)
		}
	}
	for _, v := range []slog.Value{slog.DurationValue(2 * time.Second), slog.Float64Value(2), slog.IntValue(2)} {
		if got := delayOf(v); got != 2*time.Second {
			t.Errorf("delayOf(%v) = %v", v, got)
		}
	}
}
