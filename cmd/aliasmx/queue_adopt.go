package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
)

// `aliasmx queue adopt DIR`: the mail of a dead node goes into this one's queue, each
// message once, whatever interrupts it. The daemon does it while it delivers; without a
// daemon this process does.

// adopter takes over the queue in a directory.
type adopter func(ctx context.Context, dir string, progress func(mail.Adoption)) (mail.Adoption, error)

func queueAdoptCommand(args []string, env environ) int {
	var flags struct {
		controlFlags
		Dir string `arg:"" name:"DIR" help:"Queue directory of a node that does not run any more."`
	}
	if done, status := parseFlags("queue adopt", "Take over the queue directory of a dead node: all of its mail goes into this node's queue, "+
		"each message once. It can be interrupted at any moment, and is run again then.", &flags, args, env); done {
		return status
	}
	dir, err := filepath.Abs(flags.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return fail(env, "aliasmx queue adopt", exitFailure, err)
	}
	cfg, err := findDaemon(configDir(flags.Config, env), env)
	if err != nil {
		return fail(env, "aliasmx queue adopt", exitConfig, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	sum, err := adoptBy(ctx, cfg, dir, env)
	switch {
	case errors.Is(err, admin.ErrForbidden):
		err = errors.New("use of this command is reserved for the superuser and the daemon's own user")
	case err != nil && sum.Messages > 0:
		err = fmt.Errorf("%w; %d messages were taken over, run it again for the rest", err, sum.Messages)
	}
	if err != nil {
		return fail(env, "aliasmx queue adopt", exitFailure, err)
	}
	printAdopted(env, dir, sum)
	return exitOK
}

// adoptBy lets the daemon do it, or does it when there is none.
func adoptBy(ctx context.Context, cfg *postconf.Config, dir string, env environ) (mail.Adoption, error) {
	daemon := admin.Dial(controlSocket(cfg))
	adopt := adopter(daemon.Adopt)
	if why := daemon.Health(ctx); errors.Is(why, admin.ErrDown) {
		offline, done, err := adoptOffline(cfg)
		if err != nil {
			return mail.Adoption{}, &noQueueError{err}
		}
		defer done()
		adopt = offline
	}
	told := 0
	return adopt(ctx, dir, func(sofar mail.Adoption) {
		if sofar.Messages >= told+1000 {
			told = sofar.Messages
			fmt.Fprintf(env.stderr, "aliasmx queue adopt: %d messages so far\n", told)
		}
	})
}

// adoptOffline opens the queue of a daemon that is not running. The mail log hears what
// happens as it would from the daemon.
func adoptOffline(cfg *postconf.Config) (adopter, func(), error) {
	if _, err := os.Stat(storeDir(cfg)); err != nil {
		return nil, nil, fmt.Errorf("queue %s: %w", storeDir(cfg), err)
	}
	as, err := runAs(cfg)
	if err != nil {
		return nil, nil, err
	}
	log, err := openLog(cfg, nil, as)
	if err != nil {
		return nil, nil, err
	}
	if err := as.become(); err != nil {
		log.stop()
		return nil, nil, err
	}
	store, err := pebblestore.Open(pebblestore.Options{
		Dir:              storeDir(cfg),
		InlineLimit:      cfg.Int64("queue_inline_limit"),
		MinFree:          cfg.Int64("queue_minfree"),
		MessageSizeLimit: cfg.Int64("message_size_limit"),
		RecipientLimit:   recipientLimit(cfg, "default_destination_recipient_limit"),
		RecipientLimits:  recipientLimits(cfg),
		Node:             uint16(cfg.Int("queue_node")),
		Log:              log.With(slog.String(mail.KeyDaemon, "postsuper")),
	})
	if err != nil {
		log.stop()
		return nil, nil, err
	}
	adopt := func(ctx context.Context, dir string, progress func(mail.Adoption)) (mail.Adoption, error) {
		return store.Adopt(ctx, dir, func(sofar mail.Adoption, _ []queue.DestHead) { progress(sofar) })
	}
	return adopt, func() { store.Close(); log.stop() }, nil
}

func printAdopted(env environ, dir string, sum mail.Adoption) {
	if sum.Messages == 0 && sum.Before == 0 {
		fmt.Fprintf(env.stdout, "%s: nothing is left to take over\n", dir)
	} else {
		fmt.Fprintf(env.stdout, "%s: %d messages taken over\n", dir, sum.Messages)
	}
	for _, line := range []struct {
		n    int
		text string
	}{
		{sum.Before, "had been taken over by an earlier run already"},
		{sum.Renamed, "got another queue ID, theirs not being free here: the log has \"NEWID: adopted from OLDID\""},
		{sum.Corrupt, "are corrupt, and in the corrupt queue"},
		{sum.Left, "could not be read whole: the log names them, and what is left of them is still there"},
	} {
		if line.n > 0 {
			fmt.Fprintf(env.stdout, "  %d of them %s\n", line.n, line.text)
		}
	}
	if sum.Damaged {
		fmt.Fprintln(env.stdout, "  files in it were missing or cut: MAIL MAY BE MISSING, and is not in these figures; the log names the files. Look for a backup before you remove the directory; it cannot be used as a queue any more")
		return
	}
	fmt.Fprintln(env.stdout, "  the directory cannot be used as a queue any more; it may be removed")
}
