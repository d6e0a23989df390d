package queue

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// script drives a scheduler by hand. Actions are written as short words, so that a
// test reads as a dialogue.
type script struct {
	t    *testing.T
	s    *scheduler
	now  time.Time
	next mail.QueueID
}

func newScript(t *testing.T, p Params) *script {
	sc := &script{t: t, s: newScheduler(p.withDefaults(), func() float64 { return 1 }), now: start}
	sc.tell(evOpen{}, "")
	return sc
}

// fill completes limits with the defaults.
func fill(t TransportParams) TransportParams {
	d := DefaultTransportParams()
	set(&t.ConcurrencyLimit, d.ConcurrencyLimit)
	set(&t.InitialConcurrency, d.InitialConcurrency)
	set(&t.PositiveFeedback.Num, d.PositiveFeedback.Num)
	set(&t.NegativeFeedback.Num, d.NegativeFeedback.Num)
	set(&t.FailedCohortLimit, d.FailedCohortLimit)
	return t
}

// most are limits with at most n connections to a site.
func most(n int) TransportParams { return fill(TransportParams{ConcurrencyLimit: n}) }

// job makes a fresh job for a destination.
func (sc *script) job(dest string) Job {
	sc.next++
	return Job{ID: sc.next, Dest: mail.Dest("smtp:" + dest), Due: sc.now, Rcpts: []int{0}}
}

func (sc *script) jobs(dest string, n int) []Job {
	jobs := make([]Job, n)
	for i := range jobs {
		jobs[i] = sc.job(dest)
	}
	return jobs
}

// tell gives the scheduler an event and compares its answer.
func (sc *script) tell(ev event, want string) {
	sc.t.Helper()
	got := sc.words(sc.s.step(sc.now, ev))
	if got != want {
		sc.t.Errorf("%s: got %q, want %q", strings.TrimPrefix(fmt.Sprintf("%T%+v", ev, ev), "queue."), got, want)
	}
}

func (sc *script) words(actions []action) string {
	var words []string
	for _, a := range actions {
		switch a := a.(type) {
		case actClaim:
			words = append(words, fmt.Sprintf("claim %s %d at %s", a.dest.NextHop(), a.max, a.until.Sub(start)))
			if !a.wake.Before.IsZero() {
				words[len(words)-1] += " and wake"
			}
		case actLocate:
			words = append(words, "locate "+a.dest.NextHop())
		case actStart:
			words = append(words, fmt.Sprintf("start %d %s job %d", a.conn, a.dest.NextHop(), a.job.ID))
		case actGive:
			if a.ok {
				words = append(words, fmt.Sprintf("give %d job %d", a.conn, a.job.ID))
			} else {
				words = append(words, fmt.Sprintf("refuse %d", a.conn))
			}
		case actSuspend:
			words = append(words, fmt.Sprintf("suspend %s (%s)", list(a.jobs), a.why.reason))
		case actRelease:
			words = append(words, "release "+list(a.jobs))
		case actDropped:
			words = append(words, "dropped "+list(a.jobs))
		}
	}
	return strings.Join(words, ", ")
}

func list(jobs []Job) string {
	ids := make([]string, len(jobs))
	for i, j := range jobs {
		ids[i] = fmt.Sprint(uint64(j.ID))
	}
	return strings.Join(ids, "+")
}

func (sc *script) wantNext(d time.Duration) {
	sc.t.Helper()
	want := time.Time{}
	if d > 0 {
		want = start.Add(d)
	}
	if got := sc.s.next(); !got.Equal(want) {
		sc.t.Errorf("wants to be woken at %v, want %v", got, want)
	}
}

func done(c connID, v verdict) evDone {
	return evDone{conn: c, verdict: v, why: trouble{reason: "connection refused"}}
}

// bustle makes a destination lively, as enough mail for it would.
func (sc *script) bustle(dest string) {
	d := sc.s.dest(mail.Dest("smtp:" + dest))
	for range livelyStreak {
		d.count(sc.now)
	}
}

