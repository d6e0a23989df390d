package queue

import (
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// BenchmarkScheduler is the way of one message through the state machine, with a
// thousand destinations asleep.
func BenchmarkScheduler(b *testing.B) {
	for _, c := range []struct {
		name   string
		linger bool
	}{{"new connection", false}, {"reused connection", true}} {
		b.Run(c.name, func(b *testing.B) {
			s := newScheduler(Params{}.withDefaults(), func() float64 { return 1 })
			s.step(start, evOpen{})
			for i := range 1000 {
				s.step(start, evHeads{heads: []DestHead{{mail.MakeDest("smtp", string(rune('一'+i))), start.Add(time.Hour)}}})
			}
			var open connID
			b.ReportAllocs()
			for i := range b.N {
				j := Job{ID: mail.QueueID(i + 1), Dest: "smtp:dest.example", Due: start}
				for _, a := range s.step(start, evArrived{[]Job{j}}) {
					switch a := a.(type) {
					case actStart:
						open = a.conn
					case actGive:
						open = a.conn
					}
				}
				s.step(start, evDone{conn: open, verdict: good})
				s.step(start, evAsk{open, c.linger})
				if !c.linger {
					s.step(start, evExit{open})
				}
				s.step(start, evSettled{jobs: 1})
			}
		})
	}
}
