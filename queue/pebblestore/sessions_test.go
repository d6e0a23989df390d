package pebblestore_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"aliasmx/queue/pebblestore"
)

// crash is one state that the disk may be in after a power cut, and what was
// acknowledged before.
type crash struct {
	disk *disk
	then *ledger
	what string
}

// sessions lets several sessions at once work on a queue, through power cuts at random
// instants. They share group commits; who comes first in the log is not known, so that
// what is found afterwards is held against the ledgers of what each was told.
func sessions(seed uint64, generations int) (cycles int, err error) {
	rng := rand.New(rand.NewPCG(seed, 99))
	d, book := newDisk(), newLedger()
	for g := range generations {
		shots, ever, err := work(d, book, rng)
		if err != nil {
			return cycles, fmt.Errorf("seed %d, generation %d: %w", seed, g, err)
		}
		var survivors []*ledger
		for _, shot := range shots {
			cycles++
			found, err := reopen(crash{shot.disk.killed(), shot.then, shot.what}, ever)
			if err != nil {
				return cycles, fmt.Errorf("seed %d, generation %d, power cut %s: %w", seed, g, shot.what, err)
			}
			survivors = append(survivors, found)
		}
		if k := rng.IntN(len(shots) + 1); k < len(shots) {
			d, book = shots[k].disk, survivors[k]
		} else {
			d, book = newDisk(), newLedger()
		}
	}
	return cycles, nil
}

// work opens a queue, lets sessions work on it, closes it, and returns some of the states
// that its disk went through.
func work(d *disk, book *ledger, rng *rand.Rand) (shots []crash, ever *ledger, err error) {
	var mu sync.Mutex // guards shots and rng
	look := func(o op, after bool) {
		mu.Lock()
		defer mu.Unlock()
		if !o.changes() || len(shots) == 8 || rng.IntN(60) > 0 {
			return
		}
		then := book.snapshot() // before the picture: what is in it must be in the picture
		percent, seed := cutPercents[rng.IntN(len(cutPercents))], rng.Uint64()
		shots = append(shots, crash{
			disk: d.cut(percent, rand.New(rand.NewPCG(seed, 1))),
			then: then,
			what: fmt.Sprintf("%s %v, %d %% of what was not synced (seed %d)", when(after), o, percent, seed),
		})
	}
	d.watch(func(o op) verdict { look(o, false); return verdict{} }, func(o op) { look(o, true) })
	o := crashOptions(d)
	log, died := &logBook{}, newDeath()
	o.Log, o.Fatal = log.logger(), died.die
	s, err := pebblestore.Open(o)
	if err != nil {
		return nil, nil, fmt.Errorf("Open: %w", err)
	}
	var running sync.WaitGroup
	for i := range uint64(4) {
		w := &traffic{ledger: book, store: s, rng: rand.New(rand.NewPCG(i, 3)), large: 5000}
		running.Go(func() { w.run(12, nil) })
	}
	running.Wait()
	err = died.close(s)
	if err == nil {
		err = died.cause()
	}
	if text := log.String(); err == nil && strings.Contains(text, "level=ERROR") {
		err = fmt.Errorf("log: %s", text)
	}
	d.watch(nil, nil)
	mu.Lock() // somebody may still be looking
	defer mu.Unlock()
	return shots, book, err
}

// reopen opens what is left after a power cut and holds it against the ledger.
func reopen(shot crash, ever *ledger) (*ledger, error) {
	log, died := &logBook{}, newDeath()
	o := crashOptions(shot.disk)
	o.Log, o.Fatal = log.logger(), died.die
	s, err := pebblestore.Open(o)
	if err != nil {
		return nil, err
	}
	found, err := verify(s, shot.then, ever)
	if err == nil && s.Stats().Corrupt > 0 {
		err = fmt.Errorf("something is corrupt: %s", log)
	}
	if err == nil {
		err = noStrays(s, shot.disk)
	}
	if cerr := died.close(s); err == nil {
		err = cerr
	}
	if err == nil {
		err = died.cause()
	}
	return found, err
}
