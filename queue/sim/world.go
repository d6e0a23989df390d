package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// Site is the hosts that answer for its domains.
type Site struct {
	Name  string
	Hosts []*Host // equal: a connection goes to any of them
	// Sessions is how many hosts a connection may try before it has failed
	// (smtp_mx_session_limit); 0: one, as behind a balancer.
	Sessions int
	// OneEach ends a connection after one letter, as without a connection cache.
	OneEach bool
	Limits  mail.SiteLimits

	open, most int
	gauge      []Level // open connections, at each change
}

// Level is a number from then on.
type Level struct {
	At time.Duration
	N  int
}

// Domain is the name of one of its domains.
func (s *Site) Domain(n int) string { return fmt.Sprintf("d%d.%s.example", n, s.Name) }

// Most is how many connections it ever had at a time.
func (s *Site) Most() int { return s.most }

// Gauge is how many connections were open, and since when.
func (s *Site) Gauge() []Level { return s.gauge }

// World is all sites. It is safe for concurrent use; sites are added before it is used.
type World struct {
	Book *Book // nil: nothing is written down
	// Linger is how long an idle connection waits (smtp_connection_cache_time_limit).
	Linger time.Duration

	sites map[mail.Dest]*Site
	all   []*Site
	under sync.WaitGroup // connections

	mu    sync.Mutex // guards what follows, and the counts of sites and hosts
	rng   *rand.Rand
	start time.Time
	open  int
	most  int
	epoch int // how many crashes there were
}

// NewWorld makes a world without sites, which begins now.
func NewWorld(seed uint64) *World {
	w := &World{
		Linger: 2 * time.Second,
		sites:  make(map[mail.Dest]*Site),
		rng:    rand.New(rand.NewPCG(seed, 1)),
		start:  time.Now(),
	}
	w.Book = newBook()
	return w
}

// Add gives a site to the world, with as many domains.
func (w *World) Add(s *Site, domains int) *Site {
	w.all = append(w.all, s)
	for i := range max(domains, 1) {
		w.sites[mail.MakeDest("smtp", s.Domain(i))] = s
	}
	return s
}

// Sites is all of them.
func (w *World) Sites() []*Site { return w.all }

// Now is the time since the world began.
func (w *World) Now() time.Duration { return time.Since(w.start) }

// Most is how many connections there ever were at a time.
func (w *World) Most() int { return w.most }

// Site implements queue.Sites.
func (w *World) Site(_ context.Context, dest mail.Dest) (mail.Site, error) {
	s := w.sites[dest]
	if s == nil {
		return mail.Site{}, nil
	}
	site := mail.Site{Name: s.Name, Limits: s.Limits}
	for i := range s.Hosts {
		site.Hosts = append(site.Hosts, fmt.Sprintf("mx%d.%s.example", i, s.Name))
	}
	return site, nil
}

// Crash is the end of the machine that delivers: all connections are gone, and what it
// believes to do from now on counts for nothing.
func (w *World) Crash() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch++
	w.open = 0
	for _, s := range w.all {
		s.open = 0
		for _, h := range s.Hosts {
			h.open = 0
		}
	}
}

// Crashes is how many there were.
func (w *World) Crashes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.epoch
}

// machine is the world as the queue between two crashes sees it.
type machine struct {
	*World
	epoch int
}

// Work implements queue.Transport.
func (w machine) Work(ctx context.Context, dest mail.Dest, src mail.Source) {
	w.under.Add(1)
	defer w.under.Done()
	s := w.sites[dest]
	if s == nil { // reports, and what nobody models: taken at once
		s = &Site{Hosts: []*Host{{}}}
	}
	w.count(s, 1)
	defer w.count(s, -1)
	var h *Host
	defer func() { w.leave(h) }()
	for use := 1; use == 1 || !s.OneEach; use++ {
		a, ok := src.Next(ctx, w.Linger)
		if !ok {
			return
		}
		try := Try{Began: w.Now(), Site: s, Use: use, Dest: a.Dest}
		var v verdict
		if h == nil {
			h, v = w.connect(s)
		}
		if h != nil {
			v = w.deliver(h, a)
		}
		w.report(a, src, try, v)
		if v.bad() {
			return
		}
	}
}

