package integration

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Much mail for one next hop goes over few connections.
func TestBusyConnectionsAreReused(t *testing.T) {
	const letters, sessions = 2000, 20
	sink := newSink(t)
	sink.CountOnly()
	r := newRelay(t, base(sink), nil)
	r.start()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range sessions {
		wg.Go(func() {
			if err := benchSession(r.smtp, "Subject: x\r\n\r\nx\r\n.\r\n", &next, letters, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r.waitEmpty()
	if got := sink.Count(); got != letters {
		t.Errorf("%d of %d arrived", got, letters)
	}
	if got := sink.Conns(); got > letters/10 {
		t.Errorf("%d connections for %d letters", got, letters)
	}
}

// A letter now and then does not hold a connection of the next hop: each has its own,
// which is closed after it.
func TestLoneLettersHoldNoConnection(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	for range 3 {
		if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
			t.Fatalf("swaks: exit status %d\n%s", code, out)
		}
		r.waitEmpty()
	}
	if got := sink.Conns(); got != 3 || strings.Contains(r.log(), "conn_use=") {
		t.Errorf("%d connections for 3 letters\n%s", got, r.log())
	}
}
