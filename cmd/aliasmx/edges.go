package main

import (
	"fmt"

	"aliasmx/internal/table"
	"aliasmx/smtpd"
)

// The edges of an SMTP server: what a client may send and how long it may take, and who
// is believed about who the client is.

// edges are the options that postconf(5) has for odd clients.
func edges(o *smtpd.Options, t *tables) error {
	cfg := t.cfg
	o.PerRequestDeadline = cfg.Bool("smtpd_per_request_deadline")
	o.StatusUpdateTime = cfg.Duration("anvil_status_update_time")
	o.ClientPortLogging = cfg.Bool("smtpd_client_port_logging")
	o.HideClientSession = cfg.Bool("smtpd_hide_client_session")
	o.BareNewlineRejectCode = cfg.Int("smtpd_forbid_bare_newline_reject_code")
	if l := t.addrs("smtpd_forbid_bare_newline_exclusions"); l != nil {
		o.BareNewlineExclusions = l
	}
	if l := t.domains("smtpd_noop_commands"); l != nil {
		o.NoopCommands = l
	}
	if cfg.Set("smtpd_forbidden_commands") { // the default is built in
		if l := t.domains("smtpd_forbidden_commands"); l != nil {
			o.Forbidden = l
		}
	}
	for _, m := range t.maps("smtpd_discard_ehlo_keyword_address_maps") {
		o.DiscardEhloKeywordMaps = append(o.DiscardEhloKeywordMaps, m)
	}
	for _, m := range t.maps("smtpd_reject_filter_maps") {
		o.RejectFilterMaps = append(o.RejectFilterMaps, m)
	}
	if spec := cfg.Get("smtpd_command_filter"); spec != "" && t.err == nil {
		m, err := table.Open(spec, t.opts)
		if err != nil {
			t.failed("smtpd_command_filter", err)
			return t.err
		}
		t.opened = append(t.opened, m)
		o.CommandFilter = m
	}
	return t.err
}

// upstream says which proxies stand before a listener, and before its postscreen.
func upstream(t *tables, screened bool) (*smtpd.Upstream, error) {
	cfg := t.cfg
	protocol, timeout := "smtpd_upstream_proxy_protocol", "smtpd_upstream_proxy_timeout"
	if screened {
		protocol, timeout = "postscreen_upstream_proxy_protocol", "postscreen_upstream_proxy_timeout"
	}
	if cfg.Get(protocol) == "" {
		return nil, nil
	}
	hosts := t.believed("smtpd_upstream_proxy_hosts", "the PROXY protocol")
	switch {
	case t.err != nil:
		return nil, t.err
	case hosts == nil:
		return nil, fmt.Errorf("%s (%s): whoever connects could say that he is somebody else; "+
			"set smtpd_upstream_proxy_hosts to the addresses of the proxies", protocol, cfg.Where(protocol))
	}
	return &smtpd.Upstream{Hosts: hosts, Timeout: cfg.Duration(timeout)}, nil
}
