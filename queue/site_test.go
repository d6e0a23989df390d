package queue

import (
	"fmt"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// newSited is a scheduler that asks where destinations are.
func newSited(t *testing.T, p Params) *script {
	sc := newScript(t, p)
	sc.s.asks = true
	return sc
}

func (sc *script) locate(dest, name string, limits mail.SiteLimits, want string) {
	sc.t.Helper()
	sc.tell(evLocated{dest: mail.Dest("smtp:" + dest), site: mail.Site{Name: name, Limits: limits}}, want)
}

// Destinations with the same hosts share a window, and take turns in it.
func TestDestinationsShareASite(t *testing.T) {
	sc := newSited(t, Params{Default: most(2)})
	sc.tell(evArrived{sc.jobs("a", 3)}, "locate a")
	sc.locate("a", "mx", mail.SiteLimits{}, "start 1 a job 1, start 2 a job 2")
	sc.tell(evArrived{sc.jobs("b", 1)}, "locate b")
	sc.locate("b", "mx", mail.SiteLimits{}, "")
	sc.tell(evArrived{sc.jobs("c", 1)}, "locate c")
	sc.locate("c", "other", mail.SiteLimits{}, "start 3 c job 5")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "refuse 1") // a has two, b waits
	sc.tell(evExit{1}, "start 4 b job 4")
	sc.tell(done(2, good), "")
	sc.tell(evAsk{2, true}, "give 2 job 3")
}

// One bad destination of a site is the trouble of all, and so is its recovery.
func TestSitesDieAndWakeAsOne(t *testing.T) {
	sc := newSited(t, Params{Default: fill(TransportParams{InitialConcurrency: 1, FailedCohortLimit: 0.5})})
	sc.tell(evArrived{sc.jobs("a", 1)}, "locate a")
	sc.tell(evArrived{sc.jobs("b", 1)}, "locate b")
	sc.locate("a", "mx", mail.SiteLimits{}, "start 1 a job 1")
	sc.locate("b", "mx", mail.SiteLimits{}, "")
	sc.tell(done(1, bad), "suspend 2 (delivery temporarily suspended: connection refused)")
	sc.tell(evExit{1}, "")
	sc.tell(evSettled{jobs: 1, heads: []DestHead{{"smtp:a", start.Add(time.Hour)}}}, "")
	sc.tell(evSettled{jobs: 1, heads: []DestHead{{"smtp:b", start.Add(400 * time.Second)}}}, "")

	sc.now = start.Add(400 * time.Second)
	sc.tell(evTick{}, "claim b 1 at 6m40s")
	sc.tell(evClaimed{dest: "smtp:b", jobs: sc.jobs("b", 1)}, "locate b, start 2 b job 3")
	sc.tell(done(2, good), "claim a 32 at 6m40s and wake")
	sc.tell(evClaimed{dest: "smtp:a", jobs: sc.jobs("a", 1), wake: Wake{Before: sc.now}, more: true}, "locate a")
	sc.tell(evAsk{2, false}, "refuse 2")
	sc.tell(evExit{2}, "start 3 a job 4")
}

// A site of many destinations does not fill the memory with what waits in the store.
func TestSiteShareOfMemory(t *testing.T) {
	sc := newSited(t, Params{Default: most(1)})
	for i := range 20 {
		d := fmt.Sprint(i)
		sc.s.step(sc.now, evArrived{sc.jobs(d, 1)})
		sc.s.step(sc.now, evLocated{dest: mail.Dest("smtp:" + d), site: mail.Site{Name: "mx"}})
	}
	var claims []mail.Dest
	note := func(actions []action) {
		for _, a := range actions {
			if a, ok := a.(actClaim); ok {
				claims = append(claims, a.dest)
			}
		}
	}
	for i := range 20 {
		note(sc.s.step(sc.now, evHeads{heads: []DestHead{{mail.Dest("smtp:" + fmt.Sprint(i)), start}}}))
	}
	for n := 0; n < len(claims); n++ {
		note(sc.s.step(sc.now, evClaimed{dest: claims[n], jobs: sc.jobs(claims[n].NextHop(), ringSize)}))
	}
	st := sc.s.sites["smtp\x00mx"]
	if st.stored > siteShare || st.stored <= siteShare-ringSize || len(st.starved) != 20-len(claims) {
		t.Fatalf("%d jobs from the store for %d of 20 destinations, %d stand in line", st.stored, len(claims), len(st.starved))
	}
	for st.waiting > 0 { // one after the other is tried, and all have their turn
		for id, c := range sc.s.conns {
			if c.state == attempting {
				note(sc.s.step(sc.now, done(id, good)))
				note(sc.s.step(sc.now, evSettled{jobs: 1}))
				note(sc.s.step(sc.now, evAsk{id, false}))
			}
			if c.state == leaving {
				note(sc.s.step(sc.now, evExit{id}))
			}
		}
		for sc.s.claims > 0 {
			d := claims[len(claims)-sc.s.claims]
			note(sc.s.step(sc.now, evClaimed{dest: d, jobs: sc.jobs(d.NextHop(), 1)}))
		}
	}
	seen := map[mail.Dest]bool{}
	for _, d := range claims {
		seen[d] = true
	}
	if len(seen) != 20 {
		t.Errorf("only %d of 20 destinations had their turn", len(seen))
	}
}

