package maillog

import (
	"log/slog"
	"strconv"
	"time"
)

// appendDelay writes a time as Postfix does: two significant digits, but no more than
// two behind the point (postconf(5): delay_logging_resolution_limit), no trailing
// zeros, whole seconds in full: 0.08, 1.5, 12, 345, 0.
func appendDelay(b []byte, d time.Duration) []byte {
	const second = 1_000_000
	us := max(d.Microseconds(), 0)
	sec, us := us/second, us%second

	resolution := int64(second / 100)
	switch {
	case sec >= 10:
		resolution = second
	case sec >= 1:
		resolution = second / 10
	}
	us += resolution / 2
	if us >= second {
		sec, us = sec+1, us-second
	}
	b = strconv.AppendInt(b, sec, 10)
	if us < resolution {
		return b
	}
	b = append(b, '.')
	for digit := int64(second / 10); us >= resolution && digit > 0; digit /= 10 {
		b = append(b, byte('0'+us/digit))
		us %= digit
	}
	return b
}

// delayOf reads a delay, however it was logged.
func delayOf(v slog.Value) time.Duration {
	switch v.Kind() {
	case slog.KindDuration:
		return v.Duration()
	case slog.KindFloat64: // seconds
		return time.Duration(v.Float64() * float64(time.Second))
	case slog.KindInt64:
		return time.Duration(v.Int64()) * time.Second
	}
	return 0
}

// delaysOf reads the four parts of a delay: before the queue manager, in the queue,
// setting up the connection, transmission.
func delaysOf(v slog.Value) (parts [4]time.Duration) {
	switch x := v.Any().(type) {
	case [4]time.Duration:
		return x
	case *[4]time.Duration:
		if x != nil {
			return *x
		}
	case []time.Duration:
		copy(parts[:], x)
	}
	return parts
}
