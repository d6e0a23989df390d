package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/admin"
	"aliasmx/internal/postconf"
	"aliasmx/internal/sock"
)

// The commands that speak to a running daemon.

// controlPatience is how long a command waits for the daemon.
const controlPatience = 30 * time.Second

type controlFlags struct {
	Config string `short:"c" placeholder:"DIR" help:"Configuration directory."`
}

// withDaemon reads the configuration and calls f with a client of the daemon's socket.
func withDaemon(command, dir string, env environ, f func(context.Context, *postconf.Config, *admin.Client) error) int {
	cfg, err := findDaemon(configDir(dir, env), env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), controlPatience)
	defer cancel()
	err = f(ctx, cfg, admin.Dial(controlSocket(cfg)))
	switch {
	case err == nil:
		return exitOK
	case sock.Down(err):
		return fail(env, "aliasmx", exitUnavailable, errors.New("the mail system is not running"))
	default:
		return fail(env, "aliasmx", exitFailure, fmt.Errorf("%s: %w", command, err))
	}
}

// findDaemon reads as much of a configuration as leads to the daemon's socket. What is
// wrong with the rest must not keep an operator from the daemon that runs: it is the
// daemon's to judge at a reload.
func findDaemon(dir string, env environ) (*postconf.Config, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	o := postconf.LoadOptions{Dir: abs, Environ: env.environ()}
	cfg, err := postconf.Read(o)
	if err == nil {
		return cfg, nil
	}
	text, unreadable := os.ReadFile(filepath.Join(abs, "main.cf"))
	if unreadable != nil {
		return nil, err
	}
	pairs := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(name) == "queue_directory" {
			pairs["queue_directory"] = strings.TrimSpace(value)
		}
	}
	return postconf.Defaults(o).Override(pairs, "main.cf")
}

func stopCommand(args []string, env environ) int {
	var flags controlFlags
	if done, status := parseFlags("stop", "Stop the daemon; transfers under way finish.", &flags, args, env); done {
		return status
	}
	return withDaemon("stop", flags.Config, env, func(ctx context.Context, _ *postconf.Config, c *admin.Client) error {
		if err := c.Stop(ctx); err != nil {
			return err
		}
		// It is over when nobody answers at the socket any more.
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return errors.New("the daemon has not ended in time")
			case <-tick.C:
				if err := c.Health(ctx); sock.Down(err) {
					return nil
				}
			}
		}
	})
}

func reloadCommand(args []string, env environ) int {
	var flags controlFlags
	if done, status := parseFlags("reload", "Read configuration and tables again: all of it, or nothing when something is wrong.", &flags, args, env); done {
		return status
	}
	return withDaemon("reload", flags.Config, env, func(ctx context.Context, _ *postconf.Config, c *admin.Client) error {
		return c.Reload(ctx)
	})
}

func statusCommand(args []string, env environ) int {
	var flags struct {
		controlFlags
		Healthcheck bool `help:"Say nothing; exit status 0 when the daemon does its work."`
		JSON        bool `help:"As JSON."`
	}
	if done, status := parseFlags("status", "Tell how the daemon is.", &flags, args, env); done {
		return status
	}
	return withDaemon("status", flags.Config, env, func(ctx context.Context, _ *postconf.Config, c *admin.Client) error {
		if flags.Healthcheck {
			return c.Health(ctx)
		}
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		if flags.JSON {
			return json.NewEncoder(env.stdout).Encode(s)
		}
		printStatus(env, s)
		return nil
	})
}

func printStatus(env environ, s admin.Status) {
	fmt.Fprintf(env.stdout, "aliasmx %s, running for %s (PID %d)\n\n", s.Version, time.Since(s.Started).Round(time.Second), s.PID)
	fmt.Fprintf(env.stdout, "  configuration  %s\n  queue          %s\n  listens on     %s\n", s.ConfigDir, s.QueueDir, strings.Join(s.Listeners, ", "))
	if len(s.Queues) == 0 {
		fmt.Fprintln(env.stdout, "  messages       none waiting")
	}
	for _, q := range slices.Sorted(maps.Keys(s.Queues)) {
		fmt.Fprintf(env.stdout, "  %-14s %d\n", q, s.Queues[q])
	}
	if len(s.Held) > 0 {
		fmt.Fprintf(env.stdout, "  on hold        %s (see 'aliasmx queue held')\n", strings.Join(s.Held, ", "))
	}
	printDestinations(env.stdout, s.Destinations)
	for _, p := range s.Problems {
		fmt.Fprintf(env.stdout, "\n  warning: %s\n", p)
	}
}
