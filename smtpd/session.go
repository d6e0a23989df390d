package smtpd

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// lookupTimeout bounds what one command may spend with tables and DNS.
const lookupTimeout = 100 * time.Second

// session decides about one client's commands. It is used by one goroutine.
type session struct {
	srv  *Server
	o    *Options // those of the transaction
	ctx  context.Context
	peer Peer
	tls  *tls.ConnectionState // nil: in the clear
	log  *slog.Logger

	exempt   bool // from the limits of one client
	bareLF   bool // may send lines that end in LF
	login    identity
	helo     string
	esmtp    bool
	protocol string   // instead, as XCLIENT said
	improper bool     // has pipelined what it may not
	original original // of XFORWARD
	filter   filtering

	started      time.Time
	asker        uint64 // which of all sessions it is, for policy servers
	transactions uint64 // begun so far
	judged       judgement

	tx    transaction
	taken smtp.SMTPError // see accepted
	// heardOf, when not nil, wants to know whether the client has heard the reply to the
	// message that has just ended; gone tells, without waiting, that the client has left.
	heardOf func(bool)
	gone    func() bool

	asking    context.Context // see lookup
	endAsking context.CancelFunc
	asked     time.Time
}

// transaction is what MAIL begins.
type transaction struct {
	active  bool
	arrived time.Time
	sender  mail.Address // as the client named it
	from    mail.Address // completed
	reverse reverse
	opts    smtp.MailOptions

	id       mail.QueueID     // 0 until a recipient was accepted
	idText   string           // the same as text
	accepted int              // recipients
	current  mail.Address     // the recipient under way
	first    mail.Address     // of them, as the client named it
	last     mail.Address     // likewise
	rcpts    []mail.Recipient // where they lead
	seen     *mail.Duplicates
	cached   expansion

	content content
	reply   *mail.Reply // that the recipient stands for; nil: he is no reverse alias
	auth    authentication
	mail.Handling
}

// reverse is what the tables make of the reverse-path: asked for when the first recipient
// comes, since nobody has to know before.
type reverse struct {
	mail.Reverse
	refused *mail.Status
	known   bool
}

// expansion is what became of the last recipient asked for: reject_unlisted_recipient
// and RCPT itself ask for the same one.
type expansion struct {
	request mail.RcptRequest
	rcpts   []mail.Recipient
	refused *mail.Status
	known   bool
}

func (s *Server) newSession(o *Options, p Peer) *session {
	return &session{srv: s, o: o, ctx: s.ctx, peer: p, log: o.log, started: o.Now()}
}

// lookup bounds the questions of one command, to lookupTimeout or somewhat less: making a
// context for each would cost more than most questions do.
func (s *session) lookup() context.Context {
	if s.asking == nil || time.Since(s.asked) > lookupTimeout/2 {
		s.endLookup()
		s.asked = time.Now()
		s.asking, s.endAsking = context.WithTimeout(s.ctx, lookupTimeout)
	}
	return s.asking
}

func (s *session) endLookup() {
	if s.endAsking != nil {
		s.endAsking()
	}
	s.asking, s.endAsking = nil, nil
}

// isLimited tells whether a limit of one client concerns this one.
func (s *session) isLimited(limit int) bool { return limit > 0 && !s.exempt && !s.peer.Local }

// Connect asks the client restrictions, unless they wait for RCPT (smtpd_delay_reject).
func (s *session) Connect() error {
	if s.peer.Local || s.o.DelayReject {
		return nil
	}
	stage := "CONNECT"
	if s.protocol != "" { // XCLIENT has said which
		stage = "XCLIENT"
	}
	s.begin(stage, nil)
	return s.refuse(stage, nil, s.askClient(s.lookup()))
}

// Helo takes the name the client gives itself.
func (s *session) Helo(name string, ehlo bool) error {
	if s.peer.Local || s.o.DelayReject {
		s.heard(name, ehlo)
		return nil
	}
	before := s.helo
	s.helo = name
	stage := "HELO"
	if ehlo {
		stage = "EHLO"
	}
	s.begin(stage, nil)
	if err := s.refuse(stage, nil, s.askHelo(s.lookup())); err != nil {
		s.helo = before
		return err
	}
	s.heard(name, ehlo)
	return nil
}

// heard takes a greeting. Who has said EHLO once speaks ESMTP also after a HELO.
func (s *session) heard(name string, ehlo bool) {
	s.helo, s.esmtp, s.protocol = name, s.esmtp || ehlo, ""
}

// ImproperPipelining is remembered for reject_unauth_pipelining.
func (s *session) ImproperPipelining() { s.improper = true }

// Mail begins a transaction for an engine that knows addresses only as strings.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	if err := s.Count("MAIL"); err != nil {
		return smtpError(err)
	}
	return smtpError(s.MailAddress(mail.SplitAddress(from), opts))
}

