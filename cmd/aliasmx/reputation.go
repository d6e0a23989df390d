package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/reputation"
	"aliasmx/queue"
	"aliasmx/smtpd"
)

// What internal/reputation is told, and where it listens: at the doors for what comes, at
// the transports for what becomes of it.

// reputationParams are those that a reload changes.
func (v *view) reputationParams() (reputation.Params, error) {
	cfg := v.cfg
	if _, err := cacheFile(cfg, "reputation_map", cfg.Get("reputation_map")); err != nil {
		return reputation.Params{}, err
	}
	action, err := reputation.ParseAction(cfg.Get("alias_complaint_action"))
	if err != nil {
		return reputation.Params{}, fmt.Errorf("alias_complaint_action (%s): %w", cfg.Where("alias_complaint_action"), err)
	}
	p := reputation.Params{
		Enabled:         cfg.Bool("reputation_enable"),
		AliasRate:       cfg.Int("alias_rate_limit"),
		DomainRate:      cfg.Int("alias_domain_rate_limit"),
		RateUnit:        cfg.Duration("alias_rate_time_unit"),
		CatchAllLimit:   cfg.Int("catchall_address_limit"),
		IsCatchAll:      v.resolver.IsCatchAll,
		Complete:        v.resolver.Complete,
		StripExtension:  v.resolver.StripExtension,
		Ours:            v.isOurs,
		ComplaintLimit:  cfg.Int("alias_complaint_limit"),
		ComplaintAction: action,
		MyHostname:      cfg.Get("myhostname"),
	}
	if cfg.Get("alias_attribute_maps") != "" {
		p.OwnRate = func(ctx context.Context, a mail.Address) (int, time.Duration, error) {
			attr, err := v.resolver.Attributes(ctx, a)
			return attr.Rate, attr.RatePer, err
		}
	}
	reports := cfg.List("arf_recipients")
	for _, word := range reports {
		a := mail.SplitAddress(strings.ToLower(word))
		if a.Local == "" || a.Domain == "" {
			return p, fmt.Errorf("arf_recipients (%s): %q is no address; write user@domain", cfg.Where("arf_recipients"), word)
		}
		if p.Reports == nil {
			p.Reports = map[string]bool{}
		}
		p.Reports[a.Internal()] = true
	}
	switch {
	case len(reports) > 0 && !p.Enabled:
		return p, fmt.Errorf("reputation_enable (%s): no, but arf_recipients (%s) is set: complaints would be counted nowhere; remove one of them",
			cfg.Where("reputation_enable"), cfg.Where("arf_recipients"))
	case p.ComplaintLimit > 0 && len(reports) == 0:
		return p, fmt.Errorf("alias_complaint_limit (%s): there are no complaints without arf_recipients; name the addresses that they come to",
			cfg.Where("alias_complaint_limit"))
	}
	p.Limit, err = v.aliasLimits()
	return p, err
}

// isOurs tells the addresses that are in domains of ours.
func (v *view) isOurs(ctx context.Context, a mail.Address) (bool, error) {
	class, err := v.resolver.Class(ctx, v.resolver.Complete(a))
	return class != mail.ClassDefault, err
}

// aliasLimits asks alias_rate_limit_maps; nil: there are none.
func (v *view) aliasLimits() (func(context.Context, string) (int, bool, error), error) {
	const parameter = "alias_rate_limit_maps"
	maps := v.tables.maps(parameter)
	if maps == nil || v.tables.err != nil {
		return nil, v.tables.err
	}
	where := v.cfg.Where(parameter)
	err := eachEntry(maps, func(key, value, at string) error {
		if _, err := aliasLimit(value); err != nil {
			return fmt.Errorf("%s (%s): %s: %w", parameter, at, key, err)
		}
		return nil
	}, where)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, key string) (int, bool, error) {
		value, _, found, err := maps.Lookup(ctx, key)
		if err != nil || !found {
			if err != nil {
				err = fmt.Errorf("%s (%s): %w", parameter, where, err)
			}
			return 0, false, err
		}
		limit, err := aliasLimit(value)
		if err != nil {
			err = fmt.Errorf("%s (%s): %s: %w", parameter, where, key, err)
		}
		return limit, true, err
	}, nil
}

func aliasLimit(value string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is no number of messages; 0 is no limit", value)
	}
	return int(n), nil
}

