package smtpd

import (
	"log/slog"
	"runtime/debug"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// How a connection ends: by QUIT, by a client that is gone or too slow, by a shutdown, by
// a panic. Each way leads through end.

// end gives back everything that belongs to the connection. After a panic it first says
// so, to the client and to the operator.
func (c *conn) end() {
	if why := recover(); why != nil {
		c.guard(func() {
			c.log.Error("panic while serving "+c.peer.String(), slog.Any("panic", why), slog.String("stack", string(debug.Stack())))
			c.say(say(421, mail.Code(4, 3, 0), c.o.MyHostname+" Error: internal error"))
			c.wc.Farewell()
		})
	}
	c.guard(c.heardEnd)
	c.guard(func() {
		if c.sess != nil {
			c.sess.Logout()
		}
	})
	c.guard(func() { c.sendTranscript(0, c.reason) })
	// Before the client sees the end: whatever it does then comes after it in the log.
	c.log.Info(mail.EventDisconnect, slog.String(mail.KeyClient, c.peer.String()), slog.String(mail.KeyCommands, c.tally.String()))
	c.guard(func() { c.wc.Linger(lingerTime) })
	c.wc.Release()
	if c.counted != nil {
		c.srv.clients.disconnect(c.counted, c.peer.Addr)
	}
}

// lingerTime is how long a client that is still sending may take to see the last reply.
const lingerTime = 2 * time.Second

// guard runs a step of the end, in whatever state a panic has left things.
func (c *conn) guard(step func()) {
	defer func() {
		if why := recover(); why != nil {
			c.log.Error("panic at the end of a session", slog.Any("panic", why))
		}
	}()
	step()
}

// readFailed ends a connection on which nothing more can be read. What there is to say
// can still be said.
func (c *conn) readFailed(err error) {
	switch {
	case err == wire.ErrInterrupted:
		c.say(c.shuttingDown())
		c.wc.Farewell()
	case wire.IsTimeout(err):
		c.say(say(421, mail.Code(4, 4, 2), c.o.MyHostname+" Error: timeout exceeded"))
		c.wc.Farewell()
		c.lost("timeout")
	default:
		c.lost("lost connection")
	}
}

// lost logs why a connection ended without QUIT. Hanging up when a message is done is
// rude and nothing else: it is not logged.
func (c *conn) lost(why string) {
	c.reason = why
	if c.where == "END-OF-MESSAGE" && why == "lost connection" {
		return
	}
	c.log.Info(mail.EventLost, slog.String(mail.KeyReason, why), slog.String(mail.KeyStage, c.where),
		slog.String(mail.KeyClient, c.peer.String()))
}

func (c *conn) shuttingDown() reply {
	return say(421, mail.Code(4, 3, 2), c.o.MyHostname+" Service shutting down")
}

// isClosing tells whether the server is shutting down and this connection has nothing
// under way that it would let finish.
func (c *conn) isClosing() bool { return !c.mail && c.srv.isClosing() }

// interrupt ends the wait for the next command, unless a transaction is under way.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.busy {
		c.wc.Interrupt()
	}
}

// pause waits, as long as the server runs.
func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.closing:
	}
}