// Until it is known where a destination is nothing is tried; if nobody knows, it is by
// itself.
func TestUnknownSite(t *testing.T) {
	sc := newSited(t, Params{})
	sc.tell(evArrived{sc.jobs("a", 1)}, "locate a")
	sc.tell(evArrived{sc.jobs("a", 1)}, "")
	sc.tell(evLocated{dest: "smtp:a", failed: true}, "start 1 a job 1")
	sc.tell(evArrived{sc.jobs("b", 1)}, "locate b")
	sc.tell(evLocated{dest: "smtp:b", failed: true}, "start 2 b job 3")
	sc.tell(done(2, good), "")
	sc.tell(evAsk{2, false}, "refuse 2")
	sc.tell(evExit{2}, "")
	sc.now = start.Add(locateRetry)
	sc.tell(evArrived{sc.jobs("b", 1)}, "locate b") // and it waits for the answer
	sc.locate("b", "mxb", mail.SiteLimits{}, "start 3 b job 4")
	sc.tell(evArrived{sc.jobs("a", 1)}, "locate a")
	sc.locate("a", "mx", mail.SiteLimits{}, "")
	if name := sc.s.dests["smtp:a"].site.name(); name != "smtp:a" {
		t.Errorf("it went to %s with connections open", name)
	}
}

func TestQuestionsTakeTurns(t *testing.T) {
	sc := newSited(t, Params{})
	for i := range locatesAtOnce {
		sc.tell(evArrived{sc.jobs(fmt.Sprint(i), 1)}, fmt.Sprintf("locate %d", i))
	}
	sc.tell(evArrived{sc.jobs("late", 1)}, "")
	sc.locate("0", "mx", mail.SiteLimits{}, "locate late, start 1 0 job 1")
	// Questions that have been asked for a while keep nobody from asking.
	sc.tell(evArrived{sc.jobs("later", 1)}, "")
	if at := sc.s.next(); !at.Equal(sc.now.Add(locateYoung)) {
		t.Errorf("looked again at %s", at)
	}
	sc.now = sc.now.Add(locateYoung)
	sc.tell(evTick{}, "locate later")
}

// error(8) and its like need no hosts.
func TestAgentsAreNowhere(t *testing.T) {
	sc := newSited(t, Params{})
	j := sc.job("x")
	j.Dest = "error:5.1.1 no such user"
	if got := sc.words(sc.s.step(sc.now, evArrived{[]Job{j}})); got != "start 1 5.1.1 no such user job 1" {
		t.Error(got)
	}
}

func TestSiteHasItsOwnLimits(t *testing.T) {
	sc := newSited(t, Params{})
	sc.tell(evArrived{sc.jobs("a", 9)}, "locate a")
	sc.locate("a", "mx", mail.SiteLimits{Concurrency: 2}, "start 1 a job 1, start 2 a job 2")
	sc.tell(evArrived{sc.jobs("b", 9)}, "locate b")
	sc.locate("b", "my", mail.SiteLimits{Initial: 1}, "start 3 b job 10")
}

// A rate holds over pauses in which the site has nothing to do.
func TestRateOverPauses(t *testing.T) {
	sc := newSited(t, Params{})
	limits := mail.SiteLimits{Rate: 20, Per: time.Minute}
	begun := 0
	var finish func([]action)
	finish = func(actions []action) { // each delivery is done at once
		for _, a := range actions {
			if a, ok := a.(actStart); ok {
				begun++
				finish(sc.s.step(sc.now, done(a.conn, good)))
				finish(sc.s.step(sc.now, evSettled{jobs: 1}))
				finish(sc.s.step(sc.now, evExit{a.conn}))
			}
		}
	}
	for sc.now.Before(start.Add(time.Minute)) {
		sc.s.step(sc.now, evArrived{sc.jobs("a", 2)})
		finish(sc.s.step(sc.now, evLocated{dest: "smtp:a", site: mail.Site{Name: "mx", Limits: limits}}))
		for range 7 {
			sc.now = sc.now.Add(500 * time.Millisecond)
			finish(sc.s.step(sc.now, evTick{}))
		}
	}
	if begun > limits.Rate || begun < limits.Rate/2 {
		t.Errorf("%d deliveries began in a minute, %d are allowed", begun, limits.Rate)
	}
}

