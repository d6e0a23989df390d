package pickup

import "time"

// Flow is what a Queue may be beside. It is safe for concurrent use and does not wait.
type Flow interface {
	// FlowDelay is how long a message is to wait before it is taken, while mail comes in
	// faster than it leaves (in_flow_delay); 0: not at all.
	FlowDelay() time.Duration
}

// letFlow waits as long as the queue asks for, or until submissions are cut off.
func (s *session) letFlow() {
	f, ok := s.Queue.(Flow)
	if !ok {
		return
	}
	d := f.FlowDelay()
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}
