package queue

import "aliasmx/internal/mail"

// warnings are the messages whose senders were told of a delay lately. A message may have
// jobs at several destinations, and an operator may have it tried again at any time: its
// sender is warned once all the same (postconf(5): delay_warning_time). When a warning is
// due is in scheduleWarning; jobs of one message come to it within one
// minimal_backoff_time, so that remembering the last many is enough.
type warnings struct {
	last map[mail.QueueID]bool
	line []mail.QueueID // of last, as a ring
	next int
}

const warningsKept = 20000

// first notes a warning, and tells whether it is the first about its message.
func (w *warnings) first(id mail.QueueID) bool {
	if w.last[id] {
		return false
	}
	if w.last == nil {
		w.last = make(map[mail.QueueID]bool)
	}
	if len(w.line) < warningsKept {
		w.line = append(w.line, id)
	} else {
		delete(w.last, w.line[w.next])
		w.line[w.next] = id
		w.next = (w.next + 1) % warningsKept
	}
	w.last[id] = true
	return true
}
