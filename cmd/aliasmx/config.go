package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"aliasmx/internal/postconf"
)

// configDir is where the configuration is: the option, $MAIL_CONFIG, /etc/aliasmx,
// else /etc/postfix.
func configDir(option string, env environ) string {
	if option != "" {
		return option
	}
	if dir := env.getenv("MAIL_CONFIG"); dir != "" {
		return dir
	}
	const ours = "/etc/aliasmx"
	if _, err := os.Stat(filepath.Join(ours, "main.cf")); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/etc/postfix/main.cf"); err == nil {
			return "/etc/postfix"
		}
	}
	return ours
}

func loadConfig(dir string, env environ) (*postconf.Config, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return postconf.Load(postconf.LoadOptions{Dir: abs, Environ: env.environ()})
}

// fail prints the one line that a command ends with, and returns its exit status.
func fail(env environ, command string, status int, err error) int {
	fmt.Fprintf(env.stderr, "%s: fatal: %v\n", command, err)
	return status
}
