package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"aliasmx/alias"
	"aliasmx/delivery"
	"aliasmx/internal/local"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/reputation"
	"aliasmx/internal/table"
	"aliasmx/queue"
)

// Local delivery (aliases(5)) is there when mydestination names a domain and
// local_transport is local. Otherwise alias_maps is not even opened.

func localDelivery(cfg *postconf.Config) bool {
	transport, _, _ := strings.Cut(cfg.Get("local_transport"), ":")
	return transport == "local" && len(cfg.List("mydestination")) > 0
}

// aliasMaps opens alias_maps. A default that is not there is no mistake of anybody's:
// then no local name exists.
func (t *tables) aliasMaps() table.Maps {
	list := t.cfg.List("alias_maps")
	if t.locals != nil {
		return *t.locals
	}
	if t.err != nil || !localDelivery(t.cfg) || len(list) == 0 {
		return nil
	}
	t.locals = new(table.Maps)
	o := t.opts
	o.Aliases = true
	m, err := table.OpenMaps(list, o)
	switch {
	case err == nil:
		t.opened = append(t.opened, m)
		*t.locals = m
		return m
	case !t.cfg.Set("alias_maps") && errors.Is(err, fs.ErrNotExist):
		if o.Warn != nil {
			o.Warn(fmt.Sprintf("alias_maps: %v; no local name is known", err))
		}
		return nil
	}
	t.failed("alias_maps", err)
	return nil
}

// localRecipients opens local_recipient_maps. The users of the system are none: there
// are no mailboxes here, and a name without an alias leads nowhere. Without local
// delivery nobody is a local recipient, unless the parameter is set.
func (t *tables) localRecipients() table.Maps {
	if !localDelivery(t.cfg) {
		if t.cfg.Set("local_recipient_maps") {
			return t.maps("local_recipient_maps")
		}
		return table.Maps{nobody{}}
	}
	list, aliasSpecs := t.cfg.List("local_recipient_maps"), t.cfg.List("alias_maps")
	if len(list) == 0 {
		return nil
	}
	aliases := t.aliasMaps()
	maps := table.Maps{nobody{}}
	for _, spec := range list {
		at := slices.Index(aliasSpecs, spec)
		switch {
		case strings.TrimPrefix(spec, "proxy:") == "unix:passwd.byname" || t.err != nil:
		case at >= 0 && at < len(aliases):
			maps = append(maps, aliases[at])
		case at >= 0: // the default that is not there
		default:
			other, err := table.Open(spec, t.opts)
			if err != nil {
				t.failed("local_recipient_maps", err)
				continue
			}
			t.opened = append(t.opened, other)
			maps = append(maps, other)
		}
	}
	return maps
}

// localOptions is what local delivery is told; the queue comes later. It is for when
// localDelivery is true.
func (t *tables) localOptions(resolver *alias.Resolver, log *slog.Logger) (local.Options, error) {
	cfg := t.cfg
	privs, err := defaultPrivs(cfg)
	if err != nil {
		return local.Options{}, err
	}
	if size := cfg.Int64("mailbox_size_limit"); size > 0 && (cfg.Int64("message_size_limit") == 0 || size < cfg.Int64("message_size_limit")) {
		return local.Options{}, fmt.Errorf("mailbox_size_limit (%s) is smaller than message_size_limit (%s): mail would be accepted that no file may hold",
			cfg.Where("mailbox_size_limit"), cfg.Where("message_size_limit"))
	}
	propagate := cfg.List("propagate_unmatched_extensions")
	export := cfg.List("export_environment")
	o := local.Options{
		Aliases:        t.aliasMaps(),
		Router:         localRouter{resolver.AcceptUnlisted()},
		MyHostname:     cfg.Get("myhostname"),
		MailName:       cfg.Get("mail_name"),
		QueueDirectory: cfg.Get("queue_directory"),

		RecipientDelimiter: cfg.Get("recipient_delimiter"),
		PropagateAlias:     slices.Contains(propagate, "alias"),
		PropagateInclude:   slices.Contains(propagate, "include"),
		AllowCommands:      cfg.List("allow_mail_to_commands"),
		AllowFiles:         cfg.List("allow_mail_to_files"),
		SplitOwnerRequest:  !cfg.Bool("owner_request_special"),
		ExpandOwnerAlias:   cfg.Bool("expand_owner_alias"),
		ResetOwnerAlias:    cfg.Bool("reset_owner_alias"),
		ThawDelivered:      !cfg.Bool("frozen_delivered_to"),
		PrependDelivered:   cfg.List("prepend_delivered_header"),

		EnableOriginalRecipient: cfg.Bool("enable_original_recipient"),
		DuplicateFilterLimit:    cfg.Int("duplicate_filter_limit"),
		HopcountLimit:           cfg.Int("hopcount_limit"),

		DefaultPrivs:     privs,
		UserByID:         userByID,
		CommandTimeLimit: cfg.Duration("command_time_limit"),
		CommandShell:     cfg.Get("local_command_shell"),
		CommandFilter:    cfg.Get("command_expansion_filter"),
		CommandDirectory: cfg.Get("command_execution_directory"),
		Environment:      exported(export, cfg.List("import_environment")),

		MailboxSizeLimit:  cfg.Int64("mailbox_size_limit"),
		MailboxLocks:      cfg.List("mailbox_delivery_lock"),
		LockAttempts:      cfg.Int("deliver_lock_attempts"),
		LockDelay:         cfg.Duration("deliver_lock_delay"),
		StaleLockTime:     cfg.Duration("stale_lock_time"),
		RecipientParallel: noLimitIsMany(cfg.Int("local_destination_concurrency_limit")),
		Log:               log,
	}
	if slices.Contains(export, "MAIL_CONFIG") {
		o.ConfigDir = cfg.Dir()
	}
	return o, t.err
}

