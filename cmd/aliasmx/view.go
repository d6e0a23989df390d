package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"aliasmx/alias"
	"aliasmx/delivery"
	"aliasmx/internal/bounce"
	"aliasmx/internal/checks"
	"aliasmx/internal/greylist"
	"aliasmx/internal/local"
	"aliasmx/internal/mailauth"
	"aliasmx/internal/milter"
	"aliasmx/internal/mtasts"
	"aliasmx/internal/pickup"
	"aliasmx/internal/postconf"
	"aliasmx/internal/reputation"
	"aliasmx/internal/table"
	"aliasmx/internal/verify"
	"aliasmx/queue"
	"aliasmx/smtpd"
)

// view is one configuration with its tables open, and what every room is told of it.
// It is made whole or not at all, and never changes: a reload makes another.
type view struct {
	cfg       *postconf.Config
	tables    *tables
	keys      *keyring
	names     asker    // of the DNS, for all rooms
	sts       *stsView // hosting of MTA-STS policies; nil: none
	resolver  *alias.Resolver
	listeners []listenerView
	queue     queue.Params
	delivery  delivery.Options
	bounce    *bounce.Writer
	pickup    pickup.Options
	verify    verify.Params

	reputation reputation.Params
	greylist   greylist.Params

	shaping   *shaper                  // what sites bear
	tlsTables []tlsTable               // smtp_tls_policy_maps of each transport
	local     smtpd.Options            // for sendmail -bs
	nonSMTPD  *milter.Set              // non_smtpd_milters; nil: none
	aliases   *local.Options           // local delivery; nil: there is none
	checks    map[string]*checks.Rules // by the name of a cleanup service
	tlsrpt    *tlsSessions             // TLS reports; nil: no transport wants them

	stsFetcher *mtasts.Fetcher          // of MTA-STS policies; nil: nobody asks for them
	filters    map[string]*statusFilter // by the name of a transport
	best       *bestMX                  // nil: none
	authGate   *mailauth.Gate           // of all listeners; nil: none authenticates
	srs        *srsRewriter             // nil: srs_domain is empty
	dkim       *signingKeys             // nil: dkim_keys is empty
}

// listenerView is one service of master.cf.
type listenerView struct {
	where string
	addrs []string
	smtpd smtpd.Options
}

// newView opens the tables of a configuration and makes the rooms' options. It has no
// effect on anything else, so that "check" is the same as a start that stops there.
func newView(cfg *postconf.Config, log *slog.Logger, keys *keyring) (_ *view, err error) {
	v := &view{cfg: cfg, keys: keys}
	v.tables = &tables{cfg: cfg, opts: table.Options{
		Env: os.LookupEnv, Warn: func(msg string) { log.Warn(msg) }, NoUTF8: !cfg.Bool("smtputf8_enable"),
		Types: tableTypes(), RemoteCacheTime: cfg.Duration("remote_table_cache_time"),
	}}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	if v.resolver, err = buildResolver(v.tables, log); err != nil {
		return nil, err
	}
	if localDelivery(cfg) {
		o, err := v.tables.localOptions(v.resolver, log)
		if err != nil {
			return nil, err
		}
		v.aliases = &o
	}
	names, err := newNames(cfg, log)
	if err != nil {
		return nil, err
	}
	if v.srs, err = v.senderRewriting(names, log); err != nil {
		return nil, err
	}
	if v.dkim, err = v.signingKeys(); err != nil {
		return nil, err
	}
	listeners, err := cfg.Listeners()
	if err != nil {
		return nil, err
	}
	twins, err := stressTwins(listeners)
	if err != nil {
		return nil, err
	}
	for _, l := range twins.listeners {
		o, err := v.smtpdOptions(l.Config, names, log)
		if err != nil {
			return nil, err
		}
		if err := v.contentOptions(&o, l.Config); err != nil {
			return nil, err
		}
		if o.TLS, err = v.serverTLS(l.Config, v.tables, log); err != nil {
			return nil, err
		}
		if name, own := strings.CutPrefix(l.Config.Get("syslog_name"), cfg.Get("syslog_name")+"/"); own {
			o.LogName = name + "/smtpd"
		}
		if o.Door, err = v.door(&l, &o, names, log); err != nil {
			return nil, err
		}
		if err := v.logins(&o, &tables{cfg: l.Config, opts: v.tables.opts}, log); err != nil {
			return nil, err
		}
		if err := v.milters(&o, &tables{cfg: l.Config, opts: v.tables.opts}); err != nil {
			return nil, err
		}
		if err := v.authenticates(&o, &tables{cfg: l.Config, opts: v.tables.opts}, names); err != nil {
			return nil, err
		}
		if err := neverOpenRelay(l.Config, l.Where, &o); err != nil {
			return nil, err
		}
		if err := v.relaysForStrangers(l.Config, l.Where, &o); err != nil {
			return nil, err
		}
		v.listeners = append(v.listeners, listenerView{where: l.Where, addrs: l.Addrs, smtpd: o})
	}
	if err := v.frontDoors(listeners, twins, log); err != nil {
		return nil, err
	}
	if v.local, err = v.smtpdOptions(cfg, names, log); err != nil {
		return nil, err
	}
	picked, err := cfg.ForService("", "pickup")
	if err != nil {
		return nil, err
	}
	if err := v.contentOptions(&v.local, picked); err != nil {
		return nil, err
	}
	if err := v.authenticates(&v.local, &tables{cfg: cfg, opts: v.tables.opts}, names); err != nil {
		return nil, err
	}
	if set, err := milterSet(cfg, "non_smtpd_milters"); err != nil {
		return nil, err
	} else if set != nil {
		v.local.Submitted, v.nonSMTPD = set, set
	}
	v.local.SMTPUTF8Autodetect = smtputf8Autodetect(cfg, "sendmail")
	v.queue = queueParams(cfg)
	if v.shaping, err = v.tables.shaper(log); err != nil {
		return nil, err
	}
	if v.delivery, err = deliveryOptions(cfg, names, log); err != nil {
		return nil, err
	}
	if v.srs != nil && v.srs.enabled {
		v.delivery.SenderRewriter = v.srs
	}
	if cfg.Get("smtp_generic_maps") != "" {
		v.delivery.Generic = v.resolver.Generic
	}
	if cfg.Get("lmtp_generic_maps") != "" {
		v.delivery.LMTPGeneric = v.resolver.LMTPGeneric
	}
	if err := v.signing(names, log); err != nil {
		return nil, err
	}
	if err := v.sending(names, log); err != nil {
		return nil, err
	}
	if v.verify, err = v.verifyParams(log); err != nil {
		return nil, err
	}
	if v.reputation, err = v.reputationParams(); err != nil {
		return nil, err
	}
	if v.greylist, err = greylistParams(cfg); err != nil {
		return nil, err
	}
	if err := v.proveNextHops(); err != nil {
		return nil, err
	}
	templates, err := bounceTemplates(cfg, func(msg string) { log.Warn(msg) })
	if err != nil {
		return nil, err
	}
	v.bounce = bounce.New(bounce.Options{
		Templates:             templates,
		HideDestination:       cfg.Bool("bounce_hide_destination"),
		Unauthenticated:       cfg.Bool("bounce_unauthenticated"),
		Threaded:              cfg.Bool("enable_threaded_bounces"),
		MyHostname:            cfg.Get("myhostname"),
		MyOrigin:              cfg.Get("myorigin"),
		MailName:              cfg.Get("mail_name"),
		SizeLimit:             cfg.Int64("bounce_size_limit"),
		HeaderLimit:           cfg.Int64("header_size_limit"),
		DelayWarning:          cfg.Duration("delay_warning_time"),
		QueueLifetime:         cfg.Duration("maximal_queue_lifetime"),
		NotifyClasses:         cfg.List("notify_classes"),
		BounceRecipient:       cfg.Get("bounce_notice_recipient"),
		DelayRecipient:        cfg.Get("delay_notice_recipient"),
		ErrorRecipient:        cfg.Get("error_notice_recipient"),
		ObsoleteFrom:          cfg.Get("header_from_format") == "obsolete",
		DoubleBounceRecipient: cfg.Get("2bounce_notice_recipient"),
		DoubleBounceSender:    cfg.Get("double_bounce_sender"),
		Resolve:               v.resolver.AcceptUnlisted().Expand,
		Location:              time.Local,
		Log:                   log,
	})
	if err := v.pickupOptions(log); err != nil {
		return nil, err
	}
	v.names = names
	if v.sts, err = v.stsHost(log); err != nil {
		return nil, err
	}
	if err := v.provePorts(); err != nil {
		return nil, err
	}
	return v, v.pickupContent(picked)
}

