package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
	"aliasmx/smtpd"
)

// Who messages are from: the Verifier that a configuration asks for, and how smtpd has it.

// authenticator is a Verifier as smtpd wants it.
type authenticator struct{ *mailauth.Verifier }

func (a authenticator) Begin(ctx context.Context, r mail.AuthRequest) smtpd.Authentication {
	return a.Verifier.Begin(ctx, r)
}

// authenticates has a listener find out who messages are from, if it is to.
func (v *view) authenticates(o *smtpd.Options, t *tables, names *dns.Resolver) error {
	if !t.cfg.Bool("mailauth_enable") && t.cfg.Get("dkim_keys") == "" {
		return nil
	}
	defer func() { v.tables.opened = append(v.tables.opened, t.opened...) }()
	verifier, err := v.verifier(t, names, time.Now)
	if err == nil {
		o.Authenticator = authenticator{verifier}
	}
	return err
}

// submissions has mail of the sendmail command be known by its author.
func (v *view) submissions() {
	local, ok := v.local.Authenticator.(authenticator)
	if !ok {
		return
	}
	v.pickup.Author = func(ctx context.Context, sender mail.Address, body mail.Body) (mail.Authentic, error) {
		return local.Submitted(ctx, mail.AuthRequest{Sender: sender, Trusted: true}, body)
	}
}

// verifier makes a Verifier of the parameters.
func (v *view) verifier(t *tables, names *dns.Resolver, now func() time.Time) (*mailauth.Verifier, error) {
	o, err := verifierOptions(t, names, now)
	if err != nil {
		return nil, err
	}
	o.Hosted = func(ctx context.Context, domain string) (bool, error) {
		class, err := v.resolver.Class(ctx, mail.Address{Local: "postmaster", Domain: domain})
		return class != mail.ClassDefault, err
	}
	if o.HeloNames, err = v.heloNames(); err != nil {
		return nil, err
	}
	if v.dkim != nil {
		o.Signs = v.dkim.signs
	}
	if o.OtherIDs, err = v.authservIDs(); err != nil {
		return nil, err
	}
	o.Keeps, o.Sources = v.keepsSender, v.sources
	if v.authGate == nil {
		v.authGate = mailauth.NewGate(runtime.GOMAXPROCS(0))
	}
	o.Gate = v.authGate
	return mailauth.New(o), nil
}

// authservIDs are those of all listeners.
func (v *view) authservIDs() ([]string, error) {
	listeners, err := v.cfg.Listeners()
	if err != nil {
		return nil, err
	}
	ids := []string{v.cfg.Get("authserv_id")}
	for _, l := range listeners {
		ids = append(ids, l.Config.Get("authserv_id"))
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// heloNames are what we call ourselves, in all transports.
func (v *view) heloNames() ([]string, error) {
	senders, err := v.cfg.Senders()
	if err != nil {
		return nil, err
	}
	names := []string{v.cfg.Get("myhostname"), v.cfg.Get("smtp_helo_name"), v.cfg.Get("lmtp_lhlo_name")}
	for _, s := range senders {
		if s.Own {
			names = append(names, s.Config.Get("smtp_helo_name"), s.Config.Get("lmtp_lhlo_name"))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// keepsSender tells whether forwarded mail leaves with a sender as it came, also where it has
// proven nothing: with SRS it does not (srsRewriter). It is asked when the view is whole.
func (v *view) keepsSender(context.Context, string) (bool, error) {
	return v.srs == nil || !v.srs.enabled, nil
}

// verifierOptions is what the parameters say, but for what is hosted.
func verifierOptions(t *tables, names *dns.Resolver, now func() time.Time) (mailauth.Options, error) {
	cfg := t.cfg
	o := mailauth.Options{
		Resolver: names, MyHostname: cfg.Get("myhostname"), AuthservID: cfg.Get("authserv_id"),
		SPF: cfg.Bool("spf_verify"), DKIM: cfg.Bool("dkim_verify"), ARC: cfg.Bool("arc_verify"), DMARC: cfg.Bool("dmarc_verify"),
		MaxVerifications: cfg.Int("dkim_max_verifications"), Timeout: cfg.Duration("mailauth_timeout"), Now: now,
		ResultsHeader: cfg.Bool("authentication_results_header"), ReceivedSPF: cfg.Bool("received_spf_header"),
		RejectAtRcpt:   cfg.Bool("spf_reject_at_rcpt"),
		Subdomains:     t.listOptions("smtpd_access_maps").Subdomains == table.ParentSubdomains,
		TrustedSealers: cfg.List("arc_trusted_sealers"),
		SenderDomain:   cfg.Get("srs_domain"),
		Policy:         authPolicy(cfg),

		SubmissionsOnly: !cfg.Bool("mailauth_enable"), // to be signed, they have to be known
	}
	if strings.ContainsAny(o.AuthservID, " \t;()\"") {
		return o, fmt.Errorf("authserv_id (%s): %q is no name; write a host or domain name", cfg.Where("authserv_id"), o.AuthservID)
	}
	if l := t.addrs("mailauth_known_forwarders"); l != nil {
		o.KnownForwarders = l
	}
	if maps := t.maps("mailauth_policy_maps"); maps != nil {
		if err := proveAuthPolicy(maps); err != nil {
			return o, fmt.Errorf("mailauth_policy_maps (%s): %w", cfg.Where("mailauth_policy_maps"), err)
		}
		o.Overrides = authOverrides(maps)
	}
	return o, t.err
}

// authPolicy reads the actions; what they can be is known to postconf.
func authPolicy(cfg *postconf.Config) mailauth.Policy {
	action := func(parameter string) mailauth.Action {
		a, _ := mailauth.ParseAction(cfg.Get(parameter))
		return a
	}
	return mailauth.Policy{
		SPFFail:         action("spf_fail_action"),
		SPFTempError:    action("spf_temperror_action"),
		DMARCReject:     action("dmarc_reject_action"),
		DMARCQuarantine: action("dmarc_quarantine_action"),
		DMARCTempError:  action("dmarc_temperror_action"),
		NoAuthor:        action("dmarc_no_author_action"),
		Hosted:          action("hosted_author_action"),
		HostedTempError: action("hosted_author_temperror_action"),
	}
}

// authOverrides are tables, as a Verifier asks them.
type authOverrides table.Maps

func (m authOverrides) Lookup(ctx context.Context, key string) (string, bool, error) {
	value, _, found, err := table.Maps(m).Lookup(ctx, key)
	return value, found, err
}

// proveAuthPolicy refuses tables with an entry that nobody can read. Only tables that know
// all their values are looked at, as for header_checks.
func proveAuthPolicy(maps table.Maps) (wrong error) {
	for _, m := range maps {
		valued, ok := m.(table.Valued)
		if !ok {
			continue
		}
		err := valued.Values(func(value table.Value) bool {
			if !value.Open {
				if _, err := mailauth.ParseOverride(value.Text); err != nil {
					wrong = fmt.Errorf("%s: %w", cmp.Or(value.Where, m.Name()), err)
				}
			}
			return wrong == nil
		})
		if err = errors.Join(wrong, err); err != nil {
			return err
		}
	}
	return nil
}
