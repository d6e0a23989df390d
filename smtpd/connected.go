package smtpd

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/netip"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// Relay while connected: the next hops get a message before the client has the reply to its
// end, and the reply is theirs. The queue does it (Relayer); here is decided which messages,
// what the client is told, and whether it has heard that.

// ConnectedOptions are relay_while_connected and its relatives.
type ConnectedOptions struct {
	// Wanted tells whether mail to addresses in a domain, as the client names it, goes this
	// way. An error is temporary: the message is then queued.
	Wanted func(ctx context.Context, domain string) (bool, error)
	Wait   time.Duration // relay_while_connected_time
	Pass   bool          // relay_while_connected_tempfail = pass
	Reply  bool          // relay_while_connected_reply
	Rcpt   bool          // relay_while_connected_rcpt
	// Tell is the reply that a client hears of what became of a recipient, without what it is
	// not to know (bounce_hide_destination). Its text may be empty.
	Tell func(env *mail.Envelope, r *mail.Result) mail.Status
}

// goesConnected tells whether a message is given to its next hops now: all addresses that it
// came for have to want that.
func (s *session) goesConnected(env *mail.Envelope) bool {
	o := s.o.Connected
	if o == nil || s.peer.Local {
		return false
	}
	last := ""
	for i := range env.Rcpts {
		domain := env.Rcpts[i].Orig.Domain
		if i > 0 && domain == last {
			continue
		}
		if last = domain; !s.wantsConnected(domain) {
			return false
		}
	}
	return true
}

// digested is w, with a digest of what goes there if the message may have to be known again.
func (c *content) digested(s *session, w io.Writer) io.Writer {
	if s.o.Connected == nil {
		return w
	}
	c.digest = sha256.New()
	return io.MultiWriter(w, c.digest)
}

// clientNetwork is where a client is looked for when its message comes again: a large sender
// tries from another machine.
func clientNetwork(addr netip.Addr) netip.Prefix {
	bits := 64
	if addr = addr.Unmap(); addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr.WithZone(""), bits).Masked()
}

func (s *session) wantsConnected(domain string) bool {
	wanted, err := s.o.Connected.Wanted(s.lookup(), domain)
	if err != nil {
		s.warn(err.Error())
	}
	return wanted && err == nil
}

// commit ends the draft: the message is queued, or given to its next hops, of which the error
// tells if they do not take it. came is when its content was whole.
func (s *session) commit(env *mail.Envelope, done string, came time.Time) error {
	c := &s.tx.content
	relayer, ok := c.draft.(Relayer)
	if !ok || !s.goesConnected(env) {
		if err := c.draft.Commit(s.ctx, env); err != nil {
			return s.queueRefusal("cannot commit it", err)
		}
		return s.accepted(done)
	}
	o := s.o.Connected
	out, err := relayer.Relay(s.ctx, env, mail.WhileConnected{
		Wait: max(o.Wait-s.o.Now().Sub(came), 0), Pass: o.Pass, Gone: s.gone,
		Network: clientNetwork(s.peer.Addr), Content: c.digest.Sum(nil),
	})
	if err != nil {
		return s.queueRefusal("cannot commit it", err)
	}
	if out.Refused != nil {
		refused := s.tell(env, out.Refused)
		return s.refuse("END-OF-MESSAGE", s.onlyRecipient(), &refused)
	}
	s.heardOf = out.Heard
	if out.Reply != nil && o.Reply {
		if said := s.tell(env, out.Reply); said.Text != "" {
			done += "; next hop said: " + said.Error()
		}
	}
	return s.accepted(done)
}

// tell is what the client hears of a result.
func (s *session) tell(env *mail.Envelope, r *mail.Result) mail.Status {
	said := s.o.Connected.Tell(env, r)
	said.Text = s.foreign(said.Text)
	return said
}

// askNextHop asks the next hop of a recipient that was not refused so far whether it would
// take it (relay_while_connected_rcpt), as reject_unverified_recipient does. What it does not
// say in time it says at the end of the message.
func (s *session) askNextHop(ctx context.Context, to mail.Address, rcpts []mail.Recipient) *mail.Status {
	o := s.o.Connected
	if o == nil || !o.Rcpt || s.o.Verifier == nil || s.peer.Local || !s.wantsConnected(to.Domain) {
		return nil
	}
	v, err := s.o.Verifier.VerifyRecipient(ctx, to)
	if err != nil || v.State != mail.VerdictRefused {
		return nil
	}
	env := &mail.Envelope{Sender: s.tx.from, Rcpts: rcpts}
	refused := s.tell(env, &mail.Result{State: mail.Failed, Status: v.Status, Reason: v.Reason, RemoteReply: v.Status.Text})
	refused.Text = "<" + to.String() + ">: " + refused.Text
	return &refused
}

// unheard is a reply of which somebody wants to know whether the client has had it. That it
// went out proves little: the client may have left before. What it says next does, and that
// it closes or resets the connection only if it had not done so when the reply left.
type unheard struct {
	tell  func(bool)
	moved bool // there was something from the client, or its end, when the reply left
}

// noteReply is called when the reply to a message is about to leave.
func (c *conn) noteReply() {
	if s, ok := c.sess.(*session); ok && s.heardOf != nil {
		c.unheard = &unheard{tell: s.heardOf, moved: c.wc.Moved()}
		s.heardOf = nil
	}
}

// flushReply sends such a reply at once.
func (c *conn) flushReply() {
	if c.unheard != nil && c.wc.Flush() != nil {
		c.heardReply(false)
	}
}

// heardNext takes what came after the reply: a command, or why there was none.
func (c *conn) heardNext(err error) {
	u := c.unheard
	if u == nil {
		return
	}
	// A connection that is closed or reset behind the reply proves nothing of it: many clients
	// end that way. A message too many is better than one that is lost.
	c.heardReply(err == nil || wire.IsTimeout(err) || errors.Is(err, wire.ErrInterrupted) || !u.moved)
}

// heardEnd is for a connection that ends without anything read behind the reply, or even
// without the reply.
func (c *conn) heardEnd() {
	c.heardNext(cmp.Or(c.wc.Err(), io.EOF))
	if s, ok := c.sess.(*session); ok && s.heardOf != nil {
		s.heardOf(false)
	}
}

func (c *conn) heardReply(heard bool) {
	if u := c.unheard; u != nil {
		c.unheard = nil
		u.tell(heard)
	}
}
