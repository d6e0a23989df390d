package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/spf"
)

// checkSPFCommand asks a domain whether a client may send in its name, and shows how its
// records come to the answer.
func checkSPFCommand(args []string, env environ) int {
	var flags struct {
		diagnosis `embed:""`
		IP        string `name:"ip" required:"" placeholder:"IP" help:"Address of the client."`
		Helo      string `required:"" placeholder:"NAME" help:"What it says in HELO or EHLO."`
		MailFrom  string `name:"mail-from" required:"" placeholder:"ADDR" help:"Reverse-path; \"\" is the null one, for which the name of HELO is asked."`
	}
	const summary = "Ask a domain, by SPF, whether a client may send in its name, and show how it comes to its answer. Exit status 0: there is a verdict, whichever."
	if done, status := parseFlags("check spf", summary, &flags, args, env); done {
		return status
	}
	ip, err := netip.ParseAddr(strings.Trim(flags.IP, "[]"))
	if err != nil {
		return fail(env, "aliasmx", exitUsage, fmt.Errorf("--ip %q is no IP address", flags.IP))
	}
	receiver, servers, err := flags.names(env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	q := spf.Request{IP: ip, Helo: flags.Helo, Sender: senderOf(flags.MailFrom), Receiver: receiver}
	if flags.Now != 0 {
		q.Now = func() time.Time { return time.Unix(flags.Now, 0) }
	}
	names := dns.New(dns.Options{Servers: servers})
	ctx, cancel := context.WithTimeout(context.Background(), siteTime)
	defer cancel()
	if flags.JSON {
		res := spf.Check(ctx, names, q)
		err = writeJSONLine(env.stdout, spfJSON{res.Result, res.Explanation})
	} else {
		res, trail := spf.Explain(ctx, names, q)
		_, err = env.stdout.Write([]byte(spfText(q, res, trail)))
	}
	if err != nil {
		return exitSoftware
	}
	return exitOK
}

// names are our own, and those of the name servers to ask. A machine without any
// configuration, where none was named, can ask as well.
func (d *diagnosis) names(env environ) (hostname string, servers []string, err error) {
	if d.Config == "" && env.getenv("MAIL_CONFIG") == "" {
		if _, err := os.Stat(filepath.Join(configDir("", env), "main.cf")); errors.Is(err, fs.ErrNotExist) {
			if d.Resolver == "" {
				return "", nil, nil
			}
			_, err := dns.ParseServer(d.Resolver)
			return "", []string{d.Resolver}, err
		}
	}
	cfg, err := d.config(env)
	if err != nil {
		return "", nil, err
	}
	return cfg.Get("myhostname"), cfg.List("dns_servers"), nil
}

// spfJSON is what check spf says to programs.
type spfJSON struct {
	Result      mail.AuthResult `json:"result"`
	Explanation string          `json:"explanation"`
}

// senderOf reads a reverse-path as MAIL FROM has it, with or without angle brackets; what
// is no path is taken as it was written.
func senderOf(s string) mail.Address {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	if p, rest, err := mail.ParsePath("<"+s+">", true); err == nil && rest == "" {
		return p.Address
	}
	return mail.SplitAddress(s)
}

// spfText is what check spf says to people: the way, and the verdict at its end.
func spfText(q spf.Request, res spf.Result, trail spf.Trail) string {
	var b strings.Builder
	asked := "the domain of MAIL FROM"
	if q.Sender.IsNull() {
		asked = "the name of HELO: the sender is null"
	}
	fmt.Fprintf(&b, "may %s send for %s (%s)?\n", q.IP.Unmap(), printable(res.Domain), asked)
	for _, s := range trail.Steps {
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", s.Depth), s.Text)
	}
	fmt.Fprintf(&b, "%s", res.Result)
	switch {
	case res.Problem != "":
		fmt.Fprintf(&b, ": %s", res.Problem)
	case res.Mechanism == "default":
		fmt.Fprint(&b, ", since nothing matches")
	case res.Mechanism != "":
		fmt.Fprintf(&b, ", by %s", printable(res.Mechanism))
	}
	fmt.Fprintln(&b)
	if res.Explanation != "" {
		fmt.Fprintf(&b, "it says: %s\n", res.Explanation)
	}
	plural := "s"
	if trail.Questions == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%d question%s to the DNS\n", trail.Questions, plural)
	return b.String()
}
