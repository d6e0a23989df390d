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
	clients clients
	failed  failures

	ctx     context.Context // ends when a shutdown does not wait any longer
	cancel  context.CancelFunc
	closing chan struct{} // closed when a shutdown begins

	open    context.Context // ends then too
	shutOut context.CancelFunc

	instances atomic.Uint64 // sessions that have asked policy servers
	inMemory  atomic.Int64  // reserved for messages under way

	mu        sync.Mutex // guards what follows
	shut      bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	slots     int           // connections that are being served
	freed     chan struct{} // has an element when a slot may have become free
	running   sync.WaitGroup
}

// NewServer makes a server that listens nowhere yet. It is ended by Shutdown.
func NewServer(o Options) *Server {
	s := &Server{
		buffers:   wire.NewBuffers(),
		closing:   make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
		freed:     make(chan struct{}, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.open, s.shutOut = context.WithCancel(context.Background())
	s.Update(o)
	s.clients.now = func() time.Time { return s.options.Load().Now() }
	return s
}

// Update replaces the options. Connections take them over with their next transaction.
func (s *Server) Update(o Options) { s.options.Store(o.withDefaults()) }

// Serve accepts connections until Shutdown, and then returns nil. The listener is closed
// in any case. A client beyond MaxConnections waits for its greeting.
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
			if door := s.options.Load().Door; door != nil {
				s.throughDoor(door, nc, peerOf(nc))
				continue
			}
			if !s.acquire() {
				nc.Close()
				return nil
			}
			go func() {
				defer s.releaseSlot()
				s.ServeConn(nc, peerOf(nc))
			}()
			continue
		case s.isClosing():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of descriptors, or a connection that was gone before it was accepted.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		smtpdLog(s.options.Load()).Warn("accept: " + err.Error())
		s.pause(delay)
	}
}

// ServeConn serves one connection and returns when it is closed. A peer without a name is
// looked up (Options.ClientName).
func (s *Server) ServeConn(nc net.Conn, p Peer) {
	o := s.options.Load()
	if p.Name == "" && !p.Local && o.ClientName != nil {
		ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
		p = p.named(o.ClientName(ctx, p.Addr))
		cancel()
	}
	c := &conn{srv: s, o: o, peer: p.settled(), log: smtpdLog(o), wc: wire.NewPooledConn(nc, o.Timeout, s.buffers)}
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
	s.mu.Lock()
	for c := range s.conns {
		c.wc.Close()
	}
	s.mu.Unlock()
	// They end now, but for one that waits for a disk. The process does not wait for that.
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
	return ctx.Err()
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

// acquire waits until one more connection may be served. It is false at a shutdown. The
// connection is one that Shutdown waits for.
func (s *Server) acquire() bool {
	for {
		s.mu.Lock()
		most := s.options.Load().MaxConnections
		free := most <= 0 || s.slots < most
		if s.shut {
			s.mu.Unlock()
			return false
		}
		if free {
			s.slots++
			s.running.Add(1)
		}
		s.mu.Unlock()
		if free {
			s.wakeNext()
			return true
		}
		select {
		case <-s.freed:
		case <-s.closing:
			return false
		}
	}
}

func (s *Server) releaseSlot() {
	s.mu.Lock()
	s.slots--
	s.mu.Unlock()
	s.wakeNext()
	s.running.Done()
}

// dataReserve is what a message under way is counted with: the queue keeps the rest on
// disk.
const dataReserve = 128 << 10

// reserve takes memory for one more message under way, if there is any left.
func (s *Server) reserve(o *Options) bool {
	if n := s.inMemory.Add(dataReserve); o.DataMemoryLimit > 0 && n > o.DataMemoryLimit {
		s.inMemory.Add(-dataReserve)
		return false
	}
	return true
}

func (s *Server) release() { s.inMemory.Add(-dataReserve) }