// connect tries hosts until one greets; h is nil if none does.
func (w machine) connect(s *Site) (h *Host, v verdict) {
	w.mu.Lock()
	order := w.rng.Perm(len(s.Hosts))
	w.mu.Unlock()
	for _, i := range order[:min(max(s.Sessions, 1), len(order))] {
		h := s.Hosts[i]
		if h.down(w.Now()) {
			w.pause(max(h.Timeout, h.Connect), h.Spread)
			v = verdict{Unreachable, mail.Status{Enhanced: mail.Code(4, 4, 1)}, "connect to host: Connection timed out"}
			continue
		}
		w.pause(h.Connect, h.Spread)
		w.mu.Lock()
		full := h.Limit > 0 && h.open >= h.Limit
		if !full && w.alive() {
			h.open++
			h.most = max(h.most, h.open)
		}
		w.mu.Unlock()
		if !full {
			return h, verdict{}
		}
		v = said(Turned, 421, mail.Code(4, 7, 0), "Too many connections from you")
	}
	return nil, v
}

func (w machine) leave(h *Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h != nil && w.alive() {
		h.open--
	}
}

// alive: the machine has not crashed. The caller holds the lock.
func (w machine) alive() bool { return w.epoch == w.World.epoch }

// deliver takes the time of a transaction.
func (w machine) deliver(h *Host, a *mail.Attempt) verdict {
	now := w.Now()
	w.mu.Lock()
	v := h.judge(now, w.Book.tried(a.Env, now))
	w.mu.Unlock()
	w.pause(h.pace(v, a.Env.Size), h.Spread)
	if h.down(w.Now()) {
		return verdict{Dropped, mail.Status{Enhanced: mail.Code(4, 4, 2)}, "lost connection with host"}
	}
	return v
}

func (w machine) report(a *mail.Attempt, src mail.Source, try Try, v verdict) {
	try.Ended, try.Outcome = w.Now(), v.what
	results := make([]mail.Result, len(a.Rcpts))
	for i, n := range a.Rcpts {
		results[i] = mail.Result{Rcpt: n, Status: v.status, Reason: v.reason, Agent: "smtp", Relay: "host", ConnUse: try.Use}
		if v.status.Code != 0 {
			results[i].RemoteMTA, results[i].RemoteReply = "host", v.status.Error()
		}
		switch v.what {
		case Taken:
			results[i].State = mail.Delivered
		case Rejected:
			results[i].State = mail.Failed
		}
	}
	w.mu.Lock()
	if w.alive() && w.Book != nil {
		w.Book.note(a, try)
	}
	w.mu.Unlock()
	feedback := mail.FeedbackGood
	if v.bad() {
		feedback = mail.FeedbackBad
	}
	src.Done(a, results, feedback)
}

// bad: the site as a whole misbehaved.
func (v verdict) bad() bool {
	return v.what == Unreachable || v.what == Turned || v.what == Dropped
}

func (w machine) count(s *Site, by int) {
	now := w.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.alive() {
		return
	}
	s.open += by
	s.most = max(s.most, s.open)
	w.open += by
	w.most = max(w.most, w.open)
	if w.Book == nil {
		return
	}
	if n := len(s.gauge); n > 0 && s.gauge[n-1].At == now {
		s.gauge[n-1].N = s.open
	} else {
		s.gauge = append(s.gauge, Level{now, s.open})
	}
}

// pause lets time pass. A transaction that has begun is finished, also at the end.
func (w *World) pause(d time.Duration, spread float64) {
	if d <= 0 {
		return
	}
	if spread > 0 {
		w.mu.Lock()
		d = time.Duration(float64(d) * (1 - spread + 2*spread*w.rng.Float64()))
		w.mu.Unlock()
	}
	<-time.After(d)
}
