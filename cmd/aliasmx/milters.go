package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/milter"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
	"aliasmx/smtpd"
)

// milterConfig is what all milters of a configuration have in common.
func milterConfig(cfg *postconf.Config) (*milter.Config, milter.Settings, error) {
	c := &milter.Config{
		MyHostname:  cfg.Get("myhostname"),
		DaemonName:  cfg.Get("milter_macro_daemon_name"),
		Version:     cfg.Get("milter_macro_v"),
		HeaderLimit: cfg.Int("header_size_limit"),
		SoftBounce:  cfg.Bool("soft_bounce"),
		Lists: milter.MacroLists{
			Connect:     cfg.List("milter_connect_macros"),
			Helo:        cfg.List("milter_helo_macros"),
			Mail:        cfg.List("milter_mail_macros"),
			Rcpt:        cfg.List("milter_rcpt_macros"),
			Data:        cfg.List("milter_data_macros"),
			Unknown:     cfg.List("milter_unknown_command_macros"),
			EndOfHeader: cfg.List("milter_end_of_header_macros"),
			EndOfData:   cfg.List("milter_end_of_data_macros"),
		},
	}
	s := milter.Settings{
		ConnectTimeout: cfg.Duration("milter_connect_timeout"),
		CommandTimeout: cfg.Duration("milter_command_timeout"),
		ContentTimeout: cfg.Duration("milter_content_timeout"),
		QueueDirectory: cfg.Get("queue_directory"),
		Duration: func(value string) (time.Duration, error) {
			o, err := cfg.Override(map[string]string{"milter_connect_timeout": value}, cfg.Where("smtpd_milters"))
			if err != nil {
				return 0, fmt.Errorf("%q is no time", value)
			}
			return o.Duration("milter_connect_timeout"), nil
		},
	}
	parameter := "milter_macro_defaults"
	var err error
	if c.MacroDefaults, err = milter.ParseMacroDefaults(cfg.Get(parameter)); err == nil {
		parameter = "milter_protocol"
		s.Protocol, err = milter.ParseProtocol(cfg.Get(parameter))
	}
	if err == nil {
		parameter = "milter_default_action"
		s.DefaultAction, err = milter.ParseAction(cfg.Get(parameter))
	}
	if err != nil {
		return nil, s, fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
	}
	return c, s, nil
}

// milterSet reads a list of milters; nil: there are none.
func milterSet(cfg *postconf.Config, parameter string) (*milter.Set, error) {
	if strings.TrimSpace(cfg.Get(parameter)) == "" {
		return nil, nil
	}
	c, s, err := milterConfig(cfg)
	if err != nil {
		return nil, err
	}
	list, err := milter.Parse(cfg.Get(parameter), s)
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
	}
	return milter.New(c, list), nil
}

// noMilters is the value of smtpd_milters, or of an entry of smtpd_milter_maps, that says
// that there are to be none.
const noMilters = "DISABLE"

// milters tells a listener of its milters.
func (v *view) milters(o *smtpd.Options, t *tables) error {
	var all *milter.Set
	var err error
	if !strings.EqualFold(strings.TrimSpace(t.cfg.Get("smtpd_milters")), noMilters) {
		if all, err = milterSet(t.cfg, "smtpd_milters"); err != nil {
			return err
		}
	}
	maps := t.maps("smtpd_milter_maps")
	if t.err != nil || all == nil && maps == nil {
		return t.err
	}
	c, s, err := milterConfig(t.cfg)
	if err != nil {
		return err
	}
	chosen := chosenMilters{all: all, maps: maps, common: c, settings: s}
	o.Milters, o.Route = chosen.open, v.resolver.Dest
	return nil
}

// chosenMilters are smtpd_milters, and what smtpd_milter_maps has instead for a client.
type chosenMilters struct {
	all      *milter.Set // nil: none
	maps     table.Maps
	common   *milter.Config
	settings milter.Settings
}

func (m *chosenMilters) open(ctx context.Context, client netip.Addr, log *slog.Logger, macros mail.MilterMacros) smtpd.MilterSession {
	set := m.all
	if list, ok := m.listed(ctx, client, log); ok {
		if strings.EqualFold(strings.TrimSpace(list), noMilters) {
			return nil
		}
		own, err := milter.Parse(list, m.settings)
		if err != nil {
			// Whom the entry wanted asked nobody knows: the client is not let in unasked.
			log.Warn("smtpd_milter_maps: " + client.String() + ": " + err.Error())
			own = []milter.Milter{milter.Unusable(list)}
		}
		set = milter.New(m.common, own)
	}
	if set == nil {
		return nil
	}
	return set.Session(ctx, log, macros)
}

// listed looks a client up in smtpd_milter_maps. If they cannot answer it has no entry.
func (m *chosenMilters) listed(ctx context.Context, client netip.Addr, log *slog.Logger) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, milterMapTime)
	defer cancel()
	for _, t := range m.maps {
		list, found, err := t.Lookup(ctx, client.String())
		if err != nil {
			log.Warn(t.Name() + " lookup error: " + err.Error())
			return "", false
		}
		if found {
			return list, true
		}
	}
	return "", false
}

// milterMapTime bounds a look into smtpd_milter_maps.
const milterMapTime = 10 * time.Second
