package integration

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	logTaken   = regexp.MustCompile(`\]: (` + idPattern + `): (?:message-id=|uid=\d+ from=)`)
	logActive  = regexp.MustCompile(`\]: (` + idPattern + `): from=<.*>, size=\d+, nrcpt=(\d+) \(queue active\)$`)
	logStatus  = regexp.MustCompile(`\]: (` + idPattern + `): to=<.*, status=(\S+) \(`)
	logRemoved = regexp.MustCompile(`\]: (` + idPattern + `): (?:removed$|milter-reject|reject:)`)
)

// transit is where one message is on its way, as the log tells.
type transit struct {
	left     int  // recipients not yet tried since it became active
	deferred bool // some recipient waits for another try: the message stays
	active   bool
}

// underWay tells whether the log has begun something that it has not ended: a message
// taken but not yet active, a recipient without a status, a message that has no
// recipients any more but is not removed.
func underWay(log string) bool {
	way := map[string]*transit{}
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		if m := logActive.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[2])
			way[m[1]] = &transit{left: n, active: true}
		} else if m := logStatus.FindStringSubmatch(line); m != nil {
			if w := way[m[1]]; w != nil {
				w.left--
				w.deferred = w.deferred || m[2] == "deferred" || m[2] == "SOFTBOUNCE"
			}
		} else if m := logRemoved.FindStringSubmatch(line); m != nil {
			delete(way, m[1])
		} else if m := logTaken.FindStringSubmatch(line); m != nil {
			way[m[1]] = &transit{}
		}
	}
	for _, w := range way {
		if !w.active || w.left > 0 || !w.deferred {
			return true
		}
	}
	return false
}

// settle waits until nothing is being delivered any more. What the log leaves open for
// long, a message refused after its header was read, is not being delivered either.
func (r *caseRun) settle() {
	seen, changed := "", time.Now()
	for time.Since(changed) < r.relay.patience() {
		log := r.relay.log()
		if log != seen {
			seen, changed = log, time.Now()
		}
		if r.relay.idle(log) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
