package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/tlsrpt"
)

// TLS reports (RFC 8460): what deliveries tell goes to one Reporter, which is there as
// long as some transport has smtp_tlsrpt_enable. A reload keeps what it has counted, and
// so does its file when a reload or a stop ends it.

// tlsSessions is where the transports of one configuration tell of their sessions.
type tlsSessions struct {
	params tlsrpt.Params
	to     atomic.Pointer[tlsrpt.Reporter] // nil before the daemon runs
}

// tlsSession is one transport's way to it.
type tlsSession struct {
	*tlsSessions
	skipResumed bool // smtp_tlsrpt_skip_reused_handshakes
}

func (t tlsSession) Session(s mail.TLSSession) {
	if r := t.to.Load(); r != nil && !(s.Resumed && t.skipResumed) {
		r.Session(s)
	}
}

// reportsTLS has a transport tell of its sessions, if it is to. There are no reports about
// LMTP, as in Postfix.
func (v *view) reportsTLS(s *sender, o *delivery.Options) error {
	cfg := s.cfg
	if s.lmtp || !cfg.Bool("smtp_tlsrpt_enable") {
		return nil
	}
	if !o.DNSEnabled {
		return fmt.Errorf("smtp_tlsrpt_enable (%s): requires DNS, which smtp_dns_support_level or disable_dns_lookups has turned off", cfg.Where("smtp_tlsrpt_enable"))
	}
	if v.tlsrpt == nil {
		params, err := v.tlsrptParams(o.Resolver)
		if err != nil {
			return err
		}
		v.tlsrpt = &tlsSessions{params: params}
	}
	o.TLSReporter = tlsSession{v.tlsrpt, cfg.Bool("smtp_tlsrpt_skip_reused_handshakes")}
	return nil
}

// tlsrptParams are those that a reload changes.
func (v *view) tlsrptParams(names delivery.Resolver) (tlsrpt.Params, error) {
	cfg := v.cfg
	resolver, ok := names.(*dns.Resolver)
	if !ok {
		return tlsrpt.Params{}, errors.New("TLS reports: no resolver")
	}
	p := tlsrpt.Params{
		TXT: func(ctx context.Context, name string) ([]string, error) {
			txts, err := resolver.TXT(ctx, name)
			if errors.Is(err, dns.ErrNotFound) {
				err = nil
			}
			return txts, err
		},
		Addrs: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return resolver.Addrs(ctx, host, dns.Any)
		},
		Resolve:      v.resolver.AcceptUnlisted().Expand,
		Organization: cfg.Get("tlsrpt_organization_name"),
		Contact:      cfg.Get("tlsrpt_contact_info"),
		From:         cfg.Get("tlsrpt_from"),
		MyHostname:   cfg.Get("myhostname"),
		MailName:     cfg.Get("mail_name"),
		Node:         cfg.Int("queue_node"),
	}
	for _, parameter := range []string{"tlsrpt_contact_info", "tlsrpt_from"} {
		addr := cfg.Get(parameter)
		if parameter == "tlsrpt_from" && (addr == "" || addr == "<>") {
			continue
		}
		if err := tlsrpt.CheckAddress(addr); err != nil {
			return p, fmt.Errorf("%s (%s): %q: %w", parameter, cfg.Where(parameter), addr, err)
		}
	}
	if domain := mail.SplitAddress(p.Contact).Domain; !strings.Contains(domain, ".") {
		return p, fmt.Errorf("tlsrpt_contact_info (%s): %q: nobody elsewhere can write to %s; name an address that is yours",
			cfg.Where("tlsrpt_contact_info"), p.Contact, domain)
	}
	if p.Organization == "" {
		p.Organization = p.MyHostname
	}
	return p, nil
}

// wantsTLSReports tells whether some transport is to report.
func wantsTLSReports(cfg *postconf.Config) bool {
	if cfg.Bool("smtp_tlsrpt_enable") {
		return true
	}
	senders, _ := cfg.Senders() // newView has read them
	for _, s := range senders {
		if cfg := s.Config; s.Command == "smtp" && cfg.Bool("smtp_tlsrpt_enable") {
			return true
		}
	}
	return false
}

// tlsReports is the daemon's Reporter over reloads.
type tlsReports struct {
	mu       sync.Mutex // guards what follows
	reporter *tlsrpt.Reporter
	end      context.CancelFunc
	ended    chan struct{}
}

// follow starts the Reporter, changes it, or ends it, as a view wants it. The file it
// begins with is its own until it ends.
func (t *tlsReports) follow(d *daemon, v *view) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.tlsrpt == nil {
		t.stop()
		return
	}
	if t.reporter != nil {
		t.reporter.Update(v.tlsrpt.params)
	} else {
		t.reporter = tlsrpt.New(tlsrpt.Options{
			Queue:  d.queue,
			Log:    d.log.Logger,
			File:   filepath.Join(v.cfg.Get("data_directory"), "tlsrpt"),
			Params: v.tlsrpt.params,
		})
		var ctx context.Context
		ctx, t.end = context.WithCancel(context.Background())
		t.ended = make(chan struct{})
		go func(r *tlsrpt.Reporter, ended chan struct{}) {
			defer close(ended)
			r.Run(ctx)
		}(t.reporter, t.ended)
	}
	v.tlsrpt.to.Store(t.reporter)
}

// stop ends the Reporter; its file is written. The caller holds t.mu.
func (t *tlsReports) stop() {
	if t.reporter != nil {
		t.end()
		<-t.ended
		t.reporter = nil
	}
}

func (t *tlsReports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop()
}

// show is for the control socket: what was counted, or the report on a domain.
func (t *tlsReports) show(domain string) ([]byte, error) {
	t.mu.Lock()
	r := t.reporter
	t.mu.Unlock()
	if r == nil {
		return nil, errors.New("nothing is counted: smtp_tlsrpt_enable is no")
	}
	if domain == "" {
		return json.Marshal(r.Counts())
	}
	doc, err := r.ReportOn(domain)
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}
