package dkim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Who signs what, at delivery:
//
//   - mail whose author is vouched for (mail.Authentic) is signed by the author's domain, unless
//     a signature alone speaks for it: that goes on with it, and may leave open what ours would
//     cover, so that whoever has the message could have us sign another Subject;
//   - our own reports by the domain of their From field, or a parent;
//   - other mail by Options.Forwarding, if it leaves with a reverse-path of that domain and
//     nothing that this signs could be taken for its author's.
//
// A domain signs if it has keys, with all of them. If they cannot be had, the message waits:
// the author's domain may have told the world to refuse what is not signed.

// Options are what a Signer is told.
type Options struct {
	// Keys are those of a domain (an A-label, in lower case), or of a parent that signs for
	// it; none is no error. It may wait as long as ctx lives.
	Keys func(ctx context.Context, domain string) ([]Key, error)
	Fields
	Lifetime time.Duration // from t= to x=; 0: no x=
	// Forwarding signs forwarded mail; "": nobody does.
	Forwarding string
	Now        func() time.Time // nil: time.Now
	Log        *slog.Logger     // nil: nobody
}

// Signer is a delivery.Signer. It is safe for concurrent use.
type Signer struct {
	o    Options
	made made
}

// NewSigner makes a Signer.
func NewSigner(o Options) *Signer {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Forwarding = aLabel(o.Forwarding)
	return &Signer{o: o}
}

// failed is what becomes of a message that cannot be signed for now (RFC 3463: 4.7.5,
// cryptographic failure).
func failed(err error) error {
	return fmt.Errorf("%w: %v", &mail.Status{Code: 451, Enhanced: mail.Code(4, 7, 5), Text: "message signing failed"}, err)
}

// Sign makes the signatures of a message that leaves. They are made once for all
// destinations, as long as the bytes are the same.
func (s *Signer) Sign(ctx context.Context, m mail.Outgoing) ([]byte, error) {
	keys, err := s.keys(ctx, &m)
	if err != nil {
		return nil, failed(err)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	fields, err := s.made.get(ctx, keyOf(&m, keys[0].Domain), s.o.Now, func() ([]byte, error) { return s.make(&m, keys) })
	if errors.Is(err, errLongHeader) {
		// It would be so tomorrow.
		s.log(&m, slog.LevelWarn, "not signed by "+keys[0].Domain+": "+err.Error())
		return nil, nil
	}
	if err != nil {
		return nil, failed(err)
	}
	return fields, nil
}

func (s *Signer) log(m *mail.Outgoing, level slog.Level, text string) {
	s.o.Log.Log(context.Background(), level, text, mail.KeyQueueID, m.Env.ID.String())
}

// make signs a message.
func (s *Signer) make(m *mail.Outgoing, keys []Key) ([]byte, error) {
	body, err := m.Body.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var r io.Reader = io.MultiReader(bytes.NewReader(m.Prepend), body)
	if m.Env.Flags&mail.FlagStrayEnds != 0 {
		r = newAsSent(r)
	}
	fields, err := Make(r, keys, s.o.Fields, s.o.Now(), s.o.Lifetime)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		s.log(m, slog.LevelInfo, "DKIM-Signature field added (s="+k.Selector+", d="+k.Domain+")")
	}
	return fields, nil
}

// keys are those that a message is to be signed with.
func (s *Signer) keys(ctx context.Context, m *mail.Outgoing) ([]Key, error) {
	if m.Body == nil {
		return nil, nil
	}
	auth := &m.Env.Auth
	switch {
	case m.Env.Flags&mail.FlagNotice != 0:
		return s.ofNotice(ctx, m)
	case speaksForAuthor(m.Env):
		if keys, err := s.o.Keys(ctx, auth.Author); err != nil || len(keys) > 0 {
			return keys, err
		}
	}
	return s.ofForwarded(ctx, m)
}

// speaksForAuthor tells whether who has sent a message to us may speak for its author: it is a
// submission of his, or has come from a client of his domain.
func speaksForAuthor(env *mail.Envelope) bool {
	auth := &env.Auth
	if !auth.Vouched || auth.Author == "" {
		return false
	}
	path := aLabel(env.Sender.Domain)
	return !auth.Judged() || auth.SPF == mail.AuthPass && (within(path, auth.Author) || within(auth.Author, path))
}

// ofForwarded: an author that nobody knows could be anybody.
func (s *Signer) ofForwarded(ctx context.Context, m *mail.Outgoing) ([]Key, error) {
	domain, auth := s.o.Forwarding, &m.Env.Auth
	if domain == "" || aLabel(m.Sender.Domain) != domain || auth.Author == "" {
		return nil, nil
	}
	keys, err := s.o.Keys(ctx, domain)
	if err != nil || len(keys) == 0 || !speaksForAuthor(m.Env) && couldAlign(auth.Author, keys[0].Domain) {
		return nil, err
	}
	return keys, nil
}

// ofNotice: who speaks in a report of ours are we.
func (s *Signer) ofNotice(ctx context.Context, m *mail.Outgoing) ([]Key, error) {
	domain, err := authorOf(m.Body)
	if err != nil {
		return nil, err
	}
	for strings.Contains(domain, ".") {
		if keys, err := s.o.Keys(ctx, domain); err != nil || len(keys) > 0 {
			return keys, err
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return nil, nil
}

// authorOf is the domain of a report's From field; "" where it has none, or several.
func authorOf(b mail.Body) (string, error) {
	r, err := b.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	fields, err := readHeader(bufio.NewReader(r))
	if errors.Is(err, errLongHeader) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	from := makeIndex(fields)["from"]
	if len(from) != 1 {
		return "", nil
	}
	list, err := netmail.ParseAddressList(oneLine(fields[from[0]].value()))
	if err != nil || len(list) != 1 {
		return "", nil
	}
	_, domain := cutLast(list[0].Address)
	return aLabel(domain), nil
}
