package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"aliasmx/delivery"
	"aliasmx/internal/admin"
	"aliasmx/internal/bounce"
	"aliasmx/internal/greylist"
	"aliasmx/internal/mail"
	"aliasmx/internal/pickup"
	"aliasmx/internal/postconf"
	"aliasmx/internal/reputation"
	"aliasmx/internal/screen"
	"aliasmx/internal/sock"
	"aliasmx/internal/verify"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/smtpd"
)

// stopLimit is how long transfers under way may take once the daemon is to end.
const stopLimit = 7 * time.Second

type daemonOptions struct {
	cfg   *postconf.Config
	env   environ
	logTo io.Writer // instead of where the configuration says
}

// daemon is all rooms put together.
type daemon struct {
	env     environ
	dir     string
	keys    keyring
	room    smtpd.Capacity // over all listeners
	anvil   smtpd.Anvil
	started time.Time
	deaths  string // file
	as      account
	manager serviceManager

	log      *mailLog
	store    *pebblestore.Store
	queue    *queue.Queue
	delivery *delivery.Client
	carriers *transports // delivery, and local delivery
	sites    *sites
	reports  *reports
	verify   *verify.Verifier
	clients  *screen.Clients // of all doors
	pickup   *pickup.Server
	local    *smtpd.Server // sendmail -bs
	admin    *admin.Server

	book     *reputation.Book
	greylist *greylist.List

	postmaster *postmaster // gets transcripts of sessions
	tlsrpt     tlsReports

	control, submit net.Listener
	end             context.CancelFunc // ends run
	failure         chan error         // a room that broke down

	mu    sync.Mutex // guards view, old and ports: reload
	view  *view
	old   *view // kept open for transactions that began under it
	ports map[string]*port
	// policies serves those of MTA-STS; its fields are guarded by mu as well.
	policies stsDoors
	wg       sync.WaitGroup // every Serve

	stopping  bool            // guarded by mu: shutdown has begun
	ending    context.Context // ends then
	endNow    context.CancelFunc
	reloading sync.Mutex // held by the one reload under way
}

// startDaemon does all that can fail, in the order in which it can be undone: prove
// the configuration, bind the ports, give up root, open the log and the queue. Nothing
// is served before run.
func startDaemon(o daemonOptions) (_ *daemon, err error) {
	d := &daemon{
		env: o.env, dir: o.cfg.Dir(), started: time.Now(), failure: make(chan error, 8), end: func() {},
		deaths:  deathsFile(o.cfg),
		manager: serviceManager{o.env.getenv("NOTIFY_SOCKET")},
	}
	d.ending, d.endNow = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			d.undo()
		}
	}()
	if err := checkDeaths(d.deaths, d.started); err != nil {
		return nil, err
	}
	if d.as, err = runAs(o.cfg); err != nil {
		return nil, err
	}
	early := slog.New(slog.NewTextHandler(io.Discard, nil))
	trial, err := newView(o.cfg, early, &d.keys)
	if err != nil {
		return nil, err
	}
	if d.ports, err = bind(trial, nil); err == nil {
		d.policies.doors, err = d.policies.bind(trial)
	}
	trial.close()
	if err != nil {
		return nil, err
	}
	if err := prepareSpool(o.cfg, d.as); err != nil {
		return nil, err
	}
	if d.log, err = openLog(o.cfg, o.logTo, d.as); err != nil {
		return nil, err
	}
	if err := d.as.become(); err != nil {
		return nil, fmt.Errorf("become mail_owner %s: %w", d.as.name, err)
	}
	// Opened again as the user who will have to read them at the next reload.
	if d.view, err = newView(o.cfg, d.log.Logger.With(mail.KeyDaemon, "cleanup"), &d.keys); err != nil {
		return nil, err
	}
	if err := d.openQueue(o.cfg); err != nil {
		return nil, err
	}
	return d, d.openDoors(o.cfg)
}

