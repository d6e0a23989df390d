package main

import (
	"fmt"
	"os"
	"os/user"
	"strings"

	"aliasmx/internal/postconf"
)

// operatorWarnings are what works, but is probably not meant.
func operatorWarnings(cfg *postconf.Config) (list []string) {
	add := func(parameter, text string) {
		list = append(list, fmt.Sprintf("%s (%s): %s", parameter, cfg.Where(parameter), text))
	}
	if len(cfg.List("virtual_alias_domains")) == 0 || len(cfg.List("virtual_alias_maps")) == 0 {
		add("virtual_alias_domains", "no domain is forwarded; set virtual_alias_domains and virtual_alias_maps")
	}
	for _, name := range []string{"mailbox_command", "home_mailbox"} {
		if localDelivery(cfg) && cfg.Get(name) != "" {
			add(name, "there are no mailboxes here: it has no effect, and a local name without an alias does not exist")
		}
	}
	for _, word := range cfg.List("smtpd_relay_restrictions") {
		if strings.HasPrefix(word, "defer_unauth_destination") {
			add("smtpd_relay_restrictions", "strangers are told to try again (454) where reject_unauth_destination would end it (554)")
		}
	}
	if name := cfg.Get("mail_owner"); os.Geteuid() == 0 && cfg.Set("mail_owner") {
		if _, err := user.Lookup(name); err != nil {
			add("mail_owner", "there is no user "+name+": started by root, the daemon keeps its rights")
		}
	}
	if os.Geteuid() == 0 && !cfg.Set("mail_owner") {
		add("mail_owner", "started by root, the daemon keeps its rights; set mail_owner to a user of its own")
	}
	list = append(append(list, sendingWarnings(cfg)...), transportWarnings(cfg)...)
	return append(list, queueWarnings(cfg)...)
}
