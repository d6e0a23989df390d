package main

import (
	"context"
	"errors"
	"fmt"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
)

// `aliasmx queue hold`, `release` and `held`: destinations to which nothing is sent while
// mail for them is taken in and waits. They work with a daemon and without one.

// onQueue calls f with the queue, as the command called name.
func onQueue(name, dir string, env environ, open openOffline, f func(context.Context, operator) error) int {
	cfg, err := loadConfig(configDir(dir, env), env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	err = withOperator(cfg, open, func(error) {}, f)
	if errors.Is(err, admin.ErrForbidden) {
		err = errors.New("this is reserved for the superuser and the daemon's own user")
	}
	if err != nil {
		return fail(env, "aliasmx", exitFailure, fmt.Errorf("queue %s: %w", name, err))
	}
	return exitOK
}

func queueHoldCommand(args []string, env environ) int { return queueHold(args, env, openQueueOffline) }

func queueHold(args []string, env environ, open openOffline) int {
	var flags struct {
		controlFlags
		Reason      string `help:"Why, for those who look: 'aliasmx queue held', postqueue -p and the log show it." placeholder:"TEXT"`
		Destination string `arg:"" help:"Next hop, as example.com or [192.0.2.1]:25, for every transport, or with one, as smtp:example.com."`
	}
	if done, status := parseFlags("queue hold", "Send nothing to a destination until it is released; its mail waits, and expires as ever.", &flags, args, env); done {
		return status
	}
	return onQueue("hold", flags.Config, env, open, func(ctx context.Context, q operator) error {
		return q.HoldDest(ctx, mail.Dest(flags.Destination), flags.Reason)
	})
}

func queueReleaseCommand(args []string, env environ) int {
	return queueRelease(args, env, openQueueOffline)
}

func queueRelease(args []string, env environ, open openOffline) int {
	var flags struct {
		controlFlags
		Destination string `arg:"" help:"As it was held; 'aliasmx queue held' shows it."`
	}
	if done, status := parseFlags("queue release", "Let mail go to a destination again.", &flags, args, env); done {
		return status
	}
	return onQueue("release", flags.Config, env, open, func(ctx context.Context, q operator) error {
		err := q.ReleaseDest(ctx, mail.Dest(flags.Destination))
		if isNotFound(err) {
			return fmt.Errorf("no destination %q is on hold; 'aliasmx queue held' lists those that are", printable(flags.Destination))
		}
		return err
	})
}

func queueHeldCommand(args []string, env environ) int { return queueHeld(args, env, openQueueOffline) }

func queueHeld(args []string, env environ, open openOffline) int {
	var flags controlFlags
	if done, status := parseFlags("queue held", "List the destinations on hold.", &flags, args, env); done {
		return status
	}
	return onQueue("held", flags.Config, env, open, func(ctx context.Context, q operator) error {
		all, err := q.HeldDests(ctx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			fmt.Fprintln(env.stdout, "No destination is on hold")
		}
		for _, h := range all {
			fmt.Fprintf(env.stdout, "%-30s since %s", printable(string(h.Dest)), h.Since.Local().Format("Mon Jan _2 15:04:05 2006"))
			if h.Reason != "" {
				fmt.Fprintf(env.stdout, "  (%s)", printable(h.Reason))
			}
			fmt.Fprintln(env.stdout)
		}
		return nil
	})
}
