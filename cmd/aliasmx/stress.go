package main

import (
	"log/slog"
	"slices"
	"strings"

	"aliasmx/internal/postconf"
	"aliasmx/smtpd"
)

// Postfix starts its servers anew with stress=yes when all of them are busy, and defaults
// or an operator's ${stress?{..}:{..}} then have other values (STRESS_README). Here each
// listener has options for both from the start. Where stress decides about numbers alone,
// as it does by default, the tables are opened once.

// stressTwin is what a listener is under stress.
type stressTwin struct {
	cfg *postconf.Config // nil: the operator has set stress himself, and so it never changes
	at  int              // among the listeners that options were made for; -1: only numbers differ
}

// twins are the listeners to make options for: those of the configuration, and behind
// each the one it is under stress, if that takes options of its own.
type twins struct {
	listeners []postconf.Listener
	of        []stressTwin // for each of the configuration
}

// underStress are what stress decides about that needs no options of its own. The rest
// concerns what connections share.
var underStress = []string{
	"stress", "smtpd_timeout", "smtpd_starttls_timeout", "smtpd_hard_error_limit", "smtpd_junk_command_limit",
	"smtpd_per_request_deadline", "address_verify_poll_count",
}

func stressTwins(listeners []postconf.Listener) (twins, error) {
	var all twins
	for _, l := range listeners {
		all.listeners = append(all.listeners, l)
		twin := stressTwin{at: -1}
		if !l.Config.Set("stress") {
			var err error
			if twin.cfg, err = l.Config.Override(map[string]string{"stress": "yes"}, "under stress"); err != nil {
				return all, err
			}
			if differUnderStress(l.Config, twin.cfg) {
				twin.at = len(all.listeners)
				l.Config = twin.cfg
				all.listeners = append(all.listeners, l)
			}
		}
		all.of = append(all.of, twin)
	}
	return all, nil
}

// differUnderStress tells whether more differs than underStress.
func differUnderStress(calm, stressed *postconf.Config) bool {
	differs := func(name string) bool { return calm.Get(name) != stressed.Get(name) }
	return slices.ContainsFunc(postconf.Params(), func(p postconf.Param) bool {
		return p.Kind != postconf.Unsupported && p.Kind != postconf.Plumbing && !strings.HasPrefix(p.Name, "postscreen_") &&
			!slices.Contains(underStress, p.Name) && differs(p.Name)
	}) || slices.ContainsFunc(calm.List("smtpd_restriction_classes"), differs)
}

// frontDoors gives the listeners what stands before their servers, and the options they
// have under stress.
func (v *view) frontDoors(listeners []postconf.Listener, all twins, log *slog.Logger) error {
	made := v.listeners
	v.listeners = nil
	next := 0
	for i, l := range listeners {
		twin, lv := all.of[i], made[next]
		next++
		t := &tables{cfg: l.Config, opts: v.tables.opts}
		if l.Postscreen != nil {
			t.cfg = l.Postscreen
			if l.Config.Get("smtpd_upstream_proxy_protocol") != "" {
				log.Warn("ignoring non-empty smtpd_upstream_proxy_protocol setting behind postscreen")
			}
		}
		byScreen := l.Postscreen != nil
		if !byScreen && l.Screen != nil && l.Config.Get("smtpd_upstream_proxy_protocol") == "" {
			byScreen = true // postscreen_enable: either name means the same
		}
		proxies, err := upstream(t, byScreen)
		v.tables.opened = append(v.tables.opened, t.opened...)
		if err != nil {
			return err
		}
		lv.smtpd.Upstream, lv.smtpd.Service = proxies, l.Service
		switch {
		case twin.at >= 0:
			stressed := made[next].smtpd
			stressed.Upstream, stressed.Service, stressed.Door = proxies, l.Service, nil
			lv.smtpd.UnderStress = &stressed
			next++
		case twin.cfg != nil:
			stressed := lv.smtpd
			stressed.Door = nil // one door for both
			hurry(&stressed, twin.cfg)
			lv.smtpd.UnderStress = &stressed
		}
		v.listeners = append(v.listeners, lv)
	}
	return nil
}

// hurry sets the numbers that stress decides about.
func hurry(o *smtpd.Options, cfg *postconf.Config) {
	o.Stress = cfg.Get("stress")
	o.Timeout = cfg.Duration("smtpd_timeout")
	o.HardErrorLimit = cfg.Int("smtpd_hard_error_limit")
	o.JunkCommandLimit = cfg.Int("smtpd_junk_command_limit")
	o.PerRequestDeadline = cfg.Bool("smtpd_per_request_deadline")
	if o.TLS != nil {
		t := *o.TLS
		t.Timeout = cfg.Duration("smtpd_starttls_timeout")
		o.TLS = &t
	}
}
