package world

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
)

var (
	oneSeed  = flag.Uint64("seed", 0, "run the world of this seed alone")
	manySeed = flag.Int("seeds", 0, "run the worlds of so many seeds")
	saveLog  = flag.String("save-log", "", "write the mail log of the last world to this file")
)

// world is one world.
type world struct {
	seed  uint64
	scale int // clients
	began time.Time

	hosts   map[netip.Addr]*hop
	names   *names
	aliases aliases
	ledger  *ledger
	log     logText
	tasks   sync.WaitGroup // hops, clients, operators, servers without power

	relayMoves   time.Duration
	delayWarning time.Duration
	sites        bool // destinations with the same hosts are one
	runs         int
	reloads      int

	mu       sync.Mutex // guards what follows
	current  *run
	faults   []string
	tallies  map[string]int
	loopEnds []int
}

// logText is the mail log.
type logText struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func newWorld(seed uint64, scale int) *world {
	w := &world{seed: seed, scale: scale, began: time.Now(), hosts: map[netip.Addr]*hop{}, tallies: map[string]int{}}
	w.ledger = newLedger(w)
	w.names = &names{w: w, zones: map[string]*zone{}, addrs: map[string]netip.Addr{}}
	w.relayMoves = day + time.Duration(w.dice("relay").Int64N(int64(2*day)))
	if w.dice("delay warning").IntN(2) == 0 {
		w.delayWarning = 4 * time.Hour
	}
	w.sites = w.dice("sites").IntN(3) > 0
	w.castAliases()
	w.castHops()
	return w
}

// dice are those of one decision: the same for the same question in the same world.
func (w *world) dice(question ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, question...)
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

func (w *world) age() time.Duration { return time.Since(w.began) }
func (w *world) isCalm() bool       { return w.age() >= troubled }

// until sleeps until an age of the world.
func (w *world) until(age time.Duration) { time.Sleep(age - w.age()) }

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf("%v: ", w.age().Round(time.Second))+fmt.Sprintf(format, args...))
}

func (w *world) tally(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tallies[what]++
}

// now is the server that runs now; nil: none does.
func (w *world) now() *run {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

func (w *world) setRun(r *run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = r
}

// looped notes the end of a pass of the mail that goes in circles.
func (w *world) looped(pass int, status submission, text string) {
	if status == accepted {
		return
	}
	if !strings.Contains(text, "too many hops") {
		w.fault("pass %d of the loop ends with %q", pass, text)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loopEnds = append(w.loopEnds, pass)
}

// live lets the world go by. It returns the disk as it was left.
func (w *world) live() (*vfs.MemFS, error) {
	mem := vfs.NewCrashableMem()
	r, err := w.start(mem)
	if err != nil {
		return nil, err
	}
	for _, v := range w.visits() {
		w.tasks.Go(func() {
			w.until(v.at)
			v.call(w)
		})
	}
	w.tasks.Go(func() {
		for n := range 120 {
			w.until(time.Duration(n+1)*time.Hour + time.Duration(w.dice("operator at", n).Int64N(int64(time.Hour))) - time.Hour)
			w.operate(n)
		}
	})
	for n := range 30 {
		d := w.dice("event", n)
		w.until(time.Duration(n)*4*time.Hour + time.Duration(d.Int64N(int64(3*time.Hour))))
		downtime := time.Second + time.Duration(d.Int64N(int64(time.Minute)))
		if d.IntN(8) == 0 {
			downtime += time.Duration(d.Int64N(int64(2 * time.Hour)))
		}
		switch d.IntN(4) {
		case 0, 1:
			mem = r.crash([]int{0, 30, 70, 100}[d.IntN(4)], d)
			time.Sleep(downtime)
			r, err = w.start(mem)
		case 2:
			r.stop()
			time.Sleep(downtime)
			r, err = w.start(mem)
		case 3:
			err = r.reload()
			w.tally("reloads")
		}
		if err != nil {
			return nil, err
		}
	}
	// Calm.
	w.until(troubled + 6*time.Hour)
	ctx := context.Background()
	if _, err := r.queue.Each(ctx, []string{"hold"}, r.queue.Release); err != nil {
		return nil, err
	}
	w.ledger.set(func() { w.ledger.flushes = append(w.ledger.flushes, time.Now()) })
	for w.age() < troubled+lifetime+day {
		time.Sleep(time.Hour)
		if left, err := listing(r); err != nil || left == "" {
			break
		}
	}
	if left, err := listing(r); err != nil || left != "" {
		w.fault("the queue has not come to rest: %s%v", left, err)
	}
	w.tasks.Wait()
	r.stop()
	return mem, nil
}

func listing(r *run) (string, error) {
	var b strings.Builder
	err := r.queue.List(context.Background(), func(l mail.Listed) bool {
		fmt.Fprintf(&b, "%s %s <%s>\n", l.Queue, l.ID, l.Sender)
		return true
	})
	return b.String(), err
}

// TestWorld: whatever happens, everybody gets his mail, or its sender is told.
func TestWorld(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 3
	}
	if *manySeed > 0 {
		seeds = *manySeed
	}
	first := uint64(1)
	if *oneSeed > 0 {
		first, seeds = *oneSeed, 1
	}
	if !testing.Short() {
		// One processor: what happens at the same instant then happens nearly always in the
		// same order, and the same seed makes the same world again.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	total := map[string]int{}
	for seed := first; seed < first+uint64(seeds); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := runSeed(t, seed)
			for what, n := range w.tallies {
				total[what] += n
			}
		})
	}
	var lines []string
	for what, n := range total {
		lines = append(lines, fmt.Sprintf("%6d %s", n, what))
	}
	slices.Sort(lines)
	t.Logf("%d worlds:\n%s", seeds, strings.Join(lines, "\n"))
}

// runSeed runs one world.
func runSeed(t *testing.T, seed uint64) (w *world) {
	synctest.Test(t, func(t *testing.T) {
		// Virtual time begins before queue IDs do.
		time.Sleep(time.Until(time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)))
		w = newWorld(seed, 120)
		mem, err := w.live()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		w.check(mem)
	})
	if *saveLog != "" {
		if err := os.WriteFile(*saveLog, w.log.b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.faults) > 0 {
		t.Errorf("seed %d (go test ./integration/world -seed %d): %d faults:\n%s", seed, seed, len(w.faults), strings.Join(w.faults[:min(len(w.faults), 30)], "\n"))
	}
	return w
}
