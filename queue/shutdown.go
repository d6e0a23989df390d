package queue

import (
	"log/slog"
	"time"

	"aliasmx/internal/mail"
)

// lastOutcomes is how long the recording of outcomes may take after the attempts have
// ended, or have been given up.
const lastOutcomes = 2 * time.Second

// shutDown ends everything in order: nothing is handed out, attempts finish, their
// outcomes are recorded. What does not finish in time goes back to the store: it will
// be tried again, which may be a duplicate, and is logged.
func (q *Queue) shutDown() {
	q.stopWork()
	q.tell(evClose{})
	grace := time.NewTimer(q.grace)
	defer grace.Stop()
	select {
	case <-q.drained:
	case <-grace.C:
		q.leaveAll()
	}
	last := time.NewTimer(lastOutcomes)
	defer last.Stop()
	select {
	case <-q.drained:
	case <-last.C:
		q.warn("outcomes could not be recorded before the end", errShutDown)
	}
	q.cancel()

	// Connections that do nothing any more may still be saying QUIT.
	select {
	case <-q.tasks.ended():
	case <-last.C:
	}
}

// leaveAll gives up the attempts under way.
func (q *Queue) leaveAll() {
	q.mu.Lock()
	links := make([]*link, 0, len(q.links))
	for _, l := range q.links {
		links = append(links, l)
	}
	q.mu.Unlock()
	q.leaveLegs()
	for _, l := range links {
		if job, removed, ok := l.leave(); ok {
			q.logCutShort(job, removed)
		}
	}
}

func (q *Queue) logCutShort(job Job, removed bool) {
	text := "delivery is cut short by the end of the process; it will be tried again"
	if removed {
		text = "delivery of a deleted message is cut short by the end of the process; whether it arrived is not known"
	}
	q.log.Warn(text, slog.String(mail.KeyDaemon, "qmgr"), slog.String(mail.KeyQueueID, job.ID.String()))
}

// stopWork makes idle connections close, and new mail be refused.
func (q *Queue) stopWork() {
	q.closing.Store(true)
	q.idle()
}
