package world

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/alias"
	"aliasmx/delivery"
	"aliasmx/internal/bounce"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/maillog"
	"aliasmx/internal/table"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/smtpd"
)

// The server: the rooms, put together as cmd/aliasmx does it.

const (
	serverName = "mx.hosted.example"
	queueDir   = "/var/spool/aliasmx"
	stopLimit  = 8 * time.Second
)

var serverAddr = netip.MustParseAddr("192.0.2.1")

// run is the server from a start to its end.
type run struct {
	w      *world
	number int
	line   *uplink
	door   *door
	disk   *disk
	log    *slog.Logger

	store    *pebblestore.Store
	queue    *queue.Queue
	delivery *delivery.Client
	smtpd    *smtpd.Server
	resolver atomic.Pointer[alias.Resolver]
	dns      *dns.Resolver
	served   sync.WaitGroup
	queued   chan error

	process, concurrency, host int // the largest limits that were in force
}

// view are the settings of a start or a reload.
type view struct {
	queue    queue.Params
	delivery delivery.Options
	smtpd    smtpd.Options
	resolver *alias.Resolver
}

// settings are drawn anew for each reload.
func (r *run) settings(number int) (view, error) {
	w := r.w
	d := w.dice("settings", number)
	o := alias.Options{MyHostname: serverName, MyOrigin: "hosted.example", DefaultTransport: "smtp", EnableOriginalRecipient: true, EquateLabels: true, Log: r.log}
	var err error
	if o.VirtualAliasDomains, err = table.ParseDomainList([]string{"hosted.example"}, table.Options{}); err != nil {
		return view{}, err
	}
	if o.VirtualAliasMaps, err = table.OpenMaps([]string{w.aliases.table}, table.Options{}); err != nil {
		return view{}, err
	}
	relay := "relay1.example"
	if w.age() > w.relayMoves {
		relay = "relay2.example"
	}
	if o.TransportMaps, err = table.OpenMaps([]string{"inline:{moved.example=smtp:[" + relay + "]}"}, table.Options{}); err != nil {
		return view{}, err
	}
	v := view{}
	if v.resolver, err = alias.New(o); err != nil {
		return view{}, err
	}
	v.queue = queue.Params{
		MinimalBackoff: minimalBackoff, MaximalBackoff: maximalBackoff,
		MaximalQueueLifetime: lifetime, BounceQueueLifetime: lifetime, QueueRunDelay: queueRunDelay,
		DelayWarningTime:     w.delayWarning,
		MessageActiveLimit:   []int{10, 100, 20000}[d.IntN(3)],
		ProcessLimit:         []int{5, 20, 100}[d.IntN(3)],
		Default:              queue.DefaultTransportParams(),
		ConnectionReuseCount: 100, ConnectionReuseTime: 300 * time.Second,
	}
	limits := &v.queue.Default
	limits.ConcurrencyLimit, limits.InitialConcurrency = 1+d.IntN(20), 1+d.IntN(5)
	if d.IntN(4) == 0 {
		limits.DestinationRateDelay = time.Duration(1+d.IntN(10)) * time.Second
	}
	r.process, r.concurrency = max(r.process, v.queue.ProcessLimit), max(r.concurrency, limits.ConcurrencyLimit)
	v.delivery = delivery.Options{
		MyHostname: serverName, HeloName: serverName,
		OwnAddrs:   func(a netip.Addr) bool { return a == serverAddr },
		DNSEnabled: true, Resolver: r.dns,
		Timeouts:       delivery.Timeouts{Connect: 30 * time.Second},
		MinimalBackoff: minimalBackoff, Skip5xxGreeting: true, SendEightBit: true,
		ReuseCount: 100, ReuseTime: 300 * time.Second, CacheTime: 2 * time.Second,
		HostConnectionLimit: []int{2, 5, 20}[d.IntN(3)], ConnectionLimit: v.queue.ProcessLimit,
		Log: r.log, Dial: r.line.dial,
	}
	r.host = max(r.host, v.delivery.HostConnectionLimit)
	v.smtpd = smtpd.Options{
		MyHostname: serverName, Recipients: v.resolver, Queue: r.queue, Log: r.log,
		DelayReject: true, SMTPUTF8Enable: true, HopcountLimit: hopcountLimit, MessageSizeLimit: 1 << 20,
		ErrorSleep: time.Second, MaxConnections: 100,
	}
	language := new(smtpd.Language)
	v.smtpd.Language = language
	if v.smtpd.Relay, err = language.Parse([]string{"reject_unauth_destination"}); err != nil {
		return view{}, err
	}
	return v, nil
}

