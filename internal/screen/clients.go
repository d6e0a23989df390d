package screen

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// ClientsOptions are what Clients are made of.
type ClientsOptions struct {
	Log *slog.Logger
	Now func() time.Time // nil: time.Now

	// File keeps the allow list over restarts (postscreen_cache_map); "": in memory only.
	// Name is what the log calls it.
	File, Name string
	MaxEntries int // clients on the allow list (200000)

	CacheParams
}

// CacheParams can be changed while the Clients are in use.
type CacheParams struct {
	Retention time.Duration // postscreen_cache_retention_time
	Cleanup   time.Duration // postscreen_cache_cleanup_interval; 0: never
}

// Clients is what is known of clients over all listeners: who is connected, and who has
// passed lately. It is safe for concurrent use, and ended by Close.
type Clients struct {
	log  *slog.Logger
	now  func() time.Time
	file string
	name string

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wake   chan struct{} // tells keep that there is something to keep
	wg     sync.WaitGroup
	once   sync.Once // for what the first Door begins

	lookups lookups

	mu      sync.Mutex // guards what follows
	params  CacheParams
	allowed allowList
	cleaned time.Time // when the allow list was
	dirty   time.Time // since when the file lacks something; zero: it does not
	byAddr  map[netip.Addr]*client
	// check are the clients here, post those of them that wait for smtpd.
	check, post int
	stress      bool
}

// client is what the connections of one address share. Guarded by Clients.mu.
type client struct {
	open   int
	passed int // connections that were logged as "PASS NEW"
	stamps stamps
}

// NewClients makes them. The file is read when the first Door joins.
func NewClients(o ClientsOptions) *Clients {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = 200_000
	}
	c := &Clients{
		log: o.Log.With(mail.KeyDaemon, "postscreen"), now: o.Now, file: o.File, name: o.Name, params: o.CacheParams,
		cleaned: o.Now(), // nothing is in it that could have expired
		wake:    make(chan struct{}, 1), allowed: allowList{max: o.MaxEntries, entries: map[netip.Addr]stamps{}},
		byAddr: map[netip.Addr]*client{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// begin is called by each Door.
func (c *Clients) begin() {
	c.once.Do(func() {
		c.load()
		c.wg.Go(c.keep)
	})
}

// Update replaces the parameters.
func (c *Clients) Update(p CacheParams) {
	c.mu.Lock()
	c.params = p
	c.mu.Unlock()
	c.poke()
}

// Close ends all lookups and writes the file. It is called when no Door admits any more.
func (c *Clients) Close() {
	c.cancel()
	c.wg.Wait()
	c.lookups.wait()
	c.save()
}

// enter counts a connection. Each is given back by one leave.
func (c *Clients) enter(addr netip.Addr, d *Door) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.check++
	if high := d.o.PreQueueLimit * 9 / 10; !c.stress && high > 0 && c.check >= high {
		c.stress = true
		d.logf("entering STRESS mode with %d connections", c.check)
	}
	cl := c.byAddr[addr]
	if cl == nil {
		cl = &client{stamps: unseen()}
		c.byAddr[addr] = cl
	}
	cl.open++
	return cl
}

func (c *Clients) leave(addr netip.Addr, d *Door) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.check--
	if cl := c.byAddr[addr]; cl != nil {
		if cl.open--; cl.open == 0 {
			delete(c.byAddr, addr)
		}
	}
	if c.stress && c.check <= d.o.PreQueueLimit*7/10 {
		c.stress = false
		d.logf("leaving STRESS mode with %d connections", c.check)
	}
}

// waiting counts a client that waits for smtpd, or one that does not any more (-1).
func (c *Clients) waiting(n int) {
	c.mu.Lock()
	c.post += n
	c.mu.Unlock()
}

// under is one of two values, by stress.
func under[T any](c *Clients, normal, stress T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stress {
		return stress
	}
	return normal
}
