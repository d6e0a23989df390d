package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/srs"
	"aliasmx/internal/postconf"
)

// SRS as the configuration has it: forwarded mail leaves with a sender at srs_domain, and
// bounces to that come back to the sender.

// srsCodec reads the secrets; nil when srs_domain is empty.
func srsCodec(cfg *postconf.Config, now func() time.Time) (*srs.Codec, error) {
	domain := cfg.Get("srs_domain")
	if domain == "" {
		return nil, nil
	}
	secrets, err := srsSecrets(cfg)
	if err != nil {
		return nil, fmt.Errorf("srs_secrets_file (%s): %w", cfg.Where("srs_secrets_file"), err)
	}
	if cfg.Int("srs_hash_minimum") > cfg.Int("srs_hash_length") {
		return nil, fmt.Errorf("srs_hash_minimum (%s): it is above srs_hash_length: no signature of ours would be believed; set it to at most %d",
			cfg.Where("srs_hash_minimum"), cfg.Int("srs_hash_length"))
	}
	if cfg.Duration("srs_max_age")%(24*time.Hour) != 0 {
		return nil, fmt.Errorf("srs_max_age (%s): a token knows its day, and no more; write whole days, as in 21d", cfg.Where("srs_max_age"))
	}
	codec, err := srs.New(srs.Options{
		Domain: domain, Secrets: secrets, Separator: cfg.Get("srs_separator")[0],
		HashLength: cfg.Int("srs_hash_length"), HashMinimum: cfg.Int("srs_hash_minimum"),
		MaxAge: cfg.Duration("srs_max_age"), Now: now,
	})
	if err != nil {
		return nil, fmt.Errorf("srs_domain (%s): %w; name a domain that is used for nothing else, such as srs.example.net", cfg.Where("srs_domain"), err)
	}
	return codec, nil
}

// srsSecrets are the secrets of srs_secrets_file. Whoever knows one can have us relay mail to
// any address, and has it look like a bounce.
func srsSecrets(cfg *postconf.Config) ([]string, error) {
	file := cfg.Get("srs_secrets_file")
	if file == "" {
		return nil, errors.New("srs_domain is set, and there is no file of secrets; write one of 32 random characters to a file of mode 0600 and name it here")
	}
	return secretsIn(file)
}

// srsReturns tells the alias room what the addresses at srs_domain stand for.
type srsReturns struct{ codec *srs.Codec }

func (s srsReturns) Ours(domain string) bool { return s.codec.Ours(domain) }

func (s srsReturns) IsReturn(a mail.Address) bool { return srs.Tagged(a) }

// maxSRSHops bounds the tokens in a token: SRS1 that leads to ourselves, where a chain of
// forwarders has come round to us, and the SRS0 in it.
const maxSRSHops = 2

func (s srsReturns) Return(a mail.Address) (mail.Address, error) {
	for range maxSRSHops {
		to, err := s.codec.Reverse(a)
		if err != nil {
			return mail.Address{}, srsRefusal(err)
		}
		if a = to; !s.codec.Ours(a.Domain) {
			return a, nil
		}
	}
	return mail.Address{}, srsRefusal(srs.ErrMalformed)
}

// srsRefusal is what RCPT is told of an address that leads to nobody.
func srsRefusal(err error) *mail.Status {
	text := "malformed SRS address"
	switch {
	case errors.Is(err, srs.ErrForged):
		text = "SRS address is not one of ours: wrong signature"
	case errors.Is(err, srs.ErrExpired):
		text = "SRS address has expired"
	}
	return &mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1), Text: "Recipient address rejected: " + text}
}

// unreadableReturns stand in where a command is run by somebody who may not read the secrets:
// everything but the addresses at srs_domain can still be explained.
type unreadableReturns struct{ srsReturns }

func (unreadableReturns) Return(mail.Address) (mail.Address, error) {
	return mail.Address{}, &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "the secrets of srs_domain cannot be read by this user"}
}

// returns opens srs_domain for the alias room; it stays nil where there is none.
func (t *tables) returns() error {
	codec, err := srsCodec(t.cfg, t.now)
	if errors.Is(err, fs.ErrPermission) && t.lenient {
		t.opts.Warn(err.Error())
		if codec, err = srs.New(srs.Options{Domain: t.cfg.Get("srs_domain"), Secrets: []string{"none"}}); err == nil {
			t.returned = unreadableReturns{srsReturns{codec}}
		}
		return err
	}
	if codec != nil {
		t.codec, t.returned = codec, srsReturns{codec}
	}
	return err
}

// senderRewriting makes what rewrites senders, and proves that it may. nil: srs_domain is
// empty.
func (v *view) senderRewriting(names *dns.Resolver, log *slog.Logger) (*srsRewriter, error) {
	cfg, codec := v.cfg, v.tables.codec
	if codec == nil {
		return nil, nil
	}
	w := &srsRewriter{
		codec: codec, enabled: cfg.Bool("srs_enable"), resolver: v.resolver,
		bounces: &v.keys.bounces, limit: cfg.Int("srs_bounce_rate_limit"), unit: cfg.Duration("anvil_rate_time_unit"), now: time.Now,
		log: log,
	}
	if l := v.tables.domains("srs_exclude"); l != nil {
		w.excluded = l.Match
	}
	if v.tables.err != nil {
		return nil, v.tables.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), srsProofTime)
	defer cancel()
	if err := v.proveSRSDomain(ctx, names, log); err != nil {
		return nil, err
	}
	if !cfg.Bool("mailauth_enable") {
		log.Warn(fmt.Sprintf("mailauth_enable (%s): no, but srs_domain is set: strangers can have their mail leave from here in the name of our domains; set it to yes", cfg.Where("mailauth_enable")))
	}
	return w, nil
}

// srsWarnings are what is missing around srs_domain.
func (v *view) srsWarnings() (list []string) {
	if v.srs == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), explainTime)
	defer cancel()
	postmaster := mail.Address{Local: "postmaster", Domain: v.tables.codec.Domain()}
	rcpts, err := v.resolver.Expand(ctx, mail.RcptRequest{Addr: postmaster})
	if err == nil && !slices.ContainsFunc(rcpts, func(r mail.Recipient) bool { return r.Dest.Transport() != "error" }) {
		list = append(list, fmt.Sprintf("srs_domain (%s): %s leads nowhere; add it to virtual_alias_maps: a domain that takes mail must have one (RFC 5321 section 4.5.1)",
			v.cfg.Where("srs_domain"), postmaster))
	}
	if !v.srs.enabled {
		list = append(list, fmt.Sprintf("srs_enable (%s): senders are not rewritten; srs_domain only takes bounces of earlier mail", v.cfg.Where("srs_enable")))
	}
	return list
}
