package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"aliasmx/alias"
	"aliasmx/delivery"
	"aliasmx/internal/checks"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/smtpd"
)

// What is done because of what a message holds, and what is not done with mail that a
// content filter hands back: header_checks and its relatives, content_filter,
// receive_override_options.

// overrides are receive_override_options of one service.
type overrides struct {
	unknownRecipients, unmapped, unchecked, noMilters bool
}

func overridesOf(cfg *postconf.Config) overrides {
	words := cfg.List("receive_override_options")
	has := func(word string) bool { return slices.Contains(words, word) }
	return overrides{
		unknownRecipients: has("no_unknown_recipient_checks"), unmapped: has("no_address_mappings"),
		unchecked: has("no_header_body_checks"), noMilters: has("no_milters"),
	}
}

// contentOptions tells a server what the content of its messages decides. cfg is the
// configuration of its service.
func (v *view) contentOptions(o *smtpd.Options, cfg *postconf.Config) (err error) {
	skip := overridesOf(cfg)
	if o.Checks, err = v.checksOf(cfg, skip); err != nil {
		return err
	}
	if o.ContentFilter, err = v.contentFilter(cfg); err != nil {
		return err
	}
	o.Filters, o.NoMilters = filters(cfg), skip.noMilters
	r := v.resolver
	if skip.unknownRecipients || !cfg.Bool("smtpd_reject_unlisted_recipient") {
		r = r.AcceptUnlisted()
	}
	if skip.unknownRecipients {
		// Not even reject_unlisted_recipient and its like find anybody missing (smtpd(8)).
		o.Listed, o.RejectUnlistedSender = r, false
	}
	if skip.unmapped {
		r = r.WithoutMappings()
	}
	if skip.unknownRecipients || skip.unmapped {
		o.Recipients = r
	}
	return nil
}

// pickupContent tells local submission the same.
func (v *view) pickupContent(cfg *postconf.Config) (err error) {
	skip, o := overridesOf(cfg), &v.pickup
	if o.Checks, err = v.checksOf(cfg, skip); err != nil {
		return err
	}
	if o.ContentFilter, err = v.contentFilter(cfg); err != nil {
		return err
	}
	o.Filters, o.NoMilters = filters(cfg), skip.noMilters
	if skip.unmapped {
		o.Recipients = v.resolver.AcceptUnlisted().WithoutMappings()
	}
	return nil
}

// checksOf are the checks of the cleanup service that a service hands its mail to. Several
// services share what they have in common.
func (v *view) checksOf(cfg *postconf.Config, skip overrides) (*checks.Rules, error) {
	name := cfg.Get("cleanup_service_name")
	if skip.unchecked {
		return nil, nil
	}
	if rules, known := v.checks[name]; known {
		return rules, nil
	}
	of, err := v.cfg.ForService(name, "cleanup")
	if err != nil {
		return nil, err
	}
	rules, err := v.openChecks(of, "", [...]string{"header_checks", "mime_header_checks", "nested_header_checks", "body_checks"})
	if err != nil {
		return nil, err
	}
	if v.checks == nil {
		v.checks = make(map[string]*checks.Rules)
	}
	v.checks[name] = rules
	return rules, nil
}

// sendingChecks are those for what a transport sends.
func (v *view) sendingChecks(o *delivery.Options, cfg *postconf.Config) (err error) {
	o.Checks, err = v.openChecks(cfg, "smtp",
		[...]string{"smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks", "smtp_body_checks"})
	if err == nil {
		o.LMTPChecks, err = v.openChecks(cfg, "lmtp",
			[...]string{"lmtp_header_checks", "lmtp_mime_header_checks", "lmtp_nested_header_checks", "lmtp_body_checks"})
	}
	return err
}

