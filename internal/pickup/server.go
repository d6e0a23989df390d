package pickup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"aliasmx/internal/checks"
	"aliasmx/internal/mail"
	"aliasmx/internal/sock"
)

// Recipients decides about addresses. It is safe for concurrent use, and may wait for
// a remote table as long as ctx lives.
type Recipients interface {
	// Complete gives a bare name or a partial domain the domain that is meant
	// (postconf(5): append_at_myorigin, append_dot_mydomain).
	Complete(a mail.Address) mail.Address
	// Sender is what becomes of a reverse-path, and which copies the message is to have
	// because of it. An error is temporary.
	Sender(ctx context.Context, a mail.Address) (mail.Reverse, error)
	// Expand says where a recipient leads. A refusal is a *mail.Status.
	Expand(ctx context.Context, r mail.RcptRequest) ([]mail.Recipient, error)
	// HeaderAddress is what an address in a header field becomes: completed, and in its
	// canonical form. Sender tells the fields that say who a message is from, such as
	// Reply-To; remoteDomain completes addresses instead of our own names ("": ours). An
	// error is temporary.
	HeaderAddress(ctx context.Context, a mail.Address, sender bool, remoteDomain string) (mail.Address, error)
}

// Queue keeps messages. It is safe for concurrent use.
type Queue interface {
	// Admit tells whether a message of about size bytes (0: not known) may come.
	Admit(size int64) error
	// NewID returns a fresh queue ID.
	NewID() mail.QueueID
	// Stage begins a message.
	Stage(ctx context.Context) (mail.Draft, error)
}

// Milters look at messages (MILTER_README). What is decided is logged by them. An error is
// the queue's, or a *mail.Status. It is safe for concurrent use, and lasts no longer than
// ctx or the milters' time limits.
type Milters interface {
	Submit(context.Context, mail.MilterSubmission, *mail.MilterMessage) (mail.MilterReply, error)
}

// Options of a Server. Recipients and Queue are required.
type Options struct {
	Recipients Recipients
	Queue      Queue

	MyHostname string // myhostname
	MailName   string // mail_name, default Postfix

	MessageSizeLimit   int64    // message_size_limit; 0: none
	HopcountLimit      int      // hopcount_limit, default 50
	HeaderSizeLimit    int      // header_size_limit
	HeaderTokenLimit   int      // header_address_token_limit
	MessageDropHeaders []string // message_drop_headers

	// What sendmail -G brings is no mail of ours: its header is rewritten only if
	// RemoteHeaderDomain, remote_header_rewrite_domain, is set, and gets the fields it has
	// not only then or with AlwaysAddMissingHeaders, always_add_missing_headers.
	RemoteHeaderDomain      string
	AlwaysAddMissingHeaders bool
	HeaderFromObsolete      bool // header_from_format = obsolete

	Checks        *checks.Rules // header_checks and its relatives, body_checks; nil: none
	ContentFilter string        // content_filter: transport:nexthop; "": none
	Filters       mail.Filters  // what a filter without a next hop has
	NoMilters     bool          // receive_override_options has no_milters

	DuplicateFilterLimit    int  // duplicate_filter_limit
	EnableOriginalRecipient bool // enable_original_recipient
	// SMTPUTF8Autodetect: smtputf8_enable is on and smtputf8_autodetect_classes has
	// sendmail. An address or a header that needs SMTPUTF8 then asks for it.
	SMTPUTF8Autodetect bool

	// Author tells who a message of a local user is from (dkim_keys, mailauth_enable). Nil:
	// nobody asks.
	Author func(ctx context.Context, sender mail.Address, body mail.Body) (mail.Authentic, error)
	// Milters are non_smtpd_milters. Nil: none.
	Milters Milters

	// RecipientLimit is how many recipients a message may have, default 10000.
	// ExpandedLimit is how many they may lead to, default 100000. Postfix's sendmail has
	// no such limits; here they bound what one user can make the daemon hold in memory.
	RecipientLimit int
	ExpandedLimit  int

	// ServeSMTP serves the rest of a connection as plain SMTP, for sendmail -bs, until it
	// ends. Nil: that is refused.
	ServeSMTP func(conn net.Conn, uid int)
	// Authorized tells who may submit mail, authorized_submit_users. Nil: everyone.
	Authorized func(uid int) bool

	// Timeout is for each wait for the client, default 1 h (ipc_timeout): somebody may be
	// typing.
	Timeout time.Duration
	Log     *slog.Logger
	Now     func() time.Time
}