func (v *view) close() { v.tables.close() }

func (v *view) pickupOptions(log *slog.Logger) error {
	cfg := v.cfg
	submit, err := userList(cfg, "authorized_submit_users")
	if err != nil {
		return err
	}
	v.pickup = pickup.Options{
		Recipients:              v.resolver.AcceptUnlisted(),
		MyHostname:              cfg.Get("myhostname"),
		MailName:                cfg.Get("mail_name"),
		MessageSizeLimit:        cfg.Int64("message_size_limit"),
		HopcountLimit:           cfg.Int("hopcount_limit"),
		HeaderSizeLimit:         cfg.Int("header_size_limit"),
		HeaderTokenLimit:        cfg.Int("header_address_token_limit"),
		RemoteHeaderDomain:      cfg.Get("remote_header_rewrite_domain"),
		AlwaysAddMissingHeaders: cfg.Bool("always_add_missing_headers"),
		HeaderFromObsolete:      cfg.Get("header_from_format") == "obsolete",
		MessageDropHeaders:      cfg.List("message_drop_headers"),
		DuplicateFilterLimit:    cfg.Int("duplicate_filter_limit"),
		EnableOriginalRecipient: cfg.Bool("enable_original_recipient"),
		SMTPUTF8Autodetect:      smtputf8Autodetect(cfg, "sendmail"),
		Authorized:              submit,
		Log:                     log,
	}
	v.submissions()
	if v.nonSMTPD != nil { // a nil set must stay a nil interface
		v.pickup.Milters = v.nonSMTPD
	}
	return nil
}

// smtputf8Autodetect tells whether mail of an origin gets SMTPUTF8 where it needs that
// and did not say so.
func smtputf8Autodetect(cfg *postconf.Config, origin string) bool {
	return cfg.Bool("smtputf8_enable") && slices.ContainsFunc(cfg.List("smtputf8_autodetect_classes"), func(class string) bool {
		return strings.EqualFold(class, origin) || strings.EqualFold(class, "all")
	})
}

// neverOpenRelay refuses a listener whose restrictions would pass mail on for
// strangers. Postfix asks for one restriction that refuses; here it must also come
// before whatever permits everybody.
func neverOpenRelay(cfg *postconf.Config, where string, o *smtpd.Options) error {
	if smtpd.GuardsRelay(o.Relay) || smtpd.GuardsRelay(o.Recipient) {
		return nil
	}
	return fmt.Errorf("smtpd_relay_restrictions (%s; listener at %s): nothing refuses mail to other domains, "+
		"which would be an open relay; add reject_unauth_destination to smtpd_relay_restrictions or smtpd_recipient_restrictions",
		cfg.Where("smtpd_relay_restrictions"), where)
}
