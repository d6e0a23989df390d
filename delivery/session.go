package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

type protocol uint8

const (
	protoNone protocol = iota
	protoSMTP
	protoLMTP
)

func (p protocol) String() string {
	if p == protoLMTP {
		return "lmtp"
	}
	return "smtp"
}

// The extensions we use when they are offered.
type extension uint16

const (
	extPipelining extension = 1 << iota
	extSize
	ext8BitMIME
	extSMTPUTF8
	extDSN
	extStartTLS
	extXForward
	extChunking
	extRequireTLS
	extLimits
)

// extensionWords are the EHLO keywords, in upper case.
var extensionWords = map[string]extension{
	"PIPELINING": extPipelining,
	"SIZE":       extSize,
	"8BITMIME":   ext8BitMIME,
	"SMTPUTF8":   extSMTPUTF8,
	"DSN":        extDSN,
	"STARTTLS":   extStartTLS,
	"XFORWARD":   extXForward,
	"CHUNKING":   extChunking,
	"REQUIRETLS": extRequireTLS,
	"LIMITS":     extLimits,
}

// session is one connection, from the greeting to QUIT. It is used by one goroutine;
// only detach's function, called when the Client is closed, comes from another.
type session struct {
	set    *settings
	log    *slog.Logger
	c      *Client
	resume resumption
	proto  protocol
	host   host
	domain string // the next hop's
	peer   mail.TLSPeer
	place  string // name[address]
	relay  string // name[address]:port
	// mayLoop: the host may be ourselves under another address.
	mayLoop bool

	conn   *wire.Conn
	raw    net.Conn    // below it, and below TLS
	detach func() bool // ends the watch for the Client's end
	free   func()      // gives back the slot at the host
	closed func()      // counts it out; may be called more than once
	reply  wire.Reply
	cmd    []byte // the command being built
	dots   wire.DotWriter
	chunk  wire.ChunkWriter
	writer contentWriter
	tx     transaction
	buffer []byte // for bodies that are read

	extensions extension
	sizeLimit  int64 // the server's, 0: not told
	limits     limits
	choice     mail.TLSChoice
	chosen     time.Time // when that was last looked at
	tls        tlsState
	overTLS    bool
	verified   bool // the certificate is the one that was asked for
	banner     string
	unreported bool // its TLS is nobody's affair
	born       time.Time
	uses       int  // transactions begun
	counted    int  // of them, those that the host's streak has
	waited     bool // the connection waited for this message: the server may have given it up

	final     bool // no other host is left for what fails here
	plainNext bool // TLS failed: try this host again without
	again     bool // try this host again, anew: the rest of a message, or without BDAT
	stale     bool // reused, and the server had given it up: try again anew
	inContent bool // the server has said 354 and gets, or got, the message
	needReset bool // a transaction is open that will not go on
	noReuse   bool // what happened forbids further mail
	dead      bool // no further bytes, not even QUIT

	hop      nextHop
	from     Source
	local    netip.Addr // our end of the connection
	helo     string     // the name that we give ourselves
	auth     auth
	xforward xforward
}

func newSession(w *worker, h host, hop nextHop, nc net.Conn, free func()) *session {
	s := &session{
		free: free,
		set:  w.set, log: w.log, c: w.c, proto: w.proto, host: h, domain: hop.domain,
		place: h.place(), relay: h.relay(), born: w.set.Now(), chosen: w.set.Now(), hop: hop, auth: auth{refused: &w.c.refused},
		conn: wire.NewConn(nc, w.set.Timeouts.Helo),
	}
	s.local = localAddr(nc)
	s.closed = sync.OnceFunc(func() { s.c.open.Add(-1) })
	s.filterReplies(w.c.ctx)
	s.detach = context.AfterFunc(w.c.ctx, func() { nc.Close() })
	s.raw = nc
	s.heed(&w.job)
	return s
}

func (s *session) offers(e extension) bool { return s.extensions&e == e }

// mayServe tells whether the connection can take another message.
func (s *session) mayServe() bool {
	limit := s.set.ReuseCount
	return !s.dead && !s.noReuse && s.conn.Err() == nil && s.set.CacheTime >= 0 &&
		(limit <= 0 || s.uses < limit) && s.limits.mayMail(s.uses) && s.set.Now().Sub(s.born) < s.set.ReuseTime &&
		(s.uses < slotTurn || !s.c.hosts.wanted(&s.host))
}

