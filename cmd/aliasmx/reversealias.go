package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"

	"aliasmx/alias"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/reversealias"
)

// Reverse aliases as the configuration has them: who owns an alias can answer in its name
// (docs/reverse-alias.md).

// reverseCodec reads the secrets; nil when reverse_alias_secrets_file is empty.
func reverseCodec(cfg *postconf.Config) (*reversealias.Codec, error) {
	const name = "reverse_alias_secrets_file"
	file := cfg.Get(name)
	if file == "" {
		return nil, nil
	}
	if !cfg.Bool("mailauth_enable") {
		return nil, fmt.Errorf("%s (%s): nobody would find out whether the owner of an alias is who he says he is; set mailauth_enable = yes", name, cfg.Where(name))
	}
	secrets, err := secretsIn(file)
	var codec *reversealias.Codec
	if err == nil {
		codec, err = reversealias.New(secrets)
	}
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", name, cfg.Where(name), err)
	}
	return codec, nil
}

// reverseAliases opens reverse aliases for the alias room; t.reverse stays nil where there
// are none, and where a command is run by somebody who may not read the secrets.
func (t *tables) reverseAliases() (err error) {
	t.reverse, err = reverseCodec(t.cfg)
	if errors.Is(err, fs.ErrPermission) && t.lenient {
		t.opts.Warn(err.Error())
		return nil
	}
	return err
}

var extensionField = regexp.MustCompile(`^[Xx]-[A-Za-z0-9-]{1,60}$`)

// replyFields is the signer that adds reverse_alias_field; nil: nobody does.
func (v *view) replyFields(log *slog.Logger) (*replyField, error) {
	const parameter = "reverse_alias_field"
	name := v.cfg.Get(parameter)
	if v.tables.reverse == nil || name == "" {
		return nil, nil
	}
	// Any other field says something already, perhaps with a signature over it.
	if !strings.EqualFold(name, "Reply-To") && !extensionField.MatchString(name) {
		return nil, fmt.Errorf("%s (%s): %q is neither Reply-To nor the name of a field of our own, as X-Reply-Alias is", parameter, v.cfg.Where(parameter), name)
	}
	return &replyField{codec: v.tables.reverse, name: name, resolver: v.resolver, log: log.With(mail.KeyDaemon, "smtp")}, nil
}

// replyField is a delivery.Signer that tells the owner of an alias, on top of what is
// forwarded, which address to answer to.
type replyField struct {
	codec    *reversealias.Codec
	name     string // reverse_alias_field
	resolver *alias.Resolver
	log      *slog.Logger
}

// Sign is the field, or nothing where there is nobody to answer to.
func (f *replyField) Sign(ctx context.Context, m mail.Outgoing) ([]byte, error) {
	at, ok, err := f.aliasOf(ctx, &m)
	if err != nil || !ok {
		return nil, err
	}
	to, given, ok, err := f.correspondent(&m)
	if err != nil || !ok {
		return nil, err
	}
	name := f.name
	if given && strings.EqualFold(name, "Reply-To") {
		name = "X-Reply-Alias" // there may be one Reply-To, and that is the author's
	}
	field, err := f.codec.Field(name, mail.Reply{Alias: at, Correspondent: to})
	if errors.Is(err, reversealias.ErrTooLong) {
		f.log.Info("no "+f.name+" field: "+err.Error(), mail.KeyQueueID, m.Env.ID.String())
		return nil, nil
	}
	return field, err
}

// aliasOf is the one alias that a transaction's recipients have come by.
func (f *replyField) aliasOf(ctx context.Context, m *mail.Outgoing) (mail.Address, bool, error) {
	if m.Env.Flags&mail.FlagNotice != 0 || len(m.Rcpts) == 0 {
		return mail.Address{}, false, nil
	}
	first := &m.Env.Rcpts[m.Rcpts[0]]
	for _, i := range m.Rcpts {
		if r := &m.Env.Rcpts[i]; r.Orig != first.Orig || r.Orig == r.Final {
			return mail.Address{}, false, nil
		}
	}
	at := f.resolver.Complete(first.Orig)
	if _, reply := f.codec.Parse(at); reply {
		return mail.Address{}, false, nil
	}
	class, err := f.resolver.Class(ctx, at)
	return at, class == mail.ClassVirtualAlias, err
}

// correspondent is whom an answer goes to: as the header says, else the sender. given tells
// that a Reply-To field is there.
func (f *replyField) correspondent(m *mail.Outgoing) (a mail.Address, given, ok bool, err error) {
	body, err := m.Body.Open()
	if err != nil {
		return mail.Address{}, false, false, err
	}
	defer body.Close()
	a, given, ok = reversealias.Correspondent(io.LimitReader(body, reversealias.MaxHeader))
	if ok {
		return a, given, true, nil
	}
	return m.Env.Sender, given, !m.Env.Sender.IsNull() && m.Env.Sender.Domain != "", nil
}

// reverseAliasCommand prints the address that the owner of an alias writes to.
func reverseAliasCommand(args []string, env environ) int {
	var flags struct {
		Config        string `short:"c" placeholder:"DIR" help:"Configuration directory."`
		Alias         string `arg:"" help:"Alias to write from."`
		Correspondent string `arg:"" help:"Whom to write to."`
	}
	if done, status := parseFlags("reverse-alias", "Print the address by which the owner of an alias writes to somebody in its name.", &flags, args, env); done {
		return status
	}
	var r mail.Reply
	for text, a := range map[string]*mail.Address{flags.Alias: &r.Alias, flags.Correspondent: &r.Correspondent} {
		path, rest, err := mail.ParsePath("<"+strings.Trim(text, "<>")+">", true)
		if err != nil || rest != "" || path.Local == "" || path.Domain == "" {
			return fail(env, "aliasmx", exitUsage, fmt.Errorf("%q is not an address: write user@domain", text))
		}
		*a = path.Address
	}
	cfg, err := loadConfig(configDir(flags.Config, env), env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	codec, err := reverseCodec(cfg)
	if err == nil && codec == nil {
		err = errors.New("there are no reverse aliases: reverse_alias_secrets_file is empty")
	}
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	a, err := codec.Make(r)
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	fmt.Fprintln(env.stdout, a)
	return exitOK
}
