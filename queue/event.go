package queue

import (
	"time"

	"aliasmx/internal/mail"
)

// What the scheduler is told, and what it answers. Each event is a fact that has
// happened; each action is to be carried out once, in order, and what comes of it is
// the next event.

type event interface{ event() }

type (
	// evOpen: begin. Before it, jobs are taken but not handed out.
	evOpen struct{}
	// evClose: hand nothing out any more.
	evClose struct{}
	// evParams: the settings have changed.
	evParams struct{ params Params }
	// evTick: a timer that next announced has fired.
	evTick struct{}

	// evArrived: claimed jobs of a message that was just committed.
	evArrived struct{ jobs []Job }
	// evHeads: destinations have unclaimed jobs, due then. probe: an operator wants to know
	// whether a dead one answers again, by one attempt now. revive: an operator wants
	// them tried, whatever is known of the destination.
	evHeads struct {
		heads  []DestHead
		probe  bool
		revive bool
	}
	// evFlush: all there is at these destinations, or anywhere, is to be tried, and that
	// they are dead forgotten.
	evFlush struct {
		dests []mail.Dest
		all   bool
	}
	// evHold: an operator wants nothing to be tried at these destinations, for that reason;
	// or, if not on, no longer. They are named in lower case, by transport and next hop or
	// by the next hop alone, which is that of any transport.
	evHold struct {
		dests  []mail.Dest
		reason string
		on     bool
	}
	// evLocated answers actLocate.
	evLocated struct {
		dest   mail.Dest
		site   mail.Site
		failed bool
	}
	// evClaimed answers actClaim.
	evClaimed struct {
		dest   mail.Dest
		jobs   []Job
		next   time.Time // due time of the next unclaimed job, zero: none
		wake   Wake      // as it was asked for
		more   bool      // of those to be woken
		failed bool
	}
	// evDrop: an operator has the message in hand; jobs of it that still wait at
	// these destinations are given up. Answered by actDropped.
	evDrop struct {
		id    mail.QueueID
		dests []mail.Dest
	}
	// evSettled: loaded jobs have left memory, their outcome being recorded or there
	// being nothing to record.
	evSettled struct {
		jobs  int
		heads []DestHead
	}

	// evAsk: a connection that has reported its attempt wants the next one. linger: it
	// would wait for it. Answered by actGive, at once or, if it lingers, later.
	evAsk struct {
		conn   connID
		linger bool
	}
	// evGiveUp: it has waited long enough. If it still waits, it gets a refusal.
	evGiveUp struct{ conn connID }
	// evDone: it has reported its attempt.
	evDone struct {
		conn    connID
		verdict verdict
		why     trouble // when bad
		reply   trouble // the first for which a host said that it does not take the mail now
	}
	// evSkip: the job it was given turned out to be none.
	evSkip struct{ conn connID }
	// evExit: it is closed.
	evExit struct{ conn connID }
)

func (evOpen) event()    {}
func (evClose) event()   {}
func (evParams) event()  {}
func (evTick) event()    {}
func (evArrived) event() {}
func (evHeads) event()   {}
func (evFlush) event()   {}
func (evHold) event()    {}
func (evLocated) event() {}
func (evClaimed) event() {}
func (evDrop) event()    {}
func (evSettled) event() {}
func (evAsk) event()     {}
func (evGiveUp) event()  {}
func (evDone) event()    {}
func (evSkip) event()    {}
func (evExit) event()    {}

// connID names a connection: one run of Transport.Work.
type connID uint64

// verdict is mail.Feedback, and that an attempt may say nothing of the destination.
type verdict uint8

const (
	neutral verdict = iota
	good
	bad
)

// trouble is why a destination is dead, in the words of the attempt that found out.
type trouble struct {
	status mail.Status
	reason string
}

type action interface{ action() }

type (
	// actLocate: ask which site a destination is at.
	actLocate struct{ dest mail.Dest }
	// actClaim: Claim at most max jobs of dest that are due at until; if there are fewer,
	// those to be woken, too.
	actClaim struct {
		dest  mail.Dest
		until time.Time
		max   int
		wake  Wake
	}
	// actStart: open a connection, which is granted its first job.
	actStart struct {
		conn connID
		dest mail.Dest
		job  Job
	}
	// actGive answers evAsk. !ok: there is nothing more for this connection.
	actGive struct {
		conn connID
		job  Job
		ok   bool
	}
	// actSuspend: defer these jobs without an attempt, for that reason.
	actSuspend struct {
		jobs []Job
		why  trouble
	}
	// actRelease: give these jobs back to the store. They are not loaded any more.
	actRelease struct{ jobs []Job }
	// actDropped: these were waiting, and are not loaded any more.
	actDropped struct{ jobs []Job }
)

func (actLocate) action()  {}
func (actClaim) action()   {}
func (actStart) action()   {}
func (actGive) action()    {}
func (actSuspend) action() {}
func (actRelease) action() {}
func (actDropped) action() {}
