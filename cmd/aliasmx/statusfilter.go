package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
)

// default_delivery_status_filter and its relatives replace the status code and the text of
// a delivery before it is logged, reported and acted upon: "4.7.1 come back later" can
// become "5.7.1 never", and the other way round. A success stays one.

// statusFilter is that of one transport.
type statusFilter struct {
	parameter string
	maps      table.Maps
	log       *slog.Logger
}

// statusFilters are those of all transports that have one, by name. What error:, retry: and
// discard: say is not filtered: the operator has written it.
func (v *view) statusFilters(senders []postconf.Sender, log *slog.Logger) (map[string]*statusFilter, error) {
	filters := map[string]*statusFilter{}
	t := &tables{cfg: v.cfg, opts: v.tables.opts}
	add := func(name, command string, t *tables) {
		f := &statusFilter{parameter: command + "_delivery_status_filter", log: log.With(mail.KeyDaemon, command)}
		switch command {
		case "smtp":
			f.maps = t.maps("smtp_delivery_status_filter")
		case "lmtp":
			f.maps = t.maps("lmtp_delivery_status_filter")
		case "local":
			f.maps = t.maps("local_delivery_status_filter")
		}
		if delete(filters, name); f.maps != nil {
			filters[name] = f
		}
	}
	for _, of := range [][2]string{{"smtp", "smtp"}, {"relay", "smtp"}, {"lmtp", "lmtp"}, {"local", "local"}} {
		add(of[0], of[1], t)
	}
	v.tables.opened = append(v.tables.opened, t.opened...)
	if t.err != nil {
		return nil, t.err
	}
	for _, s := range senders {
		t := &tables{cfg: s.Config, opts: v.tables.opts}
		add(s.Name, s.Command, t)
		v.tables.opened = append(v.tables.opened, t.opened...)
		if t.err != nil {
			return nil, t.err
		}
	}
	return filters, nil
}

// filter is that of a transport in the configuration in force; nil: none.
func (t *transports) filter(dest mail.Dest) *statusFilter {
	if all := t.filters.Load(); all != nil {
		return (*all)[dest.Transport()]
	}
	return nil
}

// filtered is src with the results filtered, where there is a filter.
func (t *transports) filtered(ctx context.Context, dest mail.Dest, src mail.Source) mail.Source {
	if t.filter(dest) == nil {
		return src
	}
	return &filteredSource{Source: src, ctx: context.WithoutCancel(ctx), find: func() *statusFilter { return t.filter(dest) }}
}

// filteredSource reports what a filter makes of results.
type filteredSource struct {
	mail.Source
	ctx  context.Context
	find func() *statusFilter
}

// filterTime is how long a table may take for the results of an attempt.
const filterTime = 10 * time.Second

// Done implements mail.Source.
func (s *filteredSource) Done(a *mail.Attempt, results []mail.Result, feedback mail.Feedback) {
	if f := s.find(); f != nil {
		ctx, cancel := context.WithTimeout(s.ctx, filterTime)
		for i := range results {
			f.result(ctx, &results[i])
		}
		cancel()
	}
	s.Source.Done(a, results, feedback)
}

// result filters the fate of one recipient, or of each thing that it led to.
func (f *statusFilter) result(ctx context.Context, r *mail.Result) {
	if r.Targets == nil {
		f.apply(ctx, &r.State, &r.Status, &r.Reason)
		return
	}
	some := map[mail.State]bool{}
	for i := range r.Targets {
		t := &r.Targets[i]
		f.apply(ctx, &t.State, &t.Status, &t.Reason)
		some[t.State] = true
	}
	switch {
	case some[mail.Deferred]:
		r.State = mail.Deferred
	case some[mail.Delivered]:
		r.State = mail.Delivered
	default:
		r.State = mail.Failed
	}
}

// apply replaces what the table has an entry for. A table that cannot answer has none.
func (f *statusFilter) apply(ctx context.Context, state *mail.State, status *mail.Status, reason *string) {
	key := status.Enhanced.String() + " " + *reason
	value, _, found, err := f.maps.Lookup(ctx, key)
	switch {
	case err != nil:
		f.log.Warn(err.Error())
		return
	case !found:
		return
	}
	code, text := mail.SplitEnhanced(value)
	success := *state == mail.Delivered
	if code[0] == 0 || success != (code[0] == 2) {
		f.log.Warn(f.parameter + ": bad status code: " + value)
		return
	}
	switch code[0] {
	case 4:
		*state = mail.Deferred
	case 5:
		*state = mail.Failed
	}
	text = strings.TrimSpace(text)
	status.Enhanced, status.Text, *reason = code, text, text
}
