package main

import (
	"context"
	"fmt"

	"aliasmx/internal/postconf"
)

// sendmail -bv asks where mail would go, and sends none. Postfix has each next hop asked,
// and mails a report; here the answer comes at once, from the tables: it is that of
// explain, but for a sender of this machine, who may relay.

// explain shows the way of each recipient. The status is that of the worst.
func (o *sendmailOptions) explain(cfg *postconf.Config, env environ) int {
	if len(o.rcpts) == 0 {
		return fail(env, "sendmail", exitTempFail, errNoRecipients)
	}
	resolver, closeTables, err := newResolver(cfg, func(msg string) { fmt.Fprintf(env.stderr, "sendmail: warning: %s\n", msg) }, nil)
	if err != nil {
		return fail(env, "sendmail", exitTempFail, err)
	}
	defer closeTables()
	ctx, cancel := context.WithTimeout(context.Background(), explainTime)
	defer cancel()
	status := exitOK
	for _, word := range o.rcpts {
		for _, addr := range parseAddressList(word) {
			x := resolver.ExplainPermitted(ctx, addr.String())
			for _, step := range x.Steps {
				fmt.Fprintf(env.stdout, "%s: %s\n", addr, step)
			}
			switch {
			case x.ExitStatus == exitTempFail || status == exitTempFail:
				status = exitTempFail
			case x.ExitStatus != exitOK:
				status = exitNoUser
			}
		}
	}
	return status
}