func TestConnectionIsOpenedForAJobAndReused(t *testing.T) {
	sc := newScript(t, Params{})
	sc.bustle("a")
	sc.tell(evArrived{sc.jobs("a", 1)}, "start 1 a job 1")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "") // lingers
	sc.tell(evArrived{sc.jobs("a", 1)}, "give 1 job 2")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "")
	sc.tell(evGiveUp{1}, "refuse 1")
	sc.tell(evGiveUp{1}, "") // it has its answer
	sc.tell(evExit{1}, "")
	sc.wantNext(streakPause)
	sc.now = start.Add(streakPause)
	sc.tell(evTick{}, "")
	if len(sc.s.dests) != 0 {
		t.Errorf("destinations left: %d", len(sc.s.dests))
	}
}

// As long as little mail goes to a destination, each connection is closed after the
// work there was. Ten attempts without a pause of a second make it worth waiting.
func TestOnlyLivelyDestinationsKeepConnections(t *testing.T) {
	for _, c := range []struct {
		name  string
		pause time.Duration
		pairs int // letters come two at once
		want  string
	}{
		{"few", time.Millisecond, 4, "refuse"},
		{"many", time.Millisecond, 6, ""},
		{"many, slowly", streakPause - time.Millisecond, 6, ""},
		{"many, with pauses", streakPause, 6, "refuse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc := newScript(t, Params{Default: most(1)})
			id := connID(0)
			last := ""
			for range c.pairs {
				sc.now = sc.now.Add(c.pause)
				sc.s.step(sc.now, evTick{})
				if got := sc.words(sc.s.step(sc.now, evArrived{sc.jobs("a", 2)})); strings.HasPrefix(got, "start") {
					id++
				}
				sc.s.step(sc.now, done(id, good))
				if got := sc.words(sc.s.step(sc.now, evAsk{id, true})); !strings.HasPrefix(got, "give") {
					t.Errorf("work waits: got %q", got)
				}
				sc.s.step(sc.now, done(id, good))
				if last = sc.words(sc.s.step(sc.now, evAsk{id, true})); last != "" {
					sc.s.step(sc.now, evExit{id})
				}
			}
			if got, _, _ := strings.Cut(last, " "); got != c.want {
				t.Errorf("asking for more: got %q, want %q", last, c.want)
			}
		})
	}
}

func TestNobodyWaitsWithoutLinger(t *testing.T) {
	sc := newScript(t, Params{})
	sc.tell(evArrived{sc.jobs("a", 1)}, "start 1 a job 1")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, false}, "refuse 1")
}

func TestNothingBeforeOpen(t *testing.T) {
	s := newScheduler(Params{}.withDefaults(), func() float64 { return 1 })
	j := Job{ID: 1, Dest: "smtp:a"}
	if got := s.step(start, evArrived{[]Job{j}}); got != nil {
		t.Errorf("before it is open: %v", got)
	}
	want := []action{actStart{conn: 1, dest: "smtp:a", job: j}}
	if got := s.step(start, evOpen{}); !reflect.DeepEqual(got, want) {
		t.Errorf("when it opens: got %v, want %v", got, want)
	}
}

func TestWindowLimitsAttempts(t *testing.T) {
	sc := newScript(t, Params{Default: fill(TransportParams{InitialConcurrency: 2, ConcurrencyLimit: 3, PositiveFeedback: Feedback{Num: 1}})})
	sc.tell(evArrived{sc.jobs("a", 6)}, "start 1 a job 1, start 2 a job 2")
	sc.tell(done(1, good), "start 3 a job 3") // the window grows by one, to its limit
	sc.tell(evAsk{1, true}, "give 1 job 4")
	sc.tell(done(2, good), "")
	sc.tell(evAsk{2, true}, "give 2 job 5")
}

func TestTransportHasItsOwnLimit(t *testing.T) {
	sc := newScript(t, Params{Transports: map[string]TransportParams{"smtp": most(1)}})
	sc.tell(evArrived{sc.jobs("a", 2)}, "start 1 a job 1")
}

func TestConnectionLeavesWhenTheWindowShrinks(t *testing.T) {
	sc := newScript(t, Params{Default: fill(TransportParams{InitialConcurrency: 2})})
	sc.tell(evArrived{sc.jobs("a", 4)}, "start 1 a job 1, start 2 a job 2")
	sc.tell(done(1, bad), "")
	sc.tell(evAsk{1, true}, "refuse 1")
	sc.tell(done(2, good), "")
	sc.tell(evAsk{2, true}, "give 2 job 3")
}

