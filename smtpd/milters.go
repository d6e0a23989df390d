package smtpd

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"

	"aliasmx/internal/mail"
)

// What milters are told of a session, and what becomes of their replies: MILTER_README. The
// end of a message is in milters_message.go.

// MilterSession is what the milters hear of one client, in the order of the methods here.
// Each event may wait for them, within their time limits. It is used by one goroutine.
type MilterSession interface {
	Connect(mail.MilterClient) mail.MilterReply
	Helo(name string) mail.MilterReply
	Mail(args []string) mail.MilterReply // the address as it was written, and parameters
	// Rcpt tells of a recipient. Of one that was refused only milters hear that want to;
	// what they say does not matter.
	Rcpt(args []string, refused bool) mail.MilterReply
	Data() mail.MilterReply
	// Message shows a message that has come whole. An error is the queue's, or a
	// *mail.Status.
	Message(*mail.MilterMessage) (mail.MilterReply, error)
	Abort() // the transaction is over
	Unknown(command string) mail.MilterReply
	// Standing is the reply to commands of which milters are not told.
	Standing() mail.MilterReply
	Close()
}

// OpenMilters begins the milters' session of a client (smtpd_milters, smtpd_milter_maps);
// nil: none concerns it. Nothing is sent before Connect.
type OpenMilters func(ctx context.Context, client netip.Addr, log *slog.Logger, macros mail.MilterMacros) MilterSession

// SubmitMilters shows milters a message that no SMTP client has brought
// (non_smtpd_milters). What is decided is logged.
type SubmitMilters interface {
	Submit(context.Context, mail.MilterSubmission, *mail.MilterMessage) (mail.MilterReply, error)
}

// filtering is what a session has to do with milters.
type filtering struct {
	session   MilterSession // nil: none
	args      []string      // of MAIL or RCPT under way
	aborts    bool          // MAIL was told: the end of the transaction has to be
	rcpt      *mail.Address // of RCPT under way
	refused   *mail.Status  // and why we do not take it
	last      mail.Address  // the recipient accepted last
	submitted []mail.Address
	open      int  // connections of the client
	eightBit  bool // a milter has added a field with such bytes
}

// milterRefusal is a refusal in a milter's own words, of one line or several.
type milterRefusal struct{ said string }

func (r *milterRefusal) Error() string { return r.said }

// Unwrap is the refusal for those who know only a code and a text.
func (r *milterRefusal) Unwrap() error {
	said := r.reply()
	return status(said.code, said.enhanced, said.text)
}

// reply is the refusal as a reply. An enhanced status code that all lines have is kept
// apart, as in every other reply.
func (r *milterRefusal) reply() reply {
	lines := strings.Split(r.said, "\r\n")
	out := reply{code: 451}
	if said := lines[0]; len(said) >= 3 && strings.Trim(said[:3], "0123456789") == "" {
		out.code = int(said[0]-'0')*100 + int(said[1]-'0')*10 + int(said[2]-'0')
	}
	for i, line := range lines {
		lines[i] = line[min(len(line), 4):]
	}
	code, _ := mail.SplitEnhanced(lines[0])
	for _, text := range lines {
		if e, _ := mail.SplitEnhanced(text); e != code || !strings.HasPrefix(text, e.String()+" ") {
			code = mail.Enhanced{}
		}
	}
	if code != (mail.Enhanced{}) {
		out.enhanced = code
		for i, text := range lines {
			lines[i] = strings.TrimPrefix(text, code.String()+" ")
		}
	}
	out.text, out.more = lines[0], lines[1:]
	out.close = out.code%100 == 21
	return out
}

// milterSaid carries out a reply of milters: what holds or drops a message is remembered,
// what refuses is an error. All of it is logged.
func (s *session) milterSaid(stage string, to *mail.Address, r mail.MilterReply) error {
	if r.Action == mail.MilterContinue {
		return nil
	}
	if to == nil && s.tx.accepted > 0 {
		to = &s.tx.first
	}
	s.logWhat(r.Kind(), stage, to, r.Said())
	switch r.Action {
	case mail.MilterHold:
		s.tx.Hold = true
	case mail.MilterDiscard:
		s.tx.Discard = true
	default:
		return &milterRefusal{r.Said()}
	}
	return nil
}

// hasMilters tells whether milters are to hear of a command: not of those of a message that
// is to be dropped anyway.
func (s *session) hasMilters() bool { return s.filter.session != nil && !s.tx.Discard }

// openMilters tells milters of the client.
func (s *session) openMilters() error {
	if s.o.Milters == nil || s.o.NoMilters || s.peer.Local {
		return nil
	}
	if s.filter.session = s.o.Milters(s.ctx, s.peer.Addr, s.log, s.milterMacro); s.filter.session == nil {
		return nil
	}
	r := s.filter.session.Connect(mail.MilterClient{Name: s.peer.Name, Addr: s.peer.Addr, Port: s.peer.Port})
	stage := "CONNECT"
	if s.protocol != "" { // XCLIENT has said which
		stage = "XCLIENT"
	}
	return s.milterSaid(stage, nil, r)
}

