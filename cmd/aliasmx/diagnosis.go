package main

import (
	"fmt"
	"log/slog"

	"aliasmx/internal/maillog"
	"aliasmx/internal/postconf"
)

// What the commands of diagnosis (check site, check sts, check dns) have in common.

// diagnosis are their options.
type diagnosis struct {
	Config   string `short:"c" placeholder:"DIR" help:"Configuration directory."`
	JSON     bool   `help:"As JSON."`
	Resolver string `placeholder:"HOST:PORT" help:"Name server to ask."`
	Now      int64  `placeholder:"UNIX" help:"The time that it is to be, where that matters."`
}

// config is the configuration, with the name server that was asked for.
func (d *diagnosis) config(env environ) (*postconf.Config, error) {
	cfg, err := loadConfig(configDir(d.Config, env), env)
	if err == nil && d.Resolver != "" {
		cfg, err = cfg.Override(map[string]string{"dns_servers": d.Resolver}, "--resolver")
	}
	return cfg, err
}

// warnings is where the rest of the program says what is wrong: on standard error.
func (e environ) warnings() (warn func(string), log *slog.Logger) {
	warn = func(text string) { fmt.Fprintf(e.stderr, "aliasmx: warning: %s\n", text) }
	return warn, slog.New(maillog.New(maillog.Options{Name: "aliasmx", Out: warningLines{warn}}))
}