// end says QUIT, if that can still be said, and closes. The answer is of no interest, but
// there are servers that want it taken (smtp_skip_quit_response).
func (s *session) end() { s.quit(s.set.AwaitQuit) }

// leave is end without any wait.
func (s *session) leave() { s.quit(false) }

func (s *session) quit(await bool) {
	if !s.dead && s.conn.Err() == nil {
		s.conn.SetTimeout(s.set.Timeouts.Quit)
		s.conn.WriteString("QUIT\r\n")
		if s.conn.Flush() == nil && await {
			s.conn.ReadReply(&s.reply)
		}
	}
	s.dead = true
	s.detach()
	s.conn.Close()
	s.closed()
	s.free()
}

// ask sends what was written and reads one reply.
func (s *session) ask(timeout time.Duration) error {
	began := time.Now()
	s.conn.SetTimeout(timeout)
	if err := s.conn.Flush(); err != nil {
		return err
	}
	if s.set.RequestDeadline {
		timeout = max(timeout-time.Since(began), 0)
	}
	return s.read(timeout)
}

// read reads one reply. After lines that are no reply nobody knows any more to which
// command a reply belongs: the connection is not used for further mail.
func (s *session) read(timeout time.Duration) error {
	s.conn.SetTimeout(timeout)
	err := s.conn.ReadReply(&s.reply)
	if s.auth.loggedIn {
		s.hideSecrets()
	}
	s.tooLong()
	if s.reply.Garbage {
		s.noReuse = true
		s.garbled()
	}
	return err
}

// tooLong warns of replies that are not kept whole.
func (s *session) tooLong() {
	lines, reply := s.reply.TooLong()
	for _, line := range lines {
		s.log.Warn(fmt.Sprintf("%s: response longer than 2048: %s...", s.relay, s.hide(line)))
	}
	if reply != "" {
		s.log.Warn(fmt.Sprintf("%s: multi-line response longer than 2048 %s...", s.relay, s.hide(reply)))
	}
}

// garbled warns of lines that are no reply where that may lose mail.
func (s *session) garbled() {
	if !s.offers(extPipelining) {
		return
	}
	kind := "ESMTP"
	if s.proto == protoLMTP {
		kind = "LMTP"
	}
	var id []any
	if s.tx.j != nil {
		id = []any{mail.KeyQueueID, s.tx.j.a.Env.ID.String()}
	}
	for _, line := range s.reply.GarbageLines() {
		s.log.Warn(fmt.Sprintf("non-%s response from %s: %s", kind, s.relay, s.hide(line)), id...)
	}
}

// hello begins the session: greeting, EHLO, TLS as level says, AUTH. When it fails it has
// told the job.
func (s *session) hello(ctx context.Context, j *job, choice *mail.TLSChoice) bool {
	s.choice = *choice
	s.auth.identity, s.auth.err = s.set.SASL.identify(ctx, &s.host, s.hop.name(), j.a.Env.Sender, s.proto)
	if s.set.WrapperMode && choice.Level != mail.TLSNone {
		if !s.handshake(j, choice) {
			return false
		}
	}
	if err := s.read(s.set.Timeouts.Helo); err != nil {
		s.lost(j, err, "receiving the initial server greeting")
		return false
	}
	if s.set.TLSReporter != nil {
		s.banner, _, _ = strings.Cut(s.reply.Lines()[0], " ")
	}
	if s.reply.Class() != 2 {
		f := s.refusal()
		if s.reply.Class() == 5 && s.set.Skip5xxGreeting {
			f.status.Enhanced[0] = 4
		}
		j.fail(f, s)
		return false
	}
	if first, _, _ := strings.Cut(s.reply.Lines()[0], " "); s.mayLoop && s.set.MyHostname != "" && strings.EqualFold(first, s.set.MyHostname) {
		s.log.Warn("host " + s.relay + " greeted me with my own hostname " + s.set.MyHostname)
	}
	return s.nameOurselves(ctx, j) && s.ehlo(ctx, j, s.wantsEHLO()) && (s.overTLS || s.secure(ctx, j, choice)) && s.logIn(j)
}

