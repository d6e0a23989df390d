package pickup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"aliasmx/internal/checks"
	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// session is one submission.
type session struct {
	*Options
	ctx  context.Context
	uid  int
	log  *slog.Logger
	link *link
	// handOver is called before the connection becomes somebody else's.
	handOver func()

	req     Request
	id      mail.QueueID
	arrived time.Time
	reverse mail.Reverse

	draft   mail.Draft
	header  *header.Writer
	checks  *checks.Filter // nil: nothing is checked
	above   []byte         // what checks have left of the field above the message
	last    mail.Address   // the last recipient so far
	content *content
}

// run takes a submission and says what became of it. A zero Reply without an error
// means that no answer is due. An error that is not errProtocol is the connection's.
func (s *session) run() (Reply, error) {
	k, b, err := s.link.read()
	if err != nil {
		return Reply{}, err
	}
	if k != kindRequest {
		return Reply{}, fmt.Errorf("%w: no request", errProtocol)
	}
	req, mode, err := parseRequest(b)
	if err != nil {
		return badInput(err)
	}
	s.req = req
	if s.Authorized != nil && !s.Authorized(s.uid) {
		s.log.Warn(fmt.Sprintf("User %d is not allowed to submit mail", s.uid))
		return Reply{Status: ExitNoPerm, Text: fmt.Sprintf("User %d is not allowed to submit mail", s.uid)}, nil
	}
	if mode == modeSMTP {
		return s.serveSMTP()
	}
	if err := s.Queue.Admit(0); err != nil {
		return s.refuse("", err), nil
	}
	s.letFlow()
	if s.reverse, err = s.Recipients.Sender(s.ctx, req.Sender); err != nil {
		return s.refuse("", err), nil
	}
	if err := s.link.write(kindGo, nil); err != nil {
		return Reply{}, err
	}
	s.id, s.arrived = s.Queue.NewID(), s.Now()
	defer func() {
		if s.draft != nil {
			s.draft.Abort() // nothing, after a commit
		}
	}()
	return s.receive()
}

func (s *session) serveSMTP() (Reply, error) {
	if s.ServeSMTP == nil {
		return Reply{Status: ExitUnavailable, Text: "no SMTP service for local users"}, nil
	}
	s.handOver()
	if err := s.link.write(kindGo, nil); err != nil {
		return Reply{}, err
	}
	s.ServeSMTP(s.link.conn, s.uid)
	return Reply{}, nil
}

// badInput tells a data error of the user from an error of the program.
func badInput(err error) (Reply, error) {
	if errors.Is(err, errProtocol) {
		return Reply{}, err
	}
	return Reply{Status: ExitDataErr, Text: err.Error()}, nil
}

// receive reads recipients and content until both end.
func (s *session) receive() (Reply, error) {
	var rcpts []mail.Address
	for {
		if err := s.ctx.Err(); err != nil {
			return Reply{}, err
		}
		k, b, err := s.link.read()
		if err != nil {
			return Reply{}, err
		}
		switch k {
		case kindRcpts:
			more, err := parseRcpts(b)
			if err != nil {
				return badInput(err)
			}
			if len(more) > 0 {
				s.last = more[len(more)-1]
			}
			if rcpts = append(rcpts, more...); len(rcpts) > s.RecipientLimit {
				return Reply{Status: ExitUnavailable, Text: fmt.Sprintf("more than %d recipients", s.RecipientLimit)}, nil
			}
		case kindData:
			if reply, ok := s.write(b); !ok {
				return reply, nil
			}
		case kindEnd:
			if len(rcpts) == 0 {
				return Reply{Status: ExitDataErr, Text: "no recipients"}, nil
			}
			return s.finish(rcpts), nil
		default:
			return Reply{}, fmt.Errorf("%w: frame of kind %q", errProtocol, byte(k))
		}
	}
}

// begin opens the draft: not before there is something to write, so that somebody who
// types takes up nothing meanwhile.
func (s *session) begin() error {
	draft, err := s.Queue.Stage(s.ctx)
	if err != nil {
		return err
	}
	s.draft = draft
	s.header = header.NewWriter(draft, s.headerOptions())
	w, err := s.check(s.header)
	s.content = newContent(w)
	return err
}

func (s *session) headerOptions() header.Options {
	o := header.Options{
		DropFields:      s.MessageDropHeaders,
		ID:              s.id,
		MyHostname:      s.MyHostname,
		Now:             s.arrived,
		From:            s.reverse.Path,
		FullName:        s.req.FullName,
		ObsoleteFrom:    s.HeaderFromObsolete,
		HeaderSizeLimit: s.HeaderSizeLimit,
		TokenLimit:      s.HeaderTokenLimit,
	}
	domain := ""
	if s.req.Gateway {
		domain = s.RemoteHeaderDomain
	}
	rewrite := !s.req.Gateway || domain != ""
	if rewrite {
		o.Rewrite = func(a mail.Address, sender bool) (mail.Address, error) {
			return s.Recipients.HeaderAddress(s.ctx, a, sender, domain)
		}
		if from, err := o.Rewrite(o.From, true); err == nil && !o.From.IsNull() {
			o.From = from // where the message has none
		}
	}
	o.AddMissing = rewrite || s.AlwaysAddMissingHeaders
	return o
}

