package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"aliasmx/internal/postconf"
)

// operatorWarnings are what works, but is probably not meant.
func operatorWarnings(cfg *postconf.Config) (list []string) {
	add := func(parameter, text string) {
		list = append(list, fmt.Sprintf("%s (%s): %s", parameter, cfg.Where(parameter), text))
	}
	for _, word := range cfg.List("mynetworks") {
		if p, err := netip.ParsePrefix(strings.NewReplacer("[", "", "]", "").Replace(word)); err == nil && p.Bits() == 0 {
			add("mynetworks", word+" is the whole Internet: with permit_mynetworks this is an open relay")
		}
	}
	if len(cfg.List("virtual_alias_domains")) == 0 || len(cfg.List("virtual_alias_maps")) == 0 {
		add("virtual_alias_domains", "no domain is forwarded; set virtual_alias_domains and virtual_alias_maps")
	}
	for _, word := range cfg.List("smtpd_relay_restrictions") {
		if strings.HasPrefix(word, "defer_unauth_destination") {
			add("smtpd_relay_restrictions", "strangers are told to try again (454) where reject_unauth_destination would end it (554)")
		}
	}
	if os.Geteuid() == 0 && !cfg.Set("mail_owner") {
		add("mail_owner", "started by root, the daemon keeps its rights; set mail_owner to a user of its own")
	}
	return list
}