func TestDeadDestination(t *testing.T) {
	sc := newScript(t, Params{Default: fill(TransportParams{InitialConcurrency: 1, FailedCohortLimit: 1}), MinimalBackoff: 5 * time.Minute})
	sc.tell(evArrived{sc.jobs("a", 3)}, "start 1 a job 1")
	sc.tell(done(1, bad), "")
	sc.tell(evAsk{1, false}, "give 1 job 2")
	sc.tell(done(1, bad), "suspend 3 (delivery temporarily suspended: connection refused)")
	sc.tell(evAsk{1, true}, "refuse 1")
	sc.tell(evExit{1}, "")
	// New mail is not tried, and what sleeps in the store sleeps on.
	sc.tell(evArrived{sc.jobs("a", 1)}, "suspend 4 (delivery temporarily suspended: connection refused)")
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start.Add(time.Minute)}}}, "")
	sc.wantNext(5 * time.Minute)

	// Then one attempt is made to see, whatever else comes in.
	sc.now = start.Add(5 * time.Minute)
	sc.tell(evTick{}, "claim a 1 at 5m0s")
	probe := sc.jobs("a", 1)
	sc.tell(evClaimed{dest: "smtp:a", jobs: probe, next: start.Add(time.Minute)}, "start 2 a job 5")
	sc.tell(evArrived{sc.jobs("a", 1)}, "")
	sc.tell(done(2, bad), "suspend 6 (delivery temporarily suspended: connection refused)")
	sc.tell(evExit{2}, "")

	// The next try is twice as far away. It succeeds: the rest follows at once.
	sc.wantNext(15 * time.Minute)
	sc.now = start.Add(15 * time.Minute)
	sc.tell(evTick{}, "claim a 1 at 15m0s")
	sc.tell(evClaimed{dest: "smtp:a", jobs: sc.jobs("a", 1), next: start.Add(time.Minute)}, "start 3 a job 7")
	sc.tell(done(3, good), "claim a 32 at 15m0s and wake")
}

// What sleeps is fetched once it is overdue by the maximal back-off, so that it can
// expire.
func TestDeadDestinationStillExpires(t *testing.T) {
	sc := newScript(t, Params{Default: fill(TransportParams{InitialConcurrency: 1, FailedCohortLimit: 0.5}), MinimalBackoff: time.Hour, MaximalBackoff: time.Hour})
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start.Add(-30 * time.Minute)}}}, "claim a 32 at 0s")
	sc.tell(evClaimed{dest: "smtp:a", jobs: sc.jobs("a", 1), next: start.Add(-30 * time.Minute)}, "start 1 a job 1, claim a 32 at 0s")
	sc.tell(evClaimed{dest: "smtp:a", next: start.Add(-30 * time.Minute), failed: true}, "")
	sc.tell(done(1, bad), "")
	sc.tell(evExit{1}, "")
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start.Add(-30 * time.Minute)}}}, "")
	sc.wantNext(30 * time.Minute)
	sc.now = start.Add(30 * time.Minute)
	sc.tell(evTick{}, "claim a 32 at -30m0s")
	sc.tell(evClaimed{dest: "smtp:a", jobs: sc.jobs("a", 1)}, "suspend 2 (delivery temporarily suspended: connection refused)")
}

func TestFlushRevives(t *testing.T) {
	sc := newScript(t, Params{Default: fill(TransportParams{InitialConcurrency: 1, FailedCohortLimit: 0.5})})
	sc.tell(evArrived{sc.jobs("a", 1)}, "start 1 a job 1")
	sc.tell(done(1, bad), "")
	sc.tell(evExit{1}, "")
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start}}}, "")
	sc.tell(evFlush{all: true}, "claim a 1 at 0s and wake") // one, to see
}

func TestNeutralSaysNothing(t *testing.T) {
	sc := newScript(t, Params{Default: fill(TransportParams{InitialConcurrency: 1, FailedCohortLimit: 0.5})})
	sc.tell(evArrived{sc.jobs("a", 2)}, "start 1 a job 1")
	sc.tell(done(1, neutral), "")
	sc.tell(evExit{1}, "start 2 a job 2")
}