func (s *session) write(b []byte) (Reply, bool) {
	if s.draft == nil {
		if err := s.begin(); err != nil {
			return s.refuse("", err), false
		}
	}
	if _, err := s.content.Write(b); err != nil {
		return s.refuse("", err), false
	}
	if s.MessageSizeLimit > 0 && s.content.size > s.MessageSizeLimit {
		return Reply{Status: ExitUnavailable, Text: "message file too big"}, false
	}
	return Reply{}, true
}

// finish puts the message into the queue.
func (s *session) finish(given []mail.Address) Reply {
	if reply, ok := s.write(nil); !ok {
		return reply
	}
	if err := s.closeContent(); err != nil {
		return s.refuse("", err)
	}
	if s.hops() >= s.HopcountLimit { // ours counts as well
		s.log.Warn("local submission refused: too many hops", slog.Int(mail.KeyUID, s.uid), slog.String(mail.KeyFrom, s.req.Sender.String()))
		return Reply{Status: ExitUnavailable, Text: "too many hops"}
	}
	rcpts, refusal := s.resolve(given)
	if refusal != nil {
		return *refusal
	}
	env := s.envelope(rcpts)
	if err := s.author(env); err != nil {
		return s.refuse("", err)
	}
	if s.Milters != nil && !s.NoMilters && s.goesOn() {
		if reply, over := s.filter(env, given); over {
			return reply
		}
	}
	dropped, err := s.handle(env)
	if err != nil {
		return s.refuse("", err)
	}

	// Before the commit: after it the queue manager's lines may be faster.
	id := slog.String(mail.KeyQueueID, s.id.String())
	s.log.Info(mail.EventPickup, id, slog.Int(mail.KeyUID, s.uid), slog.String(mail.KeyFrom, s.req.Sender.String()))
	s.header.LogMessageIDs(s.Log.With(slog.String(mail.KeyDaemon, "cleanup")), s.id.String())
	if dropped {
		return Reply{Status: ExitOK, ID: s.id} // the draft is aborted behind us
	}
	if err := s.draft.Commit(s.ctx, env); err != nil {
		return s.refuse("", err)
	}
	return Reply{Status: ExitOK, ID: s.id}
}

func (s *session) envelope(rcpts []mail.Recipient) *mail.Envelope {
	env := &mail.Envelope{
		ID:      s.id,
		Arrived: s.arrived,
		Sender:  s.reverse.Path,
		EnvID:   s.req.EnvID,
		Ret:     s.req.Ret,
		Flags:   mail.FlagSubmitted,
		Client:  mail.Client{UID: s.uid},
		Rcpts:   rcpts,
		Prepend: s.above,
	}
	if s.checks == nil {
		env.Prepend = s.received()
	}
	if s.req.EightBit {
		env.Flags |= mail.FlagBody8BitMIME
	}
	if s.req.SevenBit {
		env.Flags |= mail.FlagBody7Bit
	}
	if s.SMTPUTF8Autodetect && (s.header.EightBit() || s.internationalAddress(rcpts)) {
		env.Flags |= mail.FlagSMTPUTF8
	}
	if s.header.TLSOptional() {
		env.Flags |= mail.FlagTLSOptional
	}
	return env
}

// received is our Received field.
func (s *session) received() []byte {
	return fmt.Appendf(nil, "Received: by %s (%s, from userid %d)\r\n\tid %s; %s\r\n",
		s.MyHostname, s.MailName, s.uid, s.id, header.Date(s.arrived))
}

func (s *session) internationalAddress(rcpts []mail.Recipient) bool {
	if !isASCII(s.reverse.Path) {
		return true
	}
	for i := range rcpts {
		if !isASCII(rcpts[i].Final) {
			return true
		}
	}
	return false
}

func isASCII(a mail.Address) bool {
	return !strings.ContainsFunc(a.Local+a.Domain, func(c rune) bool { return c >= utf8.RuneSelf })
}

// refuse is the answer to what went wrong on our side. What is not certain to be so for
// ever is temporary.
func (s *session) refuse(rcpt string, err error) Reply {
	status := mail.StatusOf(err)
	s.log.Warn("local submission refused", slog.Int(mail.KeyUID, s.uid),
		slog.String(mail.KeyFrom, s.req.Sender.String()), slog.String(mail.KeyTo, rcpt), slog.Any("error", err))
	reply := Reply{Status: ExitTempFail, Text: "mail could not be queued, try again later"}
	if _, known := errors.AsType[*mail.Status](err); known {
		reply.Text = status.Text
	}
	if rcpt != "" {
		reply.Text = "<" + rcpt + ">: " + status.Text
	}
	if !status.Temporary() {
		reply.Status = ExitUnavailable
	}
	return reply
}