// MailAddress begins a transaction.
func (s *session) MailAddress(from mail.Address, opts *smtp.MailOptions) error {
	forwarded := s.original // for this transaction
	s.Reset()
	s.original = forwarded
	if o := s.srv.latest(s.o); o != s.o {
		s.o, s.log = o, o.log
	}
	s.transactions++
	s.tx = transaction{
		active: true, arrived: s.o.Now(), sender: from, from: s.o.Recipients.Complete(from),
		seen: mail.NewDuplicates(s.o.DuplicateFilterLimit, !s.o.OneDeliveryPerTarget),
	}
	if opts != nil {
		s.tx.opts = *opts
	}
	err := s.mayBegin()
	if err != nil {
		s.tx = transaction{}
	}
	return err
}

// Count counts a MAIL as a message, and a RCPT or VRFY as a recipient.
func (s *session) Count(verb string) error {
	o := s.srv.latest(s.o) // of the transaction that is about to begin
	if s.tx.active {
		o = s.o
	}
	if verb == "MAIL" {
		return s.tooMuch(o, "Message delivery request", o.ClientMessageRate, s.srv.clients.message, "too much mail")
	}
	return s.tooMuch(o, "Recipient address", o.ClientRecipientRate, s.srv.clients.recipient, "too many recipients")
}

// tooMuch counts what a client does in its unit of time, and says no beyond a limit. The
// log has it once, as a warning.
func (s *session) tooMuch(o *Options, what string, limit int, count func(*Options, netip.Addr) int, text string) error {
	if !s.isLimited(limit) {
		return nil
	}
	n := count(o, s.peer.Addr)
	if !over(n, limit) {
		return nil
	}
	s.warn(what + " rate limit exceeded: " + strconv.Itoa(n) + " from " + s.peer.String() + " for service " + o.Service)
	return status(450, mail.Code(4, 7, 1), "Error: "+text+" from "+addrOr(s.peer.Addr))
}

func (s *session) mayBegin() error {
	if !s.peer.Local && !s.o.DelayReject {
		s.begin("MAIL", nil)
		if refused := s.askSender(s.lookup()); refused != nil {
			return s.refuse("MAIL", nil, refused)
		}
	}
	if limit := s.o.MessageSizeLimit; limit > 0 && s.tx.opts.Size > limit {
		return s.refuse("MAIL", nil, status(552, mail.Code(5, 3, 4), "Message size exceeds fixed limit"))
	}
	if err := s.o.Queue.Admit(s.tx.opts.Size); err != nil {
		return s.refuse("MAIL", nil, s.queueRefusal("admission", err))
	}
	if err := s.milterMail(); err != nil {
		return err
	}
	return s.beginAuthentication()
}

// Rcpt takes a recipient from an engine that knows addresses only as strings.
func (s *session) Rcpt(to string, opts *smtp.RcptOptions) error {
	if err := s.Count("RCPT"); err != nil {
		return smtpError(err)
	}
	return smtpError(s.RcptAddress(mail.SplitAddress(to), opts))
}

// RcptAddress takes a recipient, or refuses it.
func (s *session) RcptAddress(to mail.Address, opts *smtp.RcptOptions) error {
	ctx := s.lookup()
	rev := s.reversePath(ctx)
	own := false // where our own probes come from: whoever we ask may ask in return
	if s.o.ProbeSender != nil && !s.peer.Local {
		to, own = s.o.ProbeSender(to)
	}
	s.tx.current = to
	at := &s.tx.current
	s.tx.cached = expansion{request: request(to, rev.Path, opts)}
	s.tx.cached.request.Copies, s.tx.cached.request.Unlisted, s.tx.cached.request.Replies = true, own, s.o.Replies != nil
	if !s.peer.Local && !own {
		s.begin("RCPT", at)
		if refused := s.mayReceive(ctx, to); refused != nil {
			return s.refuseRcpt(at, refused)
		}
		if refused := s.authenticPath(ctx); refused != nil {
			return s.refuseRcpt(at, refused)
		}
	}
	if rev.refused != nil {
		return s.refuseRcpt(at, about(to, rev.refused))
	}
	if s.tx.Discard {
		s.accept(to, nil) // nobody gets it
		return nil
	}
	rcpts, refused := s.expand(ctx, to)
	if refused != nil && s.peer.Local && refused.Code/100 == 5 {
		// A local user has been told that his mail was taken before anybody looks into a
		// table: what cannot be delivered is returned to him, as by sendmail(1).
		rcpts, refused = []mail.Recipient{undeliverable(s.tx.cached.request, s.o.Recipients.Complete(to), refused)}, nil
	}
	if refused == nil {
		refused = s.mayReply(to)
	}
	if refused == nil && s.tx.accepted > 0 && len(s.tx.rcpts)+len(rcpts) > maxTargets {
		refused = status(452, mail.Code(4, 5, 3), "Error: too many recipients")
	}
	if refused == nil {
		refused = s.mayLeave(ctx, to, rcpts)
	}
	if refused == nil && s.o.Reputation != nil && !own {
		refused = s.hadEnough(ctx, to)
	}
	if refused != nil {
		return s.refuseRcpt(at, refused)
	}
	if err := s.milterRcpt(at, nil); err != nil {
		return err
	}
	if !own {
		if refused := s.askNextHop(ctx, to, rcpts); refused != nil {
			return s.refuseRcpt(at, refused)
		}
	}
	s.accept(to, rcpts)
	return nil
}

