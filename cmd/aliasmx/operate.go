package main

import (
	"context"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/queue"
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// operated is the queue as operators' commands see it: requeued mail goes through the
// tables that are in force at that moment.
type operated struct {
	*queue.Queue
	route queue.Route
}

func (o operated) Requeue(ctx context.Context, id mail.QueueID) error {
	return o.Queue.Requeue(ctx, id, o.route)
}

func (o operated) Expire(ctx context.Context, id mail.QueueID) error {
	return o.Queue.Expire(ctx, id, false)
}

func (d *daemon) newAdmin(cfg *postconf.Config) (*admin.Server, error) {
	list, err := userList(cfg, "authorized_mailq_users")
	if err != nil {
		return nil, err
	}
	flush, err := userList(cfg, "authorized_flush_users")
	if err != nil {
		return nil, err
	}
	return admin.NewServer(admin.Options{
		Queue:           operated{d.queue, d.reroute},
		NotFound:        queue.ErrNotFound,
		Stop:            func() { d.end() },
		Reload:          d.reload,
		Adopt:           d.queue.Adopt,
		Status:          d.status,
		Health:          d.health,
		TLSReport:       d.tlsrpt.show,
		Reputation:      d.showReputation,
		OwnUID:          os.Geteuid(),
		AuthorizedMailq: list,
		AuthorizedFlush: flush,
		Log:             d.log.Logger,
	}), nil
}

func (d *daemon) reroute(sender mail.Address, r mail.Recipient) []mail.Recipient {
	d.mu.Lock()
	v := d.view
	d.mu.Unlock()
	return requeue(v.resolver, v.pickup.ContentFilter, v.pickup.Filters)(sender, r)
}

func (d *daemon) health() error { return nil }

// lookedAt is how many destinations status looks at for those that there is something to
// say of: the others have nothing but mail that is not due.
const lookedAt = 1000

func (d *daemon) status() admin.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := admin.Status{
		Version:   version(),
		PID:       os.Getpid(),
		Started:   d.started,
		ConfigDir: d.dir,
		QueueDir:  d.view.cfg.Get("queue_directory"),
		Queues:    map[string]int64{},
		Problems:  d.view.cfg.Warnings(),
	}
	for addr := range d.ports {
		s.Listeners = append(s.Listeners, addr)
	}
	slices.Sort(s.Listeners)
	ctx := context.Background()
	counts, err := d.queue.Counts(ctx)
	if err != nil {
		s.Problems = append(s.Problems, "the queue cannot be counted: "+err.Error())
	}
	for _, name := range []string{"incoming", "active", "deferred", "hold", "corrupt"} {
		if n := counts.Of(name); n > 0 {
			s.Queues[name] = n
		}
	}
	held, err := d.queue.HeldDests(ctx)
	if err != nil {
		s.Problems = append(s.Problems, "destinations on hold cannot be told: "+err.Error())
	}
	for _, h := range held {
		s.Held = append(s.Held, string(h.Dest))
	}
	s.Destinations = busyDestinations(d.queue.Status(lookedAt).Busiest, held)
	return s
}

// userList reads a parameter such as authorized_mailq_users: names and numbers of
// users, !name, static:anyone. nil means everybody.
func userList(cfg *postconf.Config, parameter string) (func(uid int) bool, error) {
	words := cfg.List(parameter)
	if slices.Contains(words, "static:anyone") || slices.Contains(words, "static:all") {
		return nil, nil
	}
	return func(uid int) bool {
		name := strconv.Itoa(uid)
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		for _, w := range words {
			if w == "!"+name {
				return false
			}
			if w == name || w == strconv.Itoa(uid) {
				return true
			}
		}
		return false
	}, nil
}
