package integration

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// BenchmarkConnected tells what a client waits for beyond the next hop's own time, and how
// much mail passes, with relay_while_connected and by the queue.
//
//	go test ./integration -run '^$' -bench Connected -benchtime 1x
func BenchmarkConnected(b *testing.B) {
	const hop = 50 * time.Millisecond // the next hop's time for each message, at the dot
	for name, setting := range map[string]string{"queued": "no", "connected": "yes"} {
		b.Run("latency/"+name, func(b *testing.B) {
			sink := newSink(b)
			sink.CountOnly()
			sink.Behave(peers.Script{Delay: hop, DelayAt: "."})
			r := connectedRelay(b, sink, map[string]string{"relay_while_connected": setting})
			for b.Loop() {
				times := make([]time.Duration, 50)
				for i := range times {
					began := time.Now()
					if reply := sendOnce(r.smtp, "info@alias.example", "bench"); reply == "" || reply[0] != '2' {
						b.Fatalf("reply %q", reply)
					}
					times[i] = time.Since(began)
				}
				slices.Sort(times)
				median := times[len(times)/2]
				if setting == "yes" {
					median -= hop
				}
				b.ReportMetric(float64(median.Microseconds())/1000, "ms-own")
			}
			r.stop()
		})
		b.Run("throughput/"+name, func(b *testing.B) {
			sink := newSink(b)
			sink.CountOnly()
			r := connectedRelay(b, sink, map[string]string{"relay_while_connected": setting, "smtpd_client_connection_count_limit": "0"})
			for b.Loop() {
				const n, clients = 2000, 16
				before, began := sink.Count(), time.Now()
				var left atomic.Int64
				left.Store(n)
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if reply := sendOnce(r.smtp, "info@alias.example", "bench"); reply == "" || reply[0] != '2' {
								b.Errorf("reply %q", reply)
								return
							}
						}
					})
				}
				wg.Wait()
				if !sink.Wait(before+n, 4*limit) {
					b.Fatalf("%d of %d arrived", sink.Count()-before, n)
				}
				b.ReportMetric(n/time.Since(began).Seconds(), "messages/s")
			}
			r.stop()
		})
	}
}
