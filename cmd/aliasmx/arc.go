package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/arc"
	"aliasmx/internal/postconf"
)

// Sealing of forwarded mail (docs/arc.md).

// arcSigner is the delivery.Signer that seals.
type arcSigner struct {
	sealer           *arc.Sealer
	selector, domain string
	log              *slog.Logger
}

// arcSealing is the sealing that a configuration asks for; nil when arc_sign_domain is
// empty.
func arcSealing(cfg *postconf.Config, log *slog.Logger) (*arcSigner, error) {
	domain, selector, file := cfg.Get("arc_sign_domain"), cfg.Get("arc_sign_selector"), cfg.Get("arc_key_file")
	where := func(name string) string { return name + " (" + cfg.Where(name) + ")" }
	switch {
	case domain == "":
		return nil, nil
	case !cfg.Bool("mailauth_enable"):
		return nil, fmt.Errorf("%s: a seal says what we have found out of a message, and nothing is found out; set mailauth_enable = yes", where("arc_sign_domain"))
	case selector == "":
		return nil, fmt.Errorf("%s: there is no key to seal with; set arc_sign_selector to the name that it is published by", where("arc_sign_domain"))
	case file == "":
		return nil, fmt.Errorf("%s: there is no key to seal with; set arc_key_file to the file of the private key", where("arc_sign_domain"))
	}
	key, err := arcKey(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where("arc_key_file"), err)
	}
	sealer, err := arc.NewSealer(arc.SealerOptions{Domain: domain, Selector: selector, Key: key, AuthservID: cfg.Get("authserv_id")})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where("arc_sign_domain"), err)
	}
	return &arcSigner{sealer, selector, domain, log.With(mail.KeyDaemon, "smtp")}, nil
}

// Sign seals what an alias forwards. It says nothing of its own: the results and the status
// of the chain are those that came with the message.
func (s *arcSigner) Sign(ctx context.Context, m mail.Outgoing) ([]byte, error) {
	if m.Env.Flags&mail.FlagNotice != 0 || !forwarded(&m) {
		return nil, nil
	}
	body, err := m.Body.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	seal, err := s.sealer.Seal(ctx, io.MultiReader(bytes.NewReader(m.Prepend), body), m.Env.Auth.Results, m.Env.Auth.ARC)
	if err != nil {
		return nil, fmt.Errorf("ARC: %w", err)
	}
	id := slog.String(mail.KeyQueueID, m.Env.ID.String())
	if seal.Fields == nil {
		s.log.Info("ARC-Seal field not added: "+seal.Reason, id)
		return nil, nil
	}
	s.log.Info(fmt.Sprintf("ARC-Seal field added (i=%d, cv=%s, s=%s, d=%s)", seal.Instance, seal.CV, s.selector, s.domain), id)
	return seal.Fields, nil
}

// forwarded tells whether a transaction has a recipient that is not the address that the
// message was sent to.
func forwarded(m *mail.Outgoing) bool {
	for _, i := range m.Rcpts {
		if m.Env.Rcpts[i].OrigTo() != "" {
			return true
		}
	}
	return false
}