// refusal is a host that does not want to talk.
func (s *session) refusal() *failure {
	s.checkCode()
	f := remote(s.host.name, &s.reply, "host "+s.place+" refused to talk to me: "+s.reply.Text())
	f.site = true
	return f
}

// ehlo introduces us and learns what the server can do, by HELO if need be or wanted.
func (s *session) ehlo(ctx context.Context, j *job, extended bool) bool {
	verb, timeout := s.greetingVerb(), s.set.Timeouts.Helo
	s.forgetServer()
	if extended {
		s.conn.WriteString(verb + " " + s.helo + "\r\n")
		if err := s.ask(timeout); err != nil {
			s.lost(j, err, "performing the "+verb+" handshake")
			return false
		}
	}
	if !extended || s.reply.Class() != 2 && s.reply.Code != 421 && s.proto == protoSMTP {
		s.conn.WriteString("HELO " + s.helo + "\r\n")
		if err := s.ask(timeout); err != nil {
			s.lost(j, err, "performing the HELO handshake")
			return false
		}
		verb = "HELO"
	}
	if s.reply.Class() != 2 {
		j.fail(s.refusal(), s)
		return false
	}
	if verb == "HELO" {
		return true
	}
	return s.learn(ctx, j)
}

// learn reads the reply to EHLO: RFC 5321 section 4.1.1.1.
func (s *session) learn(ctx context.Context, j *job) bool {
	discarded, err := s.discards(ctx)
	if err != nil {
		s.log.Warn(err.Error(), mail.KeyQueueID, j.a.Env.ID.String())
		j.fail(siteFailure(mail.Code(4, 3, 0), "local data error while talking to "+s.place), s)
		return false
	}
	for i, line := range s.reply.Lines() {
		// "KEY=value" comes from servers that follow an old draft of AUTH.
		words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' || c == '=' })
		switch {
		case len(words) == 0:
		case i == 0:
			if s.mayLoop && slices.ContainsFunc(s.set.selfNames, func(n string) bool { return n != "" && strings.EqualFold(n, words[0]) }) {
				s.log.Warn("host " + s.relay + " replied to HELO/EHLO with my own hostname " + words[0])
				class := uint16(4)
				if s.host.best {
					class = 5
				}
				j.fail(loop(class, s.domain), s)
				return false
			}
		default:
			if word := strings.ToUpper(words[0]); !slices.Contains(discarded, word) {
				s.learnExtension(ctx, word, words[1:])
				if word == "LIMITS" {
					s.limits = parseLimits(line)
				}
			}
		}
	}
	if s.offers(extSMTPUTF8) {
		s.extensions |= ext8BitMIME // RFC 6531 section 3.1 requires it
	}
	return true
}

func (s *session) learnExtension(ctx context.Context, word string, arguments []string) {
	ext := extensionWords[word]
	s.extensions |= ext
	switch {
	case ext == extSize && len(arguments) > 0:
		var err error
		if s.sizeLimit, err = strconv.ParseInt(arguments[0], 10, 64); err != nil || s.sizeLimit < 0 {
			s.log.Warn(fmt.Sprintf("bad EHLO SIZE limit %q from %s", arguments[0], s.relay))
			s.sizeLimit = 0
		}
	case ext == extXForward:
		s.xforward = learnXForward(arguments)
	case word == "AUTH":
		s.learnAuth(ctx, arguments)
	}
}

// lost is a connection that broke or timed out: the end of the session. A connection
// that waited for this message may have been given up by the server meanwhile; as long
// as no content went out, that is no failure, and the message gets a new connection.
func (s *session) lost(j *job, err error, doing string) {
	s.dead = true
	if s.stale = s.waited && !s.inContent; s.stale {
		return
	}
	if f := s.localError(err); f != nil {
		j.fail(f, s)
		return
	}
	reason := "lost connection with " + s.place + " while " + doing
	switch {
	case wire.IsTimeout(err):
		reason = "conversation with " + s.place + " timed out while " + doing
	case err == wire.ErrReplyTooLong:
		reason = "Protocol error: endless reply from " + s.place + " while " + doing
	}
	if s.overTLS && s.choice.Level == mail.TLSMay && len(j.left) > 0 && s.mayGoPlain(j) && doing != doingEndOfData {
		s.plainNext, s.final = true, false
	}
	j.fail(siteFailure(mail.Code(4, 4, 2), reason), s)
}