func TestRoomForFreshMail(t *testing.T) {
	sc := newScript(t, Params{MessageActiveLimit: 200, Transports: map[string]TransportParams{"smtp": most(1)}})
	sc.tell(evArrived{sc.jobs("a", 1)}, "start 1 a job 1")
	sc.tell(evArrived{sc.jobs("a", 99)}, "")
	sc.tell(evArrived{sc.jobs("a", 1)}, "release 101") // half of memory is full, and most of it a's
	for n, dest := range []string{"b", "c", "d"} {
		sc.tell(evArrived{sc.jobs(dest, 1)}, fmt.Sprintf("start %d %s job %d", n+2, dest, sc.next))
		sc.tell(evArrived{sc.jobs(dest, 32)}, "")
	}
	sc.tell(evArrived{sc.jobs("d", 1)}, "release 201") // the ring is full
	sc.tell(evArrived{sc.jobs("e", 1)}, "start 5 e job 202")
	sc.tell(evArrived{sc.jobs("e", 1)}, "release 203") // memory is full
	sc.tell(evHeads{heads: []DestHead{{"smtp:e", start}}}, "")
	sc.tell(done(5, good), "")
	sc.tell(evExit{5}, "")
	sc.tell(evSettled{jobs: 1}, "claim e 1 at 0s") // room for one
}

func TestClaimsTakeTurns(t *testing.T) {
	sc := newScript(t, Params{})
	heads := []DestHead{}
	for i := range 6 {
		heads = append(heads, DestHead{mail.Dest(fmt.Sprintf("smtp:%d", i)), start})
	}
	sc.tell(evHeads{heads: heads}, "claim 0 32 at 0s, claim 1 32 at 0s, claim 2 32 at 0s, claim 3 32 at 0s")
	sc.tell(evClaimed{dest: "smtp:1"}, "claim 4 32 at 0s")
	// A head that comes while its claim is under way is not forgotten.
	sc.tell(evHeads{heads: []DestHead{{"smtp:0", start}}}, "")
	sc.tell(evClaimed{dest: "smtp:0"}, "claim 5 32 at 0s")
	sc.tell(evClaimed{dest: "smtp:2"}, "claim 0 32 at 0s")
}

func TestHeadsWakeTheirTimers(t *testing.T) {
	sc := newScript(t, Params{})
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start.Add(2 * time.Minute)}, {"smtp:b", start.Add(time.Minute)}}}, "")
	sc.wantNext(time.Minute)
	sc.now = start.Add(time.Minute)
	sc.tell(evTick{}, "claim b 32 at 1m0s")
	sc.wantNext(2 * time.Minute)
	sc.tell(evClaimed{dest: "smtp:b", next: start.Add(90 * time.Second)}, "")
	sc.wantNext(90 * time.Second)
}

func TestClaimFailureIsTriedAgain(t *testing.T) {
	sc := newScript(t, Params{})
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start}}}, "claim a 32 at 0s")
	sc.tell(evClaimed{dest: "smtp:a", failed: true}, "")
	sc.wantNext(claimRetry)
}

// A clock that was set back must not make mail wait for ever.
func TestFarDueTimeIsFetchedEarlier(t *testing.T) {
	sc := newScript(t, Params{MaximalBackoff: time.Hour})
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start.Add(1000 * time.Hour)}}}, "")
	sc.wantNext(2 * time.Hour)
	sc.now = start.Add(2 * time.Hour)
	sc.tell(evTick{}, "claim a 32 at 1000h0m0s")
}

func TestProcessLimitAndTurns(t *testing.T) {
	sc := newScript(t, Params{ProcessLimit: 2})
	sc.tell(evArrived{sc.jobs("a", 4)}, "start 1 a job 1, start 2 a job 2")
	sc.tell(evArrived{sc.jobs("b", 1)}, "") // no slot
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "refuse 1") // a has two, b none
	sc.tell(done(2, good), "")
	sc.tell(evAsk{2, true}, "give 2 job 3") // one leaves already, for the one who waits
	sc.tell(evExit{1}, "start 3 b job 5")
}