func (d *daemon) openQueue(cfg *postconf.Config) error {
	var err error
	d.store, err = pebblestore.Open(pebblestore.Options{
		Dir:              storeDir(cfg),
		InlineLimit:      cfg.Int64("queue_inline_limit"),
		MinFree:          cfg.Int64("queue_minfree"),
		MessageSizeLimit: cfg.Int64("message_size_limit"),
		RecipientLimit:   recipientLimit(cfg, "default_destination_recipient_limit"),
		RecipientLimits:  recipientLimits(cfg),
		BodyMemory:       cfg.Int64("smtpd_data_memory_limit"),
		Node:             uint16(cfg.Int("queue_node")),
		Now:              time.Now,
		Log:              d.log.Logger,
		Fatal:            d.diskFailed,
	})
	if err != nil {
		return err
	}
	d.keys.sts.use(d.view, d.log.Logger)
	d.delivery = delivery.New(d.view.delivery)
	d.openReputation(cfg)
	d.carriers = &transports{delivery: d.delivery, book: d.book}
	d.sites = newSites(d.delivery, d.view.shaping)
	d.reports = &reports{}
	d.reports.current.Store(d.view.bounce)
	unheard, err := connectedFile(cfg)
	if err != nil {
		return err
	}
	d.queue, err = queue.New(queue.Options{
		Store:         d.store,
		Transport:     d.carriers,
		Notifier:      d.reports,
		Sites:         d.sites,
		Log:           d.log.Logger,
		Now:           time.Now,
		ShutdownGrace: stopLimit,
		Params:        d.view.queue,

		RecipientLimits: jobLimits(cfg),
		Unheard:         unheard,
	})
	if err != nil {
		return err
	}
	d.postmaster = &postmaster{reports: d.reports, queue: d.queue, log: d.log.Logger, now: time.Now}
	if err := d.carriers.update(d.view, d.queue); err != nil {
		return err
	}
	d.verify, err = d.newVerifier(cfg)
	return err
}

// diskFailed ends the process at once: after a failed sync nobody knows what is on
// disk, and a 250 said now could be a lie.
func (d *daemon) diskFailed(err error) {
	d.log.With(mail.KeyDaemon, "master").Error(fmt.Sprintf("fatal: queue: %v; ending so that nothing is accepted that is not on disk", err))
	fmt.Fprintf(d.env.stderr, "aliasmx: fatal: queue: %v\n", err)
	noteDeath(d.deaths, time.Now())
	d.log.stop() // the line above is on its way to a pipe
	os.Exit(exitSoftware)
}

// openDoors makes the servers and their local sockets.
func (d *daemon) openDoors(cfg *postconf.Config) (err error) {
	d.clients = d.newClients(cfg)
	wanted := d.view.wanted()
	for addr, p := range d.ports {
		p.server = smtpd.NewServer(d.withQueue(wanted[addr]))
	}
	d.local = smtpd.NewServer(d.withQueue(d.view.local))
	d.pickup = pickup.NewServer(d.pickupOptions(d.view))
	if d.admin, err = d.newAdmin(cfg); err != nil {
		return err
	}
	if d.submit, err = sock.Listen(pickupSocket(cfg), 0o666); err != nil {
		return err
	}
	if d.control, err = sock.Listen(controlSocket(cfg), 0o666); err != nil {
		return err
	}
	return os.WriteFile(pidFile(cfg), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
}

func (d *daemon) withQueue(o smtpd.Options) smtpd.Options {
	o.Queue, o.Verifier, o.ProbeSender = d.queue, d.verify, d.verify.ProbeSender
	o.Connected = d.reports.tell(o.Connected)
	o.Postmaster = d.postmaster.notify
	o.Capacity, o.Anvil = &d.room, &d.anvil
	d.withReputation(&o)
	if door, ok := o.Door.(*screen.Door); ok {
		door.Join(d.clients)
	}
	if o.UnderStress != nil {
		stressed := d.withQueue(*o.UnderStress)
		o.UnderStress = &stressed
	}
	return o
}

func (d *daemon) pickupOptions(v *view) pickup.Options {
	o := v.pickup
	o.Queue = d.counted()
	o.ServeSMTP = func(conn net.Conn, uid int) {
		d.local.ServeConn(conn, smtpd.Peer{Name: "localhost", Addr: loopback, Local: true, UID: uid})
	}
	return o
}

// run serves until ctx ends or a room breaks down, and returns when everything that
// was under way has come to an end.
func (d *daemon) run(ctx context.Context) error {
	ctx, d.end = context.WithCancel(ctx)
	defer d.end()
	queueDone := make(chan error, 1)
	d.mu.Lock()
	d.tlsrpt.follow(d, d.view)
	d.mu.Unlock()
	// The queue outlives the doors: what they accept last is still handed to it.
	go func() { queueDone <- d.queue.Run(context.Background()) }()
	d.mu.Lock()
	for _, p := range d.ports {
		d.serve(p)
	}
	policies := d.policies.doors
	d.policies.doors = nil
	d.policies.put(d.view, policies, d.servePolicies)
	d.mu.Unlock()
	d.wg.Go(func() { d.broke("control socket", d.admin.Serve(d.control)) })
	d.wg.Go(func() { d.broke("submission socket", d.pickup.Serve(d.submit)) })
	master := d.log.With(mail.KeyDaemon, "master")
	master.Info(fmt.Sprintf("daemon started -- version %s, configuration %s", version(), d.dir))
	d.manager.ready()

	var err error
	select {
	case <-ctx.Done():
	case err = <-d.failure:
	case err = <-queueDone:
		queueDone <- nil
	}
	d.manager.stopping()
	master.Info("terminating")
	d.shutdown(queueDone)
	return err
}

func (d *daemon) serve(p *port) {
	d.wg.Go(func() { d.broke("listener "+p.where, p.server.Serve(p.ln)) })
}

// broke reports a door that closed by itself. Those that were closed end in silence.
func (d *daemon) broke(what string, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		d.failure <- fmt.Errorf("%s: %w", what, err)
	}
}

