package dbtable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// Pool is connections to one of several servers that hold the same data. A connection is
// made when a lookup needs it and kept for the next; one that nobody has used for a while
// is closed. A server that fails is left alone for a while (retry_interval) as long as
// there are others, and one lookup a second tries when there are none, so that mail
// flows again as soon as a server is back.
type Pool[C io.Closer] struct {
	o     PoolOptions[C]
	slots chan struct{} // one for each connection in use

	mu     sync.Mutex // guards the rest
	hosts  []*hostState
	idle   []idleConn[C] // the one used last is the last
	timer  *time.Timer   // closes what is idle; nil when nothing is
	closed bool
}

// PoolOptions say which servers there are and how to reach them.
type PoolOptions[C io.Closer] struct {
	Hosts []Host
	// Ordered tries the hosts as they are listed. Otherwise sockets of this machine come
	// first, and the order is random among equals.
	Ordered bool
	// Dial connects. Its context has a deadline.
	Dial func(ctx context.Context, h Host) (C, error)
	// Lost tells whether an error means that the connection is of no more use, not
	// that the server refused a question.
	Lost func(conn C, err error) bool

	Retry, Idle   time.Duration
	DialTimeout   time.Duration // for one host
	LookupTimeout time.Duration // for all of a lookup, waiting for a connection included
	Now           func() time.Time
}

// Host is one server.
type Host struct {
	Name    string // for messages, without secrets
	Network string // unix, tcp
	Address string // path, or host:port
	URI     string // instead of Network and Address, in the driver's own language
}

type hostState struct {
	Host
	downUntil time.Time
	why       error // of downUntil
	tried     time.Time
}

type idleConn[C io.Closer] struct {
	conn  C
	host  *hostState
	since time.Time
}

const (
	// maxConns is how many connections one table has at most.
	maxConns = 8
	// probeInterval is how often a server is tried that is left alone but has no
	// substitute.
	probeInterval = time.Second
)

var errClosed = errors.New("table is closed")

// NewPool makes a pool without any connection.
func NewPool[C io.Closer](o PoolOptions[C]) *Pool[C] {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Pool[C]{o: o, slots: make(chan struct{}, maxConns)}
	for _, h := range o.Hosts {
		p.hosts = append(p.hosts, &hostState{Host: h})
	}
	return p
}

// Do lets f ask over a connection. When the connection turns out to be lost, or a server
// refuses the question, f is called again with the next one: it must begin anew.
func (p *Pool[C]) Do(asker context.Context, f func(ctx context.Context, conn C) error) error {
	ctx, cancel := context.WithTimeout(asker, p.o.LookupTimeout)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("all %d connections are in use: %w", maxConns, ctx.Err())
	}
	defer func() { <-p.slots }()

	refused := map[*hostState]bool{} // that failed this lookup
	var failure error
	for ctx.Err() == nil {
		conn, host, reused, err := p.conn(ctx, refused)
		if err != nil {
			return both(failure, err)
		}
		if host == nil {
			return failure
		}
		err = f(ctx, conn)
		if err == nil {
			p.putBack(conn, host)
			return nil
		}
		failure = fmt.Errorf("host %s: %w", host.Name, err)
		switch {
		case ctx.Err() != nil:
			conn.Close()
			if asker.Err() == nil { // too slow, and nobody has stopped it
				p.down(host, err)
			}
		case !p.o.Lost(conn, err):
			refused[host] = true
			p.putBack(conn, host)
		default:
			conn.Close()
			// The server may have closed a connection that was idle.
			if !reused {
				p.down(host, err)
				refused[host] = true
			}
		}
	}
	if failure == nil {
		failure = ctx.Err()
	}
	return failure
}

// both is two errors in one line, as the log has it.
func both(a, b error) error {
	if a == nil {
		return b
	}
	return fmt.Errorf("%w; %w", a, b)
}

