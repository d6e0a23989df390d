package integration

import (
	"slices"
	"testing"
)

// A transport's own recipient limit divides a message into deliveries.
func TestRecipientLimitOfATransport(t *testing.T) {
	for limits, want := range map[[2]string][]int{
		{"smtp_destination_recipient_limit", "2"}:    {1, 2},
		{"smtp_destination_recipient_limit", "1"}:    {1, 1, 1},
		{"lmtp_destination_recipient_limit", "1"}:    {3},
		{"default_destination_recipient_limit", "2"}: {1, 2},
		{"default_destination_recipient_limit", "0"}: {3},
	} {
		sink := newSink(t)
		cf := base(sink)
		cf[limits[0]] = limits[1]
		r := newRelay(t, cf, nil)
		r.start()
		if out, code := swaks(t, r, "--to", "team@alias.example"); code != 0 {
			t.Fatalf("exit status %d\n%s", code, out)
		}
		r.waitEmpty()
		var got []int
		for _, m := range sink.Messages() {
			got = append(got, len(m.Rcpts))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: recipients of the deliveries %v, want %v", limits, got, want)
		}
		r.stop()
	}
}
