package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// idleWarnings are settings that come to nothing, for what others say.
func (v *view) idleWarnings() (list []string) {
	cfg := v.cfg
	add := func(parameter, text string) {
		list = append(list, fmt.Sprintf("%s (%s): %s", parameter, cfg.Where(parameter), text))
	}
	if action := cfg.Get("alias_complaint_action"); action != "none" && cfg.Int("alias_complaint_limit") == 0 {
		add("alias_complaint_action", action+" is never done without a limit; set alias_complaint_limit")
	}
	if len(cfg.List("arc_trusted_sealers")) > 0 && !cfg.Bool("arc_verify") {
		add("arc_trusted_sealers", "no chain is verified, and no sealer trusted; set arc_verify = yes")
	}
	if cfg.Get("reverse_alias_secrets_file") != "" && !cfg.Bool("spf_verify") && !cfg.Bool("dkim_verify") {
		add("reverse_alias_secrets_file", "no owner of an alias can prove who he is, but by a login or from mynetworks; set spf_verify or dkim_verify = yes")
	}
	for _, word := range cfg.List("arf_recipients") {
		if why := v.nobodyAt(word); why != "" {
			add("arf_recipients", word+" "+why+": no report comes to it")
		}
	}
	return list
}

// nobodyAt tells why no mail for an address is taken; "" if it is, or if that cannot be known now.
func (v *view) nobodyAt(address string) string {
	ctx, cancel := context.WithTimeout(context.Background(), explainTime)
	defer cancel()
	a := v.resolver.Complete(mail.SplitAddress(strings.ToLower(address)))
	if class, err := v.resolver.Class(ctx, a); err == nil && class == mail.ClassDefault {
		return "is in no domain of ours"
	}
	rcpts, err := v.resolver.Expand(ctx, mail.RcptRequest{Addr: a})
	switch status := mail.StatusOf(err); {
	case err != nil && status != nil && !status.Temporary():
		return "is no address here"
	case err == nil && !slices.ContainsFunc(rcpts, func(r mail.Recipient) bool { return r.Dest.Transport() != "error" }):
		return "leads nowhere"
	}
	return ""
}
