package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/sock"
)

// Options of a Server. Queue is required.
type Options struct {
	Queue Queue
	// NotFound is the error by which Queue says that a message is not there, or not in a
	// state to which the action applies; ErrNotFound is understood as well.
	NotFound error

	// Stop tells the daemon to end. It does not wait for that.
	Stop func()
	// Reload reads configuration and tables again. An error means that everything is as
	// it was.
	Reload func() error
	// Adopt takes over the queue of a dead node. Nil: there is none that could.
	Adopt func(ctx context.Context, dir string, progress func(mail.Adoption)) (mail.Adoption, error)
	// Status describes the daemon.
	Status func() Status
	// TLSReport is, as JSON, what was counted for TLS reports; of a domain the report that
	// would be sent now. Nil: there are none.
	TLSReport func(domain string) ([]byte, error)
	// Reputation is, as JSON, what is known of an alias, a domain, or of all ("") of them. Nil:
	// nothing is counted.
	Reputation func(about string) ([]byte, error)
	// Health is nil as long as the daemon does its work.
	Health func() error

	// OwnUID is the user the daemon runs as. It may do everything, as the superuser may.
	OwnUID int
	// AuthorizedMailq and AuthorizedFlush tell what other users may do, postconf(5)
	// authorized_mailq_users and authorized_flush_users. Nil: everyone may.
	AuthorizedMailq, AuthorizedFlush func(uid int) bool

	Timeout time.Duration    // for each wait for the client; default 60 s
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger
}

// Status is what `status` shows of a running daemon.
type Status struct {
	Version   string           `json:"version"`
	PID       int              `json:"pid"`
	Started   time.Time        `json:"started"`
	ConfigDir string           `json:"config_directory"`
	QueueDir  string           `json:"queue_directory"`
	Listeners []string         `json:"listeners"`
	Queues    map[string]int64 `json:"queues"` // messages in each queue
	Held      []string         `json:"held_destinations,omitempty"`
	Problems  []string         `json:"problems,omitempty"` // what an operator should look at

	Destinations []Destination `json:"destinations,omitempty"` // the busiest, then those in trouble; at most StatusDestinations
}

// Server answers on the control socket.
type Server struct {
	o    Options
	log  *slog.Logger
	http *http.Server

	ctx   context.Context // of what goes on when its client has gone
	cut   context.CancelFunc
	tasks sync.WaitGroup
	slots chan struct{} // for flushes: taken by each
	// leaving ends when Shutdown begins: for what would take long, and can be ended.
	leaving context.Context
}

// Connections at a time: one operator's scripts, or one user's.
const (
	connsPerUser = 20
	connsTotal   = 100
)

// NewServer makes a server; Serve makes it answer.
func NewServer(o Options) *Server {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, log: o.Log, slots: make(chan struct{}, maxFlushes)}
	s.ctx, s.cut = context.WithCancel(context.Background())
	var leave context.CancelFunc
	s.leaving, leave = context.WithCancel(s.ctx)
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: o.Timeout,
		IdleTimeout:       o.Timeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn), // what a client does wrong is its own affair
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			cred, err := sock.PeerCred(c)
			if err != nil {
				cred.UID = nobody
			}
			return context.WithValue(ctx, credKey{}, cred)
		},
	}
	s.http.RegisterOnShutdown(leave)
	return s
}

type credKey struct{}

const nobody = -1

// Serve answers on l until Shutdown; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(sock.LimitUsers(l, connsPerUser, connsTotal))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown closes the socket and waits for the answers under way as long as ctx
// lives; then it cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	s.cut()
	s.tasks.Wait()
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, may func(uid int) bool, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !may(uidOf(r)) {
				s.refuse(w, http.StatusForbidden, ErrForbidden)
				return
			}
			r = r.WithContext(mail.ByUser(r.Context(), uidOf(r)))
			if r.Body != http.NoBody {
				http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.o.Timeout))
			}
			if err := h(w, r); err != nil {
				s.refuse(w, s.statusOf(err), err)
			}
		})
	}
	handle("GET /v1/health", everybody, s.health)
	handle("GET /v1/status", s.mayList, s.status)
	handle("POST /v1/stop", s.mayAll, s.stop)
	handle("POST /v1/reload", s.mayAll, s.reload)
	handle("GET /v1/queue", s.mayList, s.list)
	handle("POST /v1/queue/flush", s.mayFlush, s.flush)
	handle("POST /v1/queue/select", s.mayList, s.selected)
	handle("POST /v1/queue/actions", s.mayAll, s.actions)
	handle("POST /v1/queue/actions/selected", s.mayAll, s.actions)
	handle("GET /v1/destinations/held", s.mayList, s.held)
	handle("POST /v1/destinations/hold", s.mayAll, s.hold)
	handle("POST /v1/destinations/release", s.mayAll, s.release)
	handle("POST /v1/queue/adopt", s.mayAll, s.adopt)
	handle("GET /v1/tlsrpt", s.mayList, s.tlsReport)
	handle("GET /v1/reputation", s.mayList, s.reputation)
	handle("GET /v1/messages/{id}", s.mayAll, s.message)
	handle("GET /v1/messages/{id}/listed", s.mayAll, s.find)
	handle("GET /v1/messages/{id}/content", s.mayAll, s.content)
	return mux
}

func everybody(int) bool { return true }

func (s *Server) mayAll(uid int) bool { return uid == 0 || uid == s.o.OwnUID }

func (s *Server) mayList(uid int) bool { return s.mayAll(uid) || allowed(s.o.AuthorizedMailq, uid) }

func (s *Server) mayFlush(uid int) bool { return s.mayAll(uid) || allowed(s.o.AuthorizedFlush, uid) }

func allowed(may func(int) bool, uid int) bool { return uid != nobody && (may == nil || may(uid)) }

func uidOf(r *http.Request) int {
	cred, ok := r.Context().Value(credKey{}).(sock.Cred)
	if !ok {
		return nobody
	}
	return cred.UID
}

// errBadRequest marks what the client did wrong.
var errBadRequest = errors.New("bad request")

func (s *Server) statusOf(err error) int {
	switch {
	case s.isAbsent(err):
		return http.StatusNotFound
	case errors.Is(err, errBadRequest), errors.Is(err, mail.ErrBadQueueID):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// isAbsent tells whether there was nothing to act on.
func (s *Server) isAbsent(err error) bool {
	return errors.Is(err, ErrNotFound) || s.o.NotFound != nil && errors.Is(err, s.o.NotFound)
}

func (s *Server) refuse(w http.ResponseWriter, status int, err error) {
	s.reply(w, status, trailer{Error: err.Error()})
}

// reply sends a short answer.
func (s *Server) reply(w http.ResponseWriter, status int, answer any) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.o.Timeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}