func (o Options) withDefaults() *Options {
	def(&o.MailName, "Postfix")
	def(&o.HopcountLimit, 50)
	def(&o.RecipientLimit, 10000)
	def(&o.ExpandedLimit, 100000)
	def(&o.Timeout, time.Hour)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &o
}

func def[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// Connections at a time, from one user and from all.
const (
	connsPerUser = 50
	connsTotal   = 500
)

// Server takes submissions.
type Server struct {
	o     atomic.Pointer[Options]
	ctx   context.Context // of everything under way; ends when Shutdown loses patience
	cut   context.CancelFunc
	tasks sync.WaitGroup

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	links     map[*link]struct{} // that wait for submitters
	conns     map[net.Conn]struct{}
	closed    bool
}

// NewServer makes a server; Serve makes it work.
func NewServer(o Options) *Server {
	s := &Server{listeners: map[net.Listener]struct{}{}, links: map[*link]struct{}{}, conns: map[net.Conn]struct{}{}}
	s.o.Store(o.withDefaults())
	s.ctx, s.cut = context.WithCancel(context.Background())
	return s
}

// Update changes the options for connections that come from now on.
func (s *Server) Update(o Options) { s.o.Store(o.withDefaults()) }

// Serve takes connections from l until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if !s.enter(func() { s.listeners[l] = struct{}{} }) {
		return nil
	}
	users := sock.LimitUsers(l, connsPerUser, connsTotal)
	for {
		conn, err := users.Accept()
		if err != nil {
			if s.isClosed() {
				return nil
			}
			return fmt.Errorf("pickup: %w", err)
		}
		if !s.enter(func() { s.conns[conn] = struct{}{} }) {
			conn.Close()
			return nil
		}
		s.tasks.Go(func() {
			defer s.leave(conn)
			s.serve(conn)
		})
	}
}

func (s *Server) enter(add func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		add()
	}
	return !s.closed
}

func (s *Server) isClosed() bool { return !s.enter(func() {}) }

func (s *Server) leave(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// Shutdown takes no more connections and waits for those under way as long as ctx
// lives; then it cuts them off, and nothing of them is taken. A client that sends
// nothing for a moment, such as one whose user is typing, is not waited for. It returns
// when the last one has ended.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	for l := range s.links {
		l.hurry(patience)
	}
	s.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	s.cut()
	s.mu.Lock()
	for conn := range s.conns {
		conn.SetDeadline(time.Unix(1, 0)) // whoever waits in it wakes up
	}
	s.mu.Unlock()
	<-ended
	return context.Cause(ctx)
}

// serve handles one connection. A panic ends it, and nothing else.
func (s *Server) serve(conn net.Conn) {
	o := s.o.Load()
	log := o.Log.With(mail.KeyDaemon, "pickup")
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic in a local submission", slog.Any("panic", p))
		}
	}()
	cred, err := sock.PeerCred(conn)
	if err != nil {
		log.Warn("local submission refused", slog.Any("error", err))
		return
	}
	l := &link{conn: conn, timeout: o.Timeout}
	if !s.enter(func() { s.links[l] = struct{}{} }) {
		return
	}
	forget := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.links, l)
	}
	defer forget()
	sn := &session{Options: o, ctx: s.ctx, uid: cred.UID, log: log, link: l, handOver: forget}
	reply, err := sn.run()
	switch {
	case reply.ID != 0: // taken, whatever has happened since
	case s.ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded) && s.isClosed():
		reply = Reply{Status: ExitTempFail, Text: "the mail system is shutting down"}
	case errors.Is(err, errProtocol):
		reply = Reply{Status: ExitTempFail, Text: err.Error()}
	case err != nil: // the client is gone
		return
	}
	if reply != (Reply{}) {
		l.hurry(farewell)
		l.write(kindAnswer, reply.encode())
	}
}

const (
	patience = 2 * time.Second  // with a silent client, when the daemon ends
	farewell = 10 * time.Second // for the answer to be taken
)
