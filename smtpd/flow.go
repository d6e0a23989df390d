package smtpd

import "time"

// When mail comes in faster than it leaves, those who bring it wait a moment for each
// message, so that deliveries catch up (postconf(5): in_flow_delay). Postfix waits in
// cleanup(8), at the first recipient; here it is at MAIL, before anything is looked up.

// Flow is what an Enqueuer may be beside. It is safe for concurrent use and does not wait.
type Flow interface {
	// FlowDelay is how long a message is to wait before it is taken; 0: not at all.
	FlowDelay() time.Duration
}

// letFlow waits as long as the queue asks for. The replies before MAIL leave first, and a
// client gets ours well within its own time limit. Nobody waits for a server that is
// shutting down.
func (c *conn) letFlow() {
	f, ok := c.o.Queue.(Flow)
	if !ok {
		return
	}
	if d := min(f.FlowDelay(), c.o.Timeout/2); d > 0 && !c.srv.isClosing() && c.flush() {
		c.srv.pause(d)
	}
}