// reversePath is the reverse-path as it is kept, and why it cannot be had now.
func (s *session) reversePath(ctx context.Context) *reverse {
	rev := &s.tx.reverse
	if !rev.known {
		rev.known = true
		var err error
		if rev.Reverse, err = s.o.Recipients.Sender(ctx, s.tx.sender); err != nil {
			rev.Path, rev.refused = s.tx.from, s.lookupFailed(err)
		}
	}
	return rev
}

// maxTargets bounds where all recipients of a message lead together. The client is asked
// to send the rest separately.
const maxTargets = 10000

func (s *session) accept(to mail.Address, rcpts []mail.Recipient) {
	if s.tx.accepted == 0 {
		s.tx.id = s.o.Queue.NewID()
		s.tx.idText = s.tx.id.String()
		s.tx.first = to
		s.logClient()
	}
	s.tx.last = to
	s.tookReply(to)
	s.tx.accepted++
	if s.tx.auth.running != nil {
		s.tx.auth.given = append(s.tx.auth.given, to)
	}
	s.tookRcpt(to)
	if s.tx.accepted == 1 {
		s.add(s.tx.reverse.First)
	}
	s.add(rcpts)
}

// add takes recipients of the message that are not among them yet.
func (s *session) add(rcpts []mail.Recipient) {
	for i := range rcpts {
		if !s.tx.seen.Seen(&rcpts[i]) {
			s.tx.rcpts = append(s.tx.rcpts, rcpts[i])
		} else if rcpts[i].Notify&mail.NotifyExpanded != 0 {
			s.reportToo(&rcpts[i])
		}
	}
}

// reportToo has the recipient that a duplicate was dropped for report the expansion that
// the duplicate was to report (NOTIFY=SUCCESS).
func (s *session) reportToo(dup *mail.Recipient) {
	for i := range s.tx.rcpts {
		if r := &s.tx.rcpts[i]; r.Final == dup.Final && r.Orig == dup.Orig && r.ORcpt == dup.ORcpt {
			r.Notify |= mail.NotifyExpanded
			return
		}
	}
}

// mayReceive asks everything that is asked about a recipient, in Postfix's order.
func (s *session) mayReceive(ctx context.Context, to mail.Address) *mail.Status {
	// RFC 5321 section 4.5.1: always valid.
	if to.Domain == "" && strings.EqualFold(to.Local, "postmaster") {
		return nil
	}
	if s.o.DelayReject {
		if refused := s.askClient(ctx); refused != nil {
			return refused
		}
		if refused := s.askHelo(ctx); refused != nil {
			return refused
		}
		if s.tx.active {
			if refused := s.askSender(ctx); refused != nil {
				return refused
			}
		}
	}
	return s.askRecipient(ctx)
}

// Vrfy tells whether a recipient would be accepted.
func (s *session) Vrfy(a mail.Address) error {
	ctx := s.lookup()
	s.tx.cached = expansion{request: request(a, s.tx.from, nil)}
	s.tx.cached.request.Copies = true // as RCPT asks
	if s.peer.Local {
		return nil
	}
	s.begin("VRFY", &a)
	refused := s.mayReceive(ctx, a)
	if refused == nil {
		_, refused = s.expand(ctx, a)
	}
	return s.refuse("VRFY", &a, refused)
}

// Etrn asks the restrictions of ETRN (smtpd_etrn_restrictions).
func (s *session) Etrn(domain string) error {
	if s.peer.Local {
		return nil
	}
	ctx := s.lookup()
	s.begin("ETRN", nil)
	s.judged.etrn = domain
	if s.o.DelayReject {
		if refused := s.askClient(ctx); refused != nil {
			return s.refuse("ETRN", nil, refused)
		}
		if refused := s.askHelo(ctx); refused != nil {
			return s.refuse("ETRN", nil, refused)
		}
	}
	about := subject{class: classEtrn, name: domain}
	return s.refuse("ETRN", nil, s.askAlone(ctx, s.o.Etrn, about, s.judged.heloPermit, (*session).checkEtrn))
}

// Data takes the content after DATA and sends the message on its way.
func (s *session) Data(r io.Reader) error {
	if !s.tx.content.begun() {
		if err := s.BeforeData("DATA"); err != nil {
			return smtpError(err)
		}
	}
	return smtpError(s.receive(r))
}

// Reset ends the transaction.
func (s *session) Reset() {
	s.endTransaction()
	s.endAuthentication()
	s.tx.content.abort(s)
	s.tx = transaction{}
	s.original = original{}
}

// Logout ends the session.
func (s *session) Logout() error {
	s.closeMilters()
	s.Reset()
	s.endLookup()
	return nil
}
