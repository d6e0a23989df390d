package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"aliasmx/internal/header"
	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// postmaster gets transcripts of sessions (notify_classes) into the queue. They are the
// least of all mail: what cannot be written or queued at once is forgotten, and clients
// who make errors on purpose do not fill the queue with them.
type postmaster struct {
	reports *reports
	queue   *queue.Queue
	log     *slog.Logger
	now     func() time.Time

	mu    sync.Mutex // guards what follows
	until time.Time  // end of the current minute
	sent  int        // in it
}

const (
	transcriptsPerMinute = 60
	transcriptTime       = 10 * time.Second // to queue one
)

// notify is called at the end of a session.
func (p *postmaster) notify(t mail.Transcript) {
	switch n := p.count(); {
	case n == transcriptsPerMinute+1:
		p.log.Warn(fmt.Sprintf("postmaster notify: more than %d transcripts a minute; the others are not sent", transcriptsPerMinute))
		return
	case n > transcriptsPerMinute:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), transcriptTime)
	defer cancel()
	if err := p.send(ctx, t); err != nil {
		p.log.Warn(fmt.Sprintf("postmaster notify: %v", err))
	}
}

func (p *postmaster) count() int {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !now.Before(p.until) {
		p.until, p.sent = now.Add(time.Minute), 0
	}
	p.sent++
	return p.sent
}

func (p *postmaster) send(ctx context.Context, t mail.Transcript) error {
	env, body, err := p.reports.current.Load().Transcript(ctx, t, p.queue.NewID(), p.now())
	if err != nil || env == nil {
		return err
	}
	if err := p.queue.Admit(int64(len(body))); err != nil {
		return err
	}
	draft, err := p.queue.Stage(ctx)
	if err != nil {
		return err
	}
	defer draft.Abort() // nothing, after a commit
	if _, err := draft.Write(body); err != nil {
		return err
	}
	look := header.NewWriter(io.Discard, header.Options{})
	if _, err := io.Copy(look, bytes.NewReader(body)); err != nil {
		return err
	}
	look.LogMessageIDs(p.log.With(mail.KeyDaemon, "cleanup"), env.ID.String())
	return draft.Commit(ctx, env)
}