// milterHelo tells milters of a greeting. proto is what the client spoke before it.
func (s *session) milterHelo(name string, ehlo bool, proto string) error {
	if !s.hasMilters() {
		return nil
	}
	stage := "HELO"
	if ehlo {
		stage = "EHLO"
	}
	r := s.filter.session.Helo(name)
	spoken := s.protocol
	s.protocol = proto
	err := s.milterSaid(stage, nil, r)
	s.protocol = spoken
	return err
}

func (s *session) milterMail() error {
	if !s.hasMilters() {
		return nil
	}
	s.filter.aborts = true
	return s.milterSaid("MAIL", nil, s.filter.session.Mail(s.filter.args))
}

// milterRcpt tells milters of a recipient: one that we take, or one that was refused.
func (s *session) milterRcpt(to *mail.Address, refused *mail.Status) error {
	if !s.hasMilters() {
		return nil
	}
	s.filter.rcpt, s.filter.refused = to, refused
	r := s.filter.session.Rcpt(s.filter.args, refused != nil)
	var err error
	if refused == nil {
		err = s.milterSaid("RCPT", to, r)
	}
	s.filter.rcpt, s.filter.refused = nil, nil
	return err
}

// refuseRcpt refuses a recipient, and lets milters know that want to.
func (s *session) refuseRcpt(to *mail.Address, refused *mail.Status) error {
	err := s.refuse("RCPT", to, refused)
	s.milterRcpt(to, refused)
	return err
}

func (s *session) milterData(verb string) error {
	if !s.hasMilters() {
		return nil
	}
	return s.milterSaid(verb, nil, s.filter.session.Data())
}

// tookRcpt remembers a recipient for milters.
func (s *session) tookRcpt(to mail.Address) {
	switch {
	case s.filter.session != nil:
		s.filter.last = to
	case s.peer.Local && s.o.Submitted != nil:
		s.filter.submitted = append(s.filter.submitted, s.o.Recipients.Complete(to))
	}
}

// endTransaction tells milters that the transaction is over.
func (s *session) endTransaction() {
	if s.filter.aborts {
		s.filter.session.Abort()
	}
	s.filter.aborts, s.filter.submitted, s.filter.eightBit = false, nil, false
}

func (s *session) closeMilters() {
	if s.filter.session != nil {
		if s.helo != "" {
			s.filter.session.Abort()
		}
		s.endTransaction()
		s.filter.session.Close()
		s.filter.session = nil
	}
}

// milters is what the engine's verbs know of the session's milters; nil: there are none.
func (c *conn) milters() *session {
	if s, ok := c.sess.(*session); ok && s.filter.session != nil {
		return s
	}
	return nil
}

// greetMilters is the greeting when milters have a say in it: as in Sendmail, a temporary
// refusal of theirs holds from MAIL on, and is no reason not to greet.
func (c *conn) greetMilters(s *session) *reply {
	s.filter.open = c.open
	err := s.openMilters()
	if err == nil {
		return nil
	}
	switch said := answer(err, reply{}); {
	case said.code == 421:
		r := plain(421, c.o.MyHostname+" Service unavailable - try again later")
		r.close = true
		return &r
	case said.code/100 == 5:
		r := plain(554, c.o.MyHostname+" ESMTP not accepting connections")
		return &r
	}
	return nil
}

// heloMilters tells milters of a greeting. A refusal holds from MAIL on, but for one that
// ends the connection; after one for good EHLO offers next to nothing.
func (c *conn) heloMilters(name string, ehlo bool, proto string) (ended *reply, refused bool) {
	s := c.milters()
	if s == nil {
		return nil, false
	}
	err := s.milterHelo(name, ehlo, proto)
	if err != nil {
		r := answer(err, reply{})
		if r.code == 421 {
			return &r, false
		}
		refused = r.code/100 == 5
	}
	if c.greeted {
		s.filter.session.Abort()
	}
	return nil, refused
}

// standing is what milters have said before that holds for a command of which they are not
// told.
func (c *conn) standing() *reply {
	s := c.milters()
	if s == nil {
		return nil
	}
	if r := s.filter.session.Standing(); r.Action == mail.MilterRefuse {
		said := (&milterRefusal{r.Text}).reply()
		return &said
	}
	return nil
}

// unknown is the reply to a command that we do not know.
func (c *conn) unknown(word string) reply {
	r := say(500, mail.Code(5, 5, 2), "Error: command not recognized")
	if s := c.milters(); s != nil {
		if err := s.milterSaid("UNKNOWN", nil, s.filter.session.Unknown(word)); err != nil {
			r = answer(err, r)
		}
	}
	return r
}

// tellMilters keeps the argument of MAIL or RCPT for milters.
func (c *conn) tellMilters(arg, rest string) {
	if s := c.milters(); s != nil {
		address := strings.Trim(strings.TrimSuffix(arg, rest), " \t")
		s.filter.args = append([]string{address}, strings.Fields(rest)...)
	}
}