// shutdown closes the doors, lets transactions and deliveries under way finish within
// stopLimit, and closes the queue last.
func (d *daemon) shutdown(queueDone <-chan error) {
	limit, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	var doors sync.WaitGroup
	d.mu.Lock()
	d.stopping = true
	d.endNow()
	for _, p := range d.ports {
		doors.Go(func() { p.server.Shutdown(limit) })
	}
	doors.Go(func() { d.policies.shutdown(limit) })
	d.mu.Unlock()
	doors.Go(func() { d.local.Shutdown(limit) })
	doors.Go(func() { d.pickup.Shutdown(limit) })
	// Connections out come to their end at the same time; what comes in meanwhile is on
	// disk and waits for the next start.
	go d.queue.Close()
	d.verify.Stop()
	doors.Wait()
	<-queueDone
	d.tlsrpt.close()
	d.admin.Shutdown(limit)
	d.wg.Wait()
	d.carriers.close()
	d.keys.sts.close()
	d.verify.Close()
	d.clients.Close()
	d.closeReputation()
	os.Remove(pidFile(d.view.cfg))
	if err := d.store.Close(); err != nil {
		d.log.Error("close queue: " + err.Error())
	}
	d.view.close()
	if d.old != nil {
		d.old.close()
	}
	d.log.stop()
}

// undo takes back what startDaemon has done so far.
func (d *daemon) undo() {
	for _, p := range d.ports {
		p.ln.Close()
	}
	closeDoors(d.policies.doors)
	for _, l := range []net.Listener{d.submit, d.control} {
		if l != nil {
			l.Close()
		}
	}
	if d.carriers != nil {
		d.carriers.close()
	}
	d.keys.sts.close()
	if d.verify != nil {
		d.verify.Close()
	}
	if d.clients != nil {
		d.clients.Close()
	}
	d.closeReputation()
	if d.store != nil {
		d.store.Close()
	}
	if d.view != nil {
		d.view.close()
	}
	if d.log != nil {
		d.log.stop()
	}
}

// reports is the queue's Notifier over reloads.
type reports struct{ current atomic.Pointer[bounce.Writer] }

func (r *reports) Notify(ctx context.Context, report mail.Report) (*mail.Envelope, []byte, error) {
	return r.current.Load().Notify(ctx, report)
}

// Copy is the postmaster's copy of a report (notify_classes).
func (r *reports) Copy(ctx context.Context, report mail.Report) (*mail.Envelope, []byte, error) {
	return r.current.Load().Copy(ctx, report)
}
