package stshost

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/mtasts"
)

// Options of a Server.
type Options struct {
	// GetCertificate finds the certificate for the name that a client asks for. It must not
	// be nil.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Hosted tells whether a domain has a policy here (mta_sts_domains). It gets A-labels in
	// lower case, and may block until its context ends; an error means that nobody knows.
	Hosted func(ctx context.Context, domain string) (bool, error)
	Policy mtasts.Policy // see NewPolicy
	// Timeout is how long each may take: the handshake and the header of a request, and the
	// answer. 0: 10 seconds.
	Timeout time.Duration
	// Connections is how many there may be at a time, and ClientConnections how many of one
	// client (a /64 of IPv6); 0: 200, and 10.
	Connections, ClientConnections int
	// Log gets a line for each policy that is served, or asked for in vain; nil: nobody does.
	Log *slog.Logger
}

// headerLimit bounds the header of a request, in bytes. net/http reads up to 4096 more
// before it says that it is too large.
const headerLimit = 4096

// Server serves policies on any number of listeners. It is safe for concurrent use.
type Server struct {
	options atomic.Pointer[Options]
	http    *http.Server
	doors   doors
}

// New makes a server that listens nowhere yet. It is ended by Shutdown.
func New(o Options) *Server {
	s := &Server{}
	s.Update(o)
	var plain http.Protocols
	plain.SetHTTP1(true) // one small answer to one request: nothing to multiplex
	s.http = &http.Server{
		Handler:        http.HandlerFunc(s.serve),
		Protocols:      &plain,
		MaxHeaderBytes: headerLimit,
		ErrorLog:       log.New(trouble{s}, "", 0),
		TLSConfig:      &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate},
	}
	timeout := s.options.Load().Timeout
	s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.WriteTimeout = timeout, timeout, timeout
	s.http.SetKeepAlivesEnabled(false)
	return s
}

// Update replaces the options, but for Timeout, for requests from now on.
func (s *Server) Update(o Options) {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Connections <= 0 {
		o.Connections = 200
	}
	if o.ClientConnections <= 0 {
		o.ClientConnections = 10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With(mail.KeyDaemon, "mta-sts")
	s.options.Store(&o)
}

// trouble is what net/http has to say: of itself, not of strangers whose handshakes fail.
type trouble struct{ s *Server }

func (t trouble) Write(line []byte) (int, error) {
	if !bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		text, _, _ := bytes.Cut(line, []byte("\n"))
		t.s.options.Load().Log.Warn(string(text))
	}
	return len(line), nil
}

func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.options.Load().GetCertificate(hello)
}

// Serve accepts connections until the listener is closed or the server is shut down. The
// listener is closed in any case. The error is net.ErrClosed when somebody else closed it,
// and nil after Shutdown.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	err := s.http.ServeTLS(&limited{Listener: l, s: s}, "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// answerTime is how long answers under way may take at a shutdown. They are small; clients
// that are slow are not waited for.
const answerTime = time.Second

// Shutdown stops accepting, gives answers under way a moment, but not beyond the end of ctx,
// and then breaks them off.
func (s *Server) Shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}
