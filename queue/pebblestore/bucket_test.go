package pebblestore_test

import (
	"fmt"
	"time"

	"aliasmx/queue/pebblestore"
)

// bucket kills a process at each step of its first large message, lets the next one take a
// large message into the same directory of bodies, and cuts the power. lie, if any, tells
// which syncs are swallowed.
func bucket(lie func(path string) bool) (cycles int, err error) {
	swallow := func(o op) verdict { return verdict{swallow: lie != nil && o.kind == "sync" && lie(o.path)} }
	l := newLife(3000, false)
	l.look = func(_ *life, o op, _ bool) verdict { return swallow(o) }
	if err := l.live(0, 1); err != nil {
		return 0, err
	}
	var killed []*disk
	d := l.disk
	first, err := large(l, d, func(x *extras, s *pebblestore.Store) {
		d.watch(nil, func(o op) {
			if o.changes() {
				killed = append(killed, d.killed())
			}
		})
		x.add(s, 10_000)
		d.watch(nil, nil)
	})
	if err != nil {
		return 0, err
	}
	var begun time.Time
	for id := range first.acked {
		begun = id.Time()
	}
	for i, d := range killed {
		// The name of the directory is made of the last eight bits of the time.
		l.clock.Add(begun.Add(40 * 256 * time.Millisecond).Sub(l.clock.Now()))
		d.watch(swallow, nil)
		cycles++
		var left *disk
		second, err := large(l, d, func(x *extras, s *pebblestore.Store) {
			x.add(s, 10_000)
			left = d.cut(0, nil)
		})
		if err == nil && len(second.acked) != 1 {
			err = fmt.Errorf("no mail is taken")
		}
		if err == nil {
			for id, body := range first.bodies { // was under way: it may be there or not
				second.bodies[id] = body
			}
			err = second.judge(left)
		}
		if err != nil {
			return cycles, fmt.Errorf("killed after step %d of a large message: %w", i, err)
		}
	}
	if len(killed) < 8 {
		return cycles, fmt.Errorf("only %d steps of a large message were seen", len(killed))
	}
	return cycles, nil
}

// large opens a queue, lets f work on it, and closes it.
func large(l *life, d *disk, f func(x *extras, s *pebblestore.Store)) (*extras, error) {
	o, _, died := l.options(d)
	s, err := pebblestore.Open(o)
	if err != nil {
		return nil, fmt.Errorf("Open: %w", err)
	}
	x := &extras{l: l}
	f(x, s)
	return x, died.close(s)
}
