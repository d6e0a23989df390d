package smtpd

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"aliasmx/internal/wire"
)

// Server serves SMTP on any number of listeners. It is safe for concurrent use.
type Server struct {
	options atomic.Pointer[Options] // of new connections and transactions
	buffers *wire.Buffers
	clients *Anvil
	room    *Capacity
	failed  failures

	ctx     context.Context // ends when a shutdown does not wait any longer
	cancel  context.CancelFunc
	closing chan struct{} // closed when a shutdown begins

	open    context.Context // ends then too
	shutOut context.CancelFunc

	instances atomic.Uint64 // sessions that have asked policy servers

	mu        sync.Mutex // guards what follows
	shut      bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	turning   int // clients that are being turned away
	running   sync.WaitGroup
}

// NewServer makes a server that listens nowhere yet. It is ended by Shutdown.
func NewServer(o Options) *Server {
	s := &Server{
		buffers:   wire.NewBuffers(),
		closing:   make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
		clients:   o.Anvil,
		room:      o.Capacity,
	}
	if s.clients == nil {
		s.clients = new(Anvil)
	}
	if s.room == nil {
		s.room = new(Capacity)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.open, s.shutOut = context.WithCancel(context.Background())
	s.Update(o)
	return s
}

// Update replaces the options, but for Anvil and Capacity. Connections take them over with
// their next transaction.
func (s *Server) Update(o Options) { s.options.Store(o.withDefaults()) }

// latest are the options of now for a connection that was served with o.
func (s *Server) latest(o *Options) *Options {
	now := s.options.Load()
	if o.stressed && now.UnderStress != nil {
		return now.UnderStress
	}
	return now
}

// Serve accepts connections until Shutdown, and then returns nil. The listener is closed
// in any case. A client for whom there is no room (MaxConnections, DataMemoryLimit) is told
// so and sent away.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.add(l) {
		return nil
	}
	defer s.remove(l)
	for delay := time.Duration(0); ; {
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			if !s.accept(nc) {
				return nil
			}
			continue
		case s.isClosing():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of descriptors, or a connection that was gone before it was accepted.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.options.Load().log.Warn("accept: " + err.Error())
		s.pause(delay)
	}
}

// ServeConn serves one connection and returns when it is closed. A peer without a name is
// looked up (Options.ClientName). It is not asked whether there is room.
func (s *Server) ServeConn(nc net.Conn, p Peer) {
	o, known := s.options.Load(), true
	if o.Upstream != nil && !p.Local {
		p, known = s.proxied(o, nc, p)
	}
	s.serve(nc, p, o, known)
}

// peer is who is at the other end of a connection, or of the proxy there. known is false
// when the proxy has not said it.
func (s *Server) peer(o *Options, nc net.Conn) (p Peer, known bool) {
	if p = peerOf(nc); o.Upstream != nil {
		return s.proxied(o, nc, p)
	}
	return p, true
}

func (s *Server) serve(nc net.Conn, p Peer, o *Options, known bool) {
	if known && p.Name == "" && !p.Local && o.ClientName != nil {
		ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
		p = p.named(o.ClientName(ctx, p.Addr))
		cancel()
	}
	p.showPort = o.ClientPortLogging
	c := &conn{srv: s, o: o, peer: p.settled(), log: o.log, wc: wire.NewPooledConn(nc, o.Timeout, s.buffers), nobody: !known}
	if !s.register(c) {
		c.say(c.shuttingDown())
		c.flush()
		c.wc.Release()
		return
	}
	defer s.unregister(c)
	c.serve()
}

// Shutdown stops accepting, tells idle clients 421, lets transactions under way finish
// until ctx ends, and then breaks them off. It returns nil when all went by themselves.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginShutdown()
	defer s.clients.stop()
	done := make(chan struct{})
	go func() { // ends when the last connection has
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	// Whoever is still in the middle of something hears why (RFC 5321 section 3.8).
	s.each(func(c *conn) { c.wc.Interrupt() })
	last := time.NewTimer(farewellTime)
	defer last.Stop()
	select {
	case <-done:
		return ctx.Err()
	case <-last.C:
	}
	s.each(func(c *conn) { c.wc.Close() })
	// They end now, but for one that waits for a disk. The process does not wait for that.
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
	return ctx.Err()
}

// farewellTime is how long clients that are broken off have to hear 421.
const farewellTime = 300 * time.Millisecond

func (s *Server) each(do func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}

func (s *Server) beginShutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return
	}
	s.shut = true
	close(s.closing)
	s.shutOut()
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.interrupt()
	}
}

func (s *Server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

func (s *Server) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) remove(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) register(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	s.conns[c] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) unregister(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.running.Done()
}

// accept has a connection served, if there is room for it. It is false at a shutdown. The
// connection is one that Shutdown waits for.
func (s *Server) accept(nc net.Conn) bool {
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		nc.Close()
		return false
	}
	s.running.Add(1)
	s.mu.Unlock()
	o := s.options.Load()
	if o.Door != nil {
		go func() {
			defer s.running.Done()
			s.throughDoor(o, nc)
		}()
		return true
	}
	stressed, refused := s.room.admit(o)
	if refused != "" {
		s.turnAway(o, nc, refused)
		s.running.Done()
		return true
	}
	if stressed && o.UnderStress != nil {
		o = o.UnderStress
	}
	go func() {
		defer s.running.Done()
		defer s.room.leave()
		p, known := s.peer(o, nc)
		s.serve(nc, p, o, known)
	}()
	return true
}
