package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// startCommand runs the daemon in the foreground until SIGTERM or SIGINT. SIGHUP
// reloads.
func startCommand(args []string, env environ) int {
	var flags struct {
		Config string `short:"c" placeholder:"DIR" help:"Configuration directory."`
	}
	if done, status := parseFlags("start", "Run the daemon in the foreground. SIGHUP reloads, SIGTERM ends it.", &flags, args, env); done {
		return status
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A log that goes to a pipe must not end the daemon when its reader does.
	signal.Ignore(syscall.SIGPIPE)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)

	cfg, err := loadConfig(configDir(flags.Config, env), env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintf(env.stderr, "aliasmx: warning: %s\n", w)
	}
	for _, w := range operatorWarnings(cfg) {
		fmt.Fprintf(env.stderr, "aliasmx: warning: %s\n", w)
	}
	d, err := startDaemon(daemonOptions{cfg: cfg, env: env})
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	reloads := make(chan struct{})
	go func() {
		defer close(reloads)
		for range hangup {
			d.reload()
		}
	}()
	err = d.run(ctx)
	signal.Stop(hangup)
	close(hangup)
	<-reloads
	if err != nil {
		return fail(env, "aliasmx", exitSoftware, err)
	}
	return exitOK
}
