package delivery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"aliasmx/internal/mail"
)

// errStopping ends what is under way when the Client is closed.
var errStopping = errors.New("the mail system is stopping")

// Client delivers. It implements queue.Transport and is safe for concurrent use.
type Client struct {
	set     atomic.Pointer[settings]
	refused refusedLogins
	noBdat  distrust
	hosts   hostTable
	parked  parkedTable
	open    atomic.Int64 // connections

	ctx  context.Context // ends with Close
	stop context.CancelCauseFunc

	mu      sync.Mutex // guards closed, and working from being added to after it
	closed  bool
	working sync.WaitGroup
}

// New makes a Client.
func New(o Options) *Client {
	c := &Client{}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	c.hosts.evict = c.parked.evict
	c.set.Store(newSettings(o))
	return c
}

// Update replaces the options. Attempts under way end under the old ones, and so do
// connections: the next attempt opens a new one.
func (c *Client) Update(o Options) { c.set.Store(newSettings(o)) }

// settings are those of the destination's transport.
func (c *Client) settings(dest mail.Dest) *settings {
	set := c.set.Load()
	if own := set.services[dest.Transport()]; own != nil {
		return own
	}
	return set
}

// Close cuts off what is under way, which is then deferred, and returns when all calls
// of Work have. Whoever can wait ends the context of Work before, and attempts end in
// peace.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.parked.close()
	c.stop(errStopping)
	c.working.Wait()
}

// Work is queue.Transport.
func (c *Client) Work(ctx context.Context, dest mail.Dest, src mail.Source) {
	c.mu.Lock()
	if !c.closed {
		c.working.Add(1)
		defer c.working.Done()
	}
	c.mu.Unlock()

	w := &worker{c: c, dest: dest}
	set := c.settings(dest)
	w.proto = set.protocol(dest.Transport())
	w.use(set)
	w.work(ctx, src)
}

// protocol is what a transport speaks.
func (s *settings) protocol(transport string) protocol {
	if like := s.Transports[transport]; like != "" {
		transport = like
	}
	switch transport {
	case "smtp", "relay":
		return protoSMTP
	case "lmtp":
		return protoLMTP
	}
	return protoNone
}