// start starts the server on a disk.
func (w *world) start(mem *vfs.MemFS) (*run, error) {
	w.runs++
	r := &run{w: w, number: w.runs, line: newUplink(w), queued: make(chan error, 1)}
	r.door = newDoor(r.line)
	r.disk = &disk{FS: mem, mem: mem, latency: func() time.Duration {
		return time.Duration(w.dice("disk", int64(w.age())).IntN(10_000_000))
	}}
	r.log = slog.New(&logbook{l: w.ledger, run: r, next: maillog.New(maillog.Options{
		Out: &w.log, Hostname: "mx", PID: r.number, Location: time.UTC,
	})})
	var err error
	r.store, err = pebblestore.Open(pebblestore.Options{
		Dir: queueDir, FS: r.disk, InlineLimit: 4000, MemTableSize: 1, MessageSizeLimit: 1 << 20,
		Now: time.Now, Log: r.log, Compactions: pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest(),
		Fatal: func(err error) {
			if !r.line.isDead() {
				w.fault("the queue has failed: %v", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start %d: %w", r.number, err)
	}
	r.dns = dns.New(dns.Options{
		Servers: []string{"192.0.2.53:53"}, ResolvConf: "/nonexistent", Hosts: "/nonexistent", Exchange: w.names.exchange,
	})
	r.delivery = delivery.New(delivery.Options{}) // until it is known where to
	reports := bounce.New(bounce.Options{
		MyHostname: serverName, MyOrigin: "hosted.example", DelayWarning: w.delayWarning, QueueLifetime: lifetime,
		Resolve: func(ctx context.Context, req mail.RcptRequest) ([]mail.Recipient, error) {
			return r.resolver.Load().AcceptUnlisted().Expand(ctx, req)
		},
		Location: time.UTC, Log: r.log,
	})
	v, err := r.settings(w.reloads)
	if err != nil {
		return nil, err
	}
	r.resolver.Store(v.resolver)
	r.delivery.Update(v.delivery)
	var sites queue.Sites
	if w.sites {
		sites = r.delivery
	}
	r.queue, err = queue.New(queue.Options{
		Store: r.store, Transport: r.delivery, Notifier: reports, Sites: sites, Log: r.log, Now: time.Now,
		Rand: func() float64 { return w.dice("jitter", int64(w.age())).Float64() }, ShutdownGrace: stopLimit, Params: v.queue,
	})
	if err != nil {
		return nil, err
	}
	v.smtpd.Queue = r.queue
	r.smtpd = smtpd.NewServer(v.smtpd)
	go func() { r.queued <- r.queue.Run(context.Background()) }()
	r.served.Go(func() { r.smtpd.Serve(r.door) })
	w.ledger.set(func() { w.ledger.starts = append(w.ledger.starts, time.Now()) })
	w.setRun(r)
	return r, nil
}

// reload puts other settings in force.
func (r *run) reload() error {
	r.w.reloads++
	v, err := r.settings(r.w.reloads)
	if err != nil {
		return err
	}
	r.resolver.Store(v.resolver)
	r.smtpd.Update(v.smtpd)
	r.delivery.Update(v.delivery)
	r.queue.Update(v.queue)
	return nil
}

// end ends the rooms in the daemon's order.
func (r *run) end(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	go r.queue.Close()
	r.smtpd.Shutdown(ctx)
	err := <-r.queued
	r.served.Wait()
	r.delivery.Close()
	return errors.Join(err, r.store.Close())
}

// stop ends the server in order.
func (r *run) stop() {
	w := r.w
	w.setRun(nil)
	w.ledger.set(func() { w.ledger.stops = append(w.ledger.stops, time.Now()) })
	if err := r.end(stopLimit); err != nil {
		w.fault("stop: %v", err)
	}
	r.line.mu.Lock()
	left := len(r.line.conns)
	r.line.mu.Unlock()
	if left > 0 {
		w.fault("%d connections were left open by a server that has stopped", left)
	}
	r.line.kill()
	w.tally("stops")
	r.checkConnections()
}

// crash cuts the power when the log is written the next time, or soon. It returns what is
// found on the disk.
func (r *run) crash(percent int, rng *rand.Rand) *vfs.MemFS {
	w := r.w
	done := make(chan *vfs.MemFS, 1)
	var once sync.Once
	cut := func() {
		once.Do(func() {
			w.setRun(nil)
			r.line.kill()
			w.ledger.set(func() { w.ledger.stops = append(w.ledger.stops, time.Now()) })
			done <- r.disk.afterPowerCut(percent, rng)
		})
	}
	r.disk.atNextSync(cut)
	var found *vfs.MemFS
	select {
	case found = <-done:
		w.tally("power cuts while the log was written")
	case <-time.After(10 * time.Minute):
		cut()
		found = <-done
		w.tally("power cuts at rest")
	}
	r.checkConnections()
	w.tasks.Go(func() { r.end(0) }) // of that, nothing is seen
	return found
}

// spooled are the files of bodies.
func spooled(mem *vfs.MemFS) []string {
	var found []string
	var walk func(dir string)
	walk = func(dir string) {
		names, err := mem.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			found = append(found, err.Error())
		}
		slices.Sort(names)
		for _, n := range names {
			path := mem.PathJoin(dir, strings.TrimSuffix(n, "/"))
			if info, err := mem.Stat(path); err == nil && info.IsDir() {
				walk(path)
			} else {
				found = append(found, path)
			}
		}
	}
	walk(mem.PathJoin(queueDir, "big"))
	return found
}