// keepsCounts tells whether something of ours is kept in a directory.
func keepsCounts(cfg *postconf.Config, dir string) bool {
	counts, _ := cacheFile(cfg, "reputation_map", cfg.Get("reputation_map"))
	greylist, _ := cacheFile(cfg, "greylist_map", cfg.Get("greylist_map"))
	return filepath.Dir(counts) == dir && cfg.Bool("reputation_enable") || filepath.Dir(greylist) == dir && restricts(cfg, "check_greylist")
}

func (d *daemon) openReputation(cfg *postconf.Config) {
	file, _ := cacheFile(cfg, "reputation_map", cfg.Get("reputation_map")) // reputationParams proves it
	d.book = reputation.New(reputation.Options{
		Log: d.log.Logger, File: file, Name: cfg.Get("reputation_map"), Params: d.view.reputation,
	})
	d.greylist = d.newGreylist(cfg)
}

func (d *daemon) closeReputation() {
	if d.book != nil {
		d.book.Close()
		d.greylist.Close()
	}
}

// withReputation has a server ask.
func (d *daemon) withReputation(o *smtpd.Options) {
	o.Queue = d.counted()
	if d.book.Limits() {
		o.Reputation = d.book
	}
	if o.Greylist != nil {
		g := *o.Greylist
		g.List = d.greylist
		o.Greylist = &g
	}
}

// counted is the queue for doors: what they commit is counted, if anything is.
func (d *daemon) counted() enqueuer {
	if !d.book.Enabled() {
		return d.queue
	}
	return countedQueue{d.queue, d.book}
}

// enqueuer is what doors put messages into.
type enqueuer interface {
	smtpd.Enqueuer
	smtpd.Flow
}

type countedQueue struct {
	*queue.Queue
	book *reputation.Book
}

func (q countedQueue) Stage(ctx context.Context) (mail.Draft, error) {
	d, err := q.Queue.Stage(ctx)
	if err != nil {
		return nil, err
	}
	return &countedDraft{d, q.book}, nil
}

// countedDraft looks for reports in what is committed.
type countedDraft struct {
	mail.Draft
	book *reputation.Book
}

// Commit implements mail.Draft.
func (d *countedDraft) Commit(ctx context.Context, env *mail.Envelope) error {
	report := d.book.Find(env, d.Body)
	if err := d.Draft.Commit(ctx, env); err != nil {
		return err
	}
	d.book.Accepted(ctx, env)
	if report != nil {
		d.book.Reported(ctx, env.ID, report)
	}
	return nil
}

// Relay implements smtpd.Relayer. Results come before it is known whether the message is
// accepted, so the book is told of the aliases before.
func (d *countedDraft) Relay(ctx context.Context, env *mail.Envelope, with mail.WhileConnected) (mail.Relayed, error) {
	relayer, ok := d.Draft.(smtpd.Relayer)
	if !ok {
		return mail.Relayed{}, d.Commit(ctx, env)
	}
	report := d.book.Find(env, d.Body)
	d.book.Expect(ctx, env)
	out, err := relayer.Relay(ctx, env, with)
	if err != nil || out.Refused != nil || out.Again {
		return out, err
	}
	d.book.Accepted(ctx, env)
	if report != nil {
		d.book.Reported(ctx, env.ID, report)
	}
	return out, nil
}

// noted is src with the book hearing of results.
func (t *transports) noted(src mail.Source) mail.Source {
	if t.book == nil || !t.book.Enabled() {
		return src
	}
	return notedSource{src, t.book}
}

type notedSource struct {
	mail.Source
	book *reputation.Book
}

// Done implements mail.Source. Probes are about addresses, not about mail, and an attempt
// that was given up while the client waits is made again.
func (s notedSource) Done(a *mail.Attempt, results []mail.Result, f mail.Feedback) {
	if !a.Probe && (a.Until == nil || a.Until.Err() == nil) {
		s.book.Results(a.Env, results)
	}
	s.Source.Done(a, results, f)
}

// showReputation is for the control socket.
func (d *daemon) showReputation(about string) ([]byte, error) {
	if !d.book.Enabled() {
		return nil, errors.New("nothing is counted: reputation_enable is no")
	}
	return json.Marshal(d.book.Table(about))
}