// With a delay there is one connection, and a pause after each delivery.
func TestRateDelay(t *testing.T) {
	p := fill(TransportParams{})
	p.DestinationRateDelay = 10 * time.Second
	sc := newScript(t, Params{Default: p})
	sc.tell(evArrived{sc.jobs("a", 3)}, "start 1 a job 1")
	sc.now = start.Add(time.Second)
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "") // lingers, since there is a job
	sc.wantNext(11 * time.Second)
	sc.now = start.Add(11 * time.Second)
	sc.tell(evTick{}, "give 1 job 2")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, false}, "refuse 1")
	sc.tell(evExit{1}, "")
	sc.now = start.Add(20 * time.Second)
	sc.tell(evTick{}, "")
	sc.wantNext(21 * time.Second)
	sc.now = start.Add(21 * time.Second)
	sc.tell(evTick{}, "start 2 a job 3")
}

// A transport's delay is between all its deliveries, wherever they go.
func TestTransportRateDelay(t *testing.T) {
	p := fill(TransportParams{})
	p.TransportRateDelay = time.Minute
	sc := newScript(t, Params{Default: p})
	sc.tell(evArrived{sc.jobs("a", 1)}, "start 1 a job 1")
	sc.tell(evArrived{sc.jobs("b", 1)}, "")
	sc.tell(evArrived{sc.jobs("c", 1)}, "")
	sc.wantNext(time.Minute)
	sc.now = start.Add(time.Minute)
	sc.tell(evTick{}, "start 2 b job 2")
	sc.wantNext(2 * time.Minute)
	sc.now = start.Add(2 * time.Minute)
	sc.tell(evTick{}, "start 3 c job 3")
}

// A reply that asks for less narrows the window and spaces deliveries out; the site is
// not dead, however many there are.
func TestSlowReply(t *testing.T) {
	sc := newScript(t, Params{})
	sc.tell(evArrived{sc.jobs("a", 4)}, "start 1 a job 1, start 2 a job 2, start 3 a job 3, start 4 a job 4")
	slow := done(1, bad)
	slow.reply = trouble{status: mail.Status{Code: 421, Enhanced: mail.Code(4, 7, 28), Text: "unusual rate of mail"}}
	for c := range connID(4) {
		slow.conn = c + 1
		sc.tell(slow, "")
		sc.tell(evExit{c + 1}, "")
	}
	st := sc.s.sites["smtp:a"]
	if st.win.size != 2 || st.phase(sc.now) != alive || st.pace.spacing != leastSpacing*3/2 {
		t.Errorf("window %d, phase %d, spacing %v", st.win.size, st.phase(sc.now), st.pace.spacing)
	}
	sc.tell(evArrived{sc.jobs("a", 2)}, "")
	sc.wantNext(leastSpacing * 3 / 2)
	sc.now = start.Add(leastSpacing * 3 / 2)
	sc.tell(evTick{}, "start 5 a job 5")
	sc.wantNext(3 * leastSpacing)
}

// A held destination is not tried; what comes for it waits in the store and says why.
func TestHeldDestination(t *testing.T) {
	sc := newScript(t, Params{Default: most(1)})
	sc.tell(evArrived{sc.jobs("a", 2)}, "start 1 a job 1")
	sc.tell(evHold{dests: []mail.Dest{"smtp:a"}, reason: "moving", on: true},
		"suspend 2 (delivery temporarily suspended: destination is on hold: moving)")
	sc.tell(done(1, good), "")
	sc.tell(evAsk{1, true}, "refuse 1")
	sc.tell(evExit{1}, "")
	sc.tell(evArrived{sc.jobs("a", 1)}, "suspend 3 (delivery temporarily suspended: destination is on hold: moving)")
	sc.tell(evFlush{all: true}, "")
	sc.now = start.Add(time.Second)
	sc.tell(evHeads{heads: []DestHead{{"smtp:a", start.Add(time.Hour)}}}, "")
	sc.tell(evHold{dests: []mail.Dest{"smtp:a"}}, "claim a 32 at 1s and wake")
}