// conn takes a connection that is idle, or makes one. No host at all is left when every
// one has refused the question.
func (p *Pool[C]) conn(ctx context.Context, refused map[*hostState]bool) (c C, host *hostState, reused bool, err error) {
	if c, host, ok := p.takeIdle(refused); ok {
		return c, host, true, nil
	}
	var failure error
	for {
		host, why := p.next(refused)
		if host == nil {
			if failure == nil {
				failure = why
			}
			return c, nil, false, failure
		}
		dialCtx, cancel := context.WithTimeout(ctx, p.o.DialTimeout)
		c, err := p.o.Dial(dialCtx, host.Host)
		cancel()
		if err == nil {
			return c, host, false, nil
		}
		failure = both(failure, fmt.Errorf("connect to %s: %w", host.Name, err))
		if errors.Is(ctx.Err(), context.Canceled) { // who asked has gone: it says nothing of the host
			return c, nil, false, failure
		}
		p.down(host, err)
		refused[host] = true
	}
}

func (p *Pool[C]) takeIdle(refused map[*hostState]bool) (c C, host *hostState, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if at := p.idle[i]; !refused[at.host] {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return at.conn, at.host, true
		}
	}
	return c, nil, false
}

// next is the host to connect to; nil when none is to be tried, with what was wrong with
// the last one that failed.
func (p *Pool[C]) next(refused map[*hostState]bool) (*hostState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	now := p.o.Now()
	var up, down []*hostState
	for _, h := range p.hosts {
		switch {
		case refused[h]:
		case h.downUntil.After(now):
			down = append(down, h)
		default:
			up = append(up, h)
		}
	}
	if len(up) > 0 {
		return p.choose(up), nil
	}
	if len(refused) > 0 || len(down) == 0 {
		return nil, nil
	}
	probe := down[rand.IntN(len(down))]
	for _, h := range down {
		if since := now.Sub(h.tried); 0 <= since && since < probeInterval {
			return nil, fmt.Errorf("%s has failed and is left alone for now: %w", h.Name, h.why)
		}
	}
	probe.tried = now // nobody else tries meanwhile
	return probe, nil
}

func (p *Pool[C]) choose(up []*hostState) *hostState {
	if p.o.Ordered {
		return up[0]
	}
	var local []*hostState
	for _, h := range up {
		if h.Network == "unix" {
			local = append(local, h)
		}
	}
	if len(local) > 0 {
		up = local
	}
	return up[rand.IntN(len(up))]
}

func (p *Pool[C]) down(h *hostState, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.tried = p.o.Now()
	h.downUntil, h.why = h.tried.Add(p.o.Retry), why
}

func (p *Pool[C]) putBack(c C, host *hostState) {
	p.mu.Lock()
	keep := !p.closed
	if keep {
		host.downUntil = time.Time{}
		p.idle = append(p.idle, idleConn[C]{c, host, p.o.Now()})
		if p.timer == nil {
			p.timer = time.AfterFunc(p.o.Idle, p.closeIdle)
		}
	}
	p.mu.Unlock()
	if !keep {
		c.Close()
	}
}

// closeIdle closes what nobody has used for the idle time, and comes again for the rest.
func (p *Pool[C]) closeIdle() {
	p.mu.Lock()
	var old []idleConn[C]
	now := p.o.Now()
	for len(p.idle) > 0 && now.Sub(p.idle[0].since) >= p.o.Idle {
		old = append(old, p.idle[0])
		p.idle = p.idle[1:]
	}
	p.timer = nil
	if len(p.idle) > 0 && !p.closed {
		p.timer = time.AfterFunc(max(p.o.Idle-now.Sub(p.idle[0].since), time.Millisecond), p.closeIdle)
	}
	p.mu.Unlock()
	for _, c := range old {
		c.conn.Close()
	}
}

// Close closes what is idle; a connection in use is closed when it is put back.
func (p *Pool[C]) Close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	var errs []error
	for _, c := range idle {
		errs = append(errs, c.conn.Close())
	}
	return errors.Join(errs...)
}
