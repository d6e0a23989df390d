package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"aliasmx/internal/admin"
	"aliasmx/internal/postconf"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
)

// openQueueOffline opens the queue of a daemon that is not running, for an operator's
// command. Nothing is delivered meanwhile. The queue can be used once no more.
func openQueueOffline(cfg *postconf.Config) (admin.Queue, func(), error) {
	if _, err := os.Stat(storeDir(cfg)); err != nil {
		return nil, nil, fmt.Errorf("queue %s: %w", storeDir(cfg), err)
	}
	as, err := runAs(cfg)
	if err != nil {
		return nil, nil, err
	}
	log, stopLog := offlineLog(cfg, as)
	// Files made on the way must belong to the daemon's user.
	if err := as.become(); err != nil {
		return nil, nil, err
	}
	store, err := pebblestore.Open(pebblestore.Options{
		Dir:         storeDir(cfg),
		InlineLimit: cfg.Int64("queue_inline_limit"),
		Node:        uint16(cfg.Int("queue_node")),
		Log:         slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	q, err := queue.New(queue.Options{Store: store, Transport: &noTransport{}, Notifier: &reports{}, Log: log})
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	resolver, closeTables, err := newResolver(cfg, func(string) {}, nil)
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	done := func() {
		q.Close()
		store.Close()
		closeTables()
		stopLog()
	}
	picked, err := cfg.ForService("", "pickup")
	if err != nil {
		done()
		return nil, nil, err
	}
	return operated{q, requeue(resolver, picked.Get("content_filter"), filters(picked))}, done, nil
}

// offlineLog is the mail log, so that what operators do stands there whether a daemon
// runs or not. It takes no part in what this command prints: where the daemon logs to its
// standard output, or the log cannot be opened, nothing is logged.
func offlineLog(cfg *postconf.Config, as account) (*slog.Logger, func()) {
	if strings.HasPrefix(cfg.Get("maillog_file"), "/dev/std") {
		return slog.New(slog.DiscardHandler), func() {}
	}
	log, err := openLog(cfg, nil, as)
	if err != nil {
		return slog.New(slog.DiscardHandler), func() {}
	}
	return log.Logger, log.stop
}
