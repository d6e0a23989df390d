package main

import (
	"context"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/queue"
	"aliasmx/smtpd"
)

// Relay while connected: what smtpd and the queue are told of it.

const connectedParameter = "relay_while_connected"

// connected is what a listener is told; nil: nothing goes this way. Tell is added when there
// is somebody who knows what a client may hear (daemon.withQueue).
func connected(t *tables) (*smtpd.ConnectedOptions, error) {
	cfg := t.cfg
	if _, err := connectedFile(cfg); err != nil {
		return nil, err
	}
	wanted, err := connectedDomains(t)
	if wanted == nil || err != nil {
		return nil, err
	}
	return &smtpd.ConnectedOptions{
		Wanted: wanted,
		Wait:   cfg.Duration("relay_while_connected_time"),
		Pass:   cfg.Get("relay_while_connected_tempfail") == "pass",
		Reply:  cfg.Bool("relay_while_connected_reply"),
		Rcpt:   cfg.Bool("relay_while_connected_rcpt"),
	}, nil
}

// connectedDomains tells which domains' mail goes this way; nil: none.
func connectedDomains(t *tables) (func(context.Context, string) (bool, error), error) {
	words := t.cfg.List(connectedParameter)
	switch {
	case len(words) == 0, len(words) == 1 && words[0] == "no":
		return nil, nil
	case len(words) == 1 && words[0] == "yes":
		return func(context.Context, string) (bool, error) { return true, nil }, nil
	}
	where := connectedParameter + " (" + t.cfg.Where(connectedParameter) + ")"
	for _, word := range words {
		if !strings.Contains(word, ":") {
			return nil, fmt.Errorf("%s: %q is none of yes, no, and a table such as hash:/path", where, word)
		}
	}
	maps := t.maps(connectedParameter)
	if t.err != nil {
		return nil, t.err
	}
	err := eachEntry(maps, func(key, value, at string) error {
		if _, err := yesNo(value); err != nil {
			return fmt.Errorf("%s (%s): %s: %w", connectedParameter, at, key, err)
		}
		return nil
	}, t.cfg.Where(connectedParameter))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, domain string) (bool, error) {
		value, source, found, err := maps.Lookup(ctx, strings.ToLower(domain))
		switch {
		case err != nil:
			return false, fmt.Errorf("%s: %w", where, err)
		case !found:
			return false, nil
		}
		wanted, err := yesNo(value)
		if err != nil {
			err = fmt.Errorf("%s: %v: %s: %w", where, source, domain, err)
		}
		return wanted, err
	}, nil
}

// yesNo reads what a table says of a domain.
func yesNo(value string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, fmt.Errorf("%q: write yes or no", value)
}

// connectedFile is where is kept which messages clients have not heard the reply to.
func connectedFile(cfg *postconf.Config) (string, error) {
	return cacheFile(cfg, "relay_while_connected_map", cfg.Get("relay_while_connected_map"))
}

// jobLimits are how many recipients go together.
func jobLimits(cfg *postconf.Config) queue.RecipientLimits {
	return queue.RecipientLimits{
		Default: recipientLimit(cfg, "default_destination_recipient_limit"), Of: recipientLimits(cfg),
	}
}

// tell completes what a listener is told.
func (r *reports) tell(o *smtpd.ConnectedOptions) *smtpd.ConnectedOptions {
	if o == nil {
		return nil
	}
	whole := *o
	whole.Tell = func(env *mail.Envelope, result *mail.Result) mail.Status { return r.current.Load().Tell(env, result) }
	return &whole
}