// openChecks opens the tables of four parameters; sending is checks.Options.Sending.
func (v *view) openChecks(cfg *postconf.Config, sending string, parameters [4]string) (*checks.Rules, error) {
	skipped := &skippedRules{warn: v.tables.opts.Warn}
	t := &tables{cfg: cfg, opts: v.tables.opts}
	t.opts.Warn = skipped.note
	t.opts.NoUTF8 = true // content is bytes: one that is no UTF-8 hides nothing (cleanup(8))
	defer func() { v.tables.opened = append(v.tables.opened, t.opened...) }()
	opened := make(map[string][]checks.Table)
	open := func(parameter string) []checks.Table {
		value := cfg.Get(parameter) // of three parameters, two are the third by default
		list, known := opened[value]
		if !known {
			for _, m := range t.maps(parameter) {
				list = append(list, m)
			}
			if text := skipped.take(); text != "" && t.err == nil {
				t.failed(parameter, errors.New(text+"; correct it: what it was to refuse would be let through"))
			}
			if err := v.proveActions(cfg, parameter, list); err != nil && t.err == nil {
				t.failed(parameter, err)
			}
			opened[value] = list
		}
		return list
	}
	o := checks.Options{
		Header: open(parameters[0]), MIME: open(parameters[1]), Nested: open(parameters[2]), Body: open(parameters[3]),

		Sending:             sending,
		BodySizeLimit:       cfg.Int64("body_checks_size_limit"),
		HeaderSizeLimit:     cfg.Int("header_size_limit"),
		LineLengthLimit:     cfg.Int("line_length_limit"),
		NestingLimit:        cfg.Int("mime_nesting_limit"),
		BoundaryLengthLimit: cfg.Int("mime_boundary_length_limit"),
		DisableMIME:         cfg.Bool("disable_mime_input_processing"),
	}
	if sending != "" {
		o.BodySizeLimit = 0 // smtp(8) looks at all of it
	}
	skipped.opened()
	return checks.New(o), t.err
}

// skippedRules hears what is wrong with the rules of a table. Postfix skips such a rule and
// says so in the log; when a configuration is put in force, that would be a protection that
// is not there. It is a warning once the table is in use: a file that has changed.
type skippedRules struct {
	warn func(string)

	mu    sync.Mutex // guards what follows
	inUse bool
	first string
}

func (s *skippedRules) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wrong := strings.HasPrefix(text, "regexp map ") || strings.HasPrefix(text, "pcre map ")
	if s.inUse || !wrong {
		s.warn(text)
	} else if s.first == "" {
		s.first = text
	}
}

// take returns what was wrong with the table opened last.
func (s *skippedRules) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.first
	s.first = ""
	return text
}

func (s *skippedRules) opened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse = true
}

// contentFilter is content_filter, if mail can be sent there: all mail would wait for days
// for one that is not there.
func (v *view) contentFilter(cfg *postconf.Config) (string, error) {
	filter := cfg.Get("content_filter")
	if filter == "" {
		return "", nil
	}
	if err := v.checkFilter(cfg, filter); err != nil {
		return "", fmt.Errorf("content_filter (%s): %w", cfg.Where("content_filter"), err)
	}
	return filter, nil
}

// checkFilter says what is wrong with the destination of a filter.
func (v *view) checkFilter(cfg *postconf.Config, filter string) error {
	transport, nextHop, _ := strings.Cut(filter, ":")
	if nextHop == "" {
		nextHop = cfg.Get("default_filter_nexthop")
	}
	return v.checkRoute(transport, nextHop)
}

func filters(cfg *postconf.Config) mail.Filters {
	return mail.Filters{DefaultNextHop: cfg.Get("default_filter_nexthop"), MyHostname: cfg.Get("myhostname")}
}

// requeue is what becomes of a recipient of a message that an operator has put through the
// tables once more (postsuper -r): pickup(8) has it then, and it goes through the filter
// again.
func requeue(r *alias.Resolver, filter string, f mail.Filters) func(mail.Address, mail.Recipient) []mail.Recipient {
	return func(sender mail.Address, rcpt mail.Recipient) []mail.Recipient {
		rcpts := r.Reroute(sender, rcpt)
		for i := range rcpts {
			if filter != "" {
				rcpts[i].Dest = f.Dest(filter, rcpts[i].Final)
			}
		}
		return rcpts
	}
}
