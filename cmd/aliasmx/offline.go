package main

import (
	"fmt"
	"log/slog"
	"os"

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
	q, err := queue.New(queue.Options{Store: store, Transport: &noTransport{}, Notifier: &reports{}})
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	resolver, closeTables, err := newResolver(cfg, func(string) {})
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	done := func() {
		q.Close()
		store.Close()
		closeTables()
	}
	picked, err := cfg.ForService("", "pickup")
	if err != nil {
		done()
		return nil, nil, err
	}
	return operated{q, requeue(resolver, picked.Get("content_filter"), filters(picked))}, done, nil
}