// noLimitIsMany is for limits whose 0 means none.
func noLimitIsMany(n int) int {
	if n == 0 {
		return 1 << 20
	}
	return n
}

// defaultPrivs finds the account of default_privs. An image that has no accounts has
// nobody all the same.
func defaultPrivs(cfg *postconf.Config) (local.User, error) {
	name := cfg.Get("default_privs")
	u, err := user.Lookup(name)
	if err != nil {
		if name == "nobody" {
			return local.User{Name: name, UID: 65534, GID: 65534}, nil
		}
		return local.User{}, fmt.Errorf("default_privs (%s): %w", cfg.Where("default_privs"), err)
	}
	found, err := accountOf(u)
	if err == nil && (found.UID == 0 || found.GID == 0) {
		err = errors.New("a privileged account; name one without rights, such as nobody")
	}
	if err != nil {
		return found, fmt.Errorf("default_privs (%s): %s: %w", cfg.Where("default_privs"), name, err)
	}
	return found, nil
}

func userByID(uid int) (local.User, error) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return local.User{}, err
	}
	return accountOf(u)
}

func accountOf(u *user.User) (local.User, error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return local.User{}, err
	}
	return local.User{Name: u.Username, UID: uid, GID: gid, Home: u.HomeDir, Shell: shellOf(u.Username)}, nil
}

// shellOf is the last field of a line of passwd(5), which package user leaves out.
func shellOf(name string) string {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); len(fields) == 7 && fields[0] == name {
			return fields[6]
		}
	}
	return ""
}

// exported are the variables that commands get: what export_environment names, with the
// values that it or import_environment gives, or those of our own environment.
func exported(export, imported []string) []string {
	var list []string
	for _, word := range export {
		name, _, given := strings.Cut(word, "=")
		if given {
			list = append(list, word)
			continue
		}
		if i := slices.IndexFunc(imported, func(w string) bool { return strings.HasPrefix(w, name+"=") }); i >= 0 {
			list = append(list, imported[i])
		} else if value, ok := os.LookupEnv(name); ok && name != "MAIL_CONFIG" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// localRouter answers local delivery with what the resolver knows.
type localRouter struct{ *alias.Resolver }

func (r localRouter) Local(ctx context.Context, a mail.Address) (bool, error) {
	if _, err := r.Class(ctx, a); err != nil {
		return false, err
	}
	return r.Dest(a).Transport() == "local", nil
}

// transports sends each destination to who serves it.
type transports struct {
	delivery *delivery.Client
	local    atomic.Pointer[local.Transport] // nil while there is no local delivery
	filters  atomic.Pointer[map[string]*statusFilter]
	best     atomic.Pointer[bestMX] // nil: none
	book     *reputation.Book       // hears what becomes of recipients
}

func (t *transports) Work(ctx context.Context, dest mail.Dest, src mail.Source) {
	t.carry(ctx, dest, t.passing(ctx, dest, t.filtered(ctx, dest, t.noted(src))))
}

func (t *transports) carry(ctx context.Context, dest mail.Dest, src mail.Source) {
	if l := t.local.Load(); l != nil && dest.Transport() == "local" {
		l.Work(ctx, dest, src)
		return
	}
	t.delivery.Work(ctx, dest, src)
}

// update puts the local delivery of a view in force. Without any, what is in the queue
// for it is deferred.
func (t *transports) update(v *view, q *queue.Queue) error {
	t.filters.Store(&v.filters)
	t.best.Store(v.best)
	if v.aliases == nil {
		return nil
	}
	o := *v.aliases
	o.Queue = q
	if l := t.local.Load(); l != nil {
		return l.Update(o)
	}
	l, err := local.New(o)
	if err == nil {
		t.local.Store(l)
	}
	return err
}

func (t *transports) close() {
	if l := t.local.Load(); l != nil {
		l.Close()
	}
	t.delivery.Close()
}

// proveAliases tells what is wrong with the aliases of local names.
func proveAliases(v *view, found func(local.Finding) bool) error {
	if v.aliases == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), proofTime)
	defer cancel()
	return local.Prove(ctx, *v.aliases, found)
}

// explainLocal tells where those of the targets lead that are local names.
func explainLocal(ctx context.Context, cfg *postconf.Config, r *alias.Resolver, targets []mail.Recipient, warn func(string)) ([]string, error) {
	is := func(t mail.Recipient) bool { return t.Dest.Transport() == "local" }
	if !slices.ContainsFunc(targets, is) || !localDelivery(cfg) {
		return nil, nil
	}
	t := &tables{cfg: cfg, opts: table.Options{Env: os.LookupEnv, Warn: warn, Types: tableTypes()}}
	defer t.close()
	o, err := t.localOptions(r, nil)
	if err != nil {
		return nil, err
	}
	var steps []string
	for _, target := range targets {
		if !is(target) {
			continue
		}
		x, err := local.Explain(ctx, o, mail.Address{}, target.Final)
		if err != nil {
			return nil, err
		}
		for _, step := range x.Steps {
			steps = append(steps, fmt.Sprintf("local %s: %s", target.Final, step))
		}
		for _, to := range x.Targets {
			steps = append(steps, fmt.Sprintf("local %s: %s (%s)", target.Final, to.Reason, to.Status.Enhanced))
		}
	}
	return steps, nil
}