func TestLingeringConnectionMakesRoom(t *testing.T) {
	sc := newScript(t, Params{ProcessLimit: 1})
	sc.bustle("a")
	sc.tell(evArrived{sc.jobs("a", 1)}, "start 1 a job 1")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "")
	sc.tell(evArrived{sc.jobs("b", 1)}, "refuse 1")
	sc.tell(evExit{1}, "start 2 b job 2")
}

func TestReuseLimits(t *testing.T) {
	sc := newScript(t, Params{ConnectionReuseCount: 1, Transports: map[string]TransportParams{"smtp": most(1)}})
	sc.tell(evArrived{sc.jobs("a", 3)}, "start 1 a job 1")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "give 1 job 2")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "refuse 1")
	sc.tell(evExit{1}, "start 2 a job 3")

	sc = newScript(t, Params{ConnectionReuseTime: time.Minute, Transports: map[string]TransportParams{"smtp": most(1)}})
	sc.tell(evArrived{sc.jobs("a", 3)}, "start 1 a job 1")
	sc.tell(done(1, good), "")
	sc.now = start.Add(59 * time.Second)
	sc.tell(evAsk{1, true}, "give 1 job 2")
	sc.tell(done(1, good), "")
	sc.now = start.Add(60 * time.Second)
	sc.tell(evAsk{1, true}, "refuse 1")
	sc.tell(evExit{1}, "start 2 a job 3")
}

func TestExpiredByHandIsNotTried(t *testing.T) {
	sc := newScript(t, Params{})
	j := sc.job("a")
	j.Expired = true
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start}}}, "claim a 32 at 0s")
	sc.tell(evClaimed{dest: "smtp:a", jobs: []Job{j}}, "suspend 1 (message is administratively expired)")
}

func TestDrop(t *testing.T) {
	sc := newScript(t, Params{Default: fill(TransportParams{InitialConcurrency: 1})})
	sc.tell(evArrived{sc.jobs("a", 3)}, "start 1 a job 1")
	sc.tell(evDrop{id: 2, dests: []mail.Dest{"smtp:a", "smtp:b"}}, "dropped 2")
	sc.tell(evDrop{id: 1, dests: []mail.Dest{"smtp:a"}}, "dropped ") // under way
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "give 1 job 3")
	if sc.s.loaded != 2 {
		t.Errorf("%d jobs loaded, want 2", sc.s.loaded)
	}
}

func TestClose(t *testing.T) {
	sc := newScript(t, Params{Transports: map[string]TransportParams{"smtp": most(1)}})
	sc.bustle("b")
	sc.tell(evArrived{sc.jobs("a", 2)}, "start 1 a job 1")
	sc.tell(evArrived{sc.jobs("b", 1)}, "start 2 b job 3")
	sc.tell(done(2, good), "")
	sc.tell(evSettled{jobs: 1}, "")
	sc.tell(evAsk{2, true}, "")
	sc.tell(evHeads{heads: []DestHead{{"smtp:c", start}}}, "claim c 32 at 0s")
	sc.tell(evClose{}, "refuse 2, release 2")
	sc.tell(evClaimed{dest: "smtp:c", jobs: sc.jobs("c", 1)}, "release 4")
	sc.tell(evArrived{sc.jobs("d", 1)}, "release 5")
	sc.tell(evHeads{heads: []DestHead{{"smtp:c", start}}}, "")
	if sc.s.drained() {
		t.Error("drained with an attempt under way")
	}
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "refuse 1")
	sc.tell(evSettled{jobs: 1}, "")
	if !sc.s.drained() {
		t.Error("not drained")
	}
}

func TestParamsHoldAtOnce(t *testing.T) {
	p := Params{Default: most(1)}.withDefaults()
	sc := newScript(t, p)
	sc.tell(evArrived{sc.jobs("a", 4)}, "start 1 a job 1")
	p.Default.ConcurrencyLimit = 3
	sc.tell(evParams{p}, "")
	sc.tell(done(1, good), "")
	p.Default.PositiveFeedback.Num = 1
	sc.tell(evParams{p}, "")
	sc.tell(evAsk{1, false}, "give 1 job 2")
	sc.tell(done(1, good), "start 2 a job 3")
}
