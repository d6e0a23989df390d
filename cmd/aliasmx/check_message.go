package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth"
	"aliasmx/internal/table"
	"aliasmx/internal/wire"
)

// messageFlags are the options of check message.
type messageFlags struct {
	diagnosis `embed:""`
	IP        string `required:"" placeholder:"IP" help:"Address of the client."`
	Helo      string `placeholder:"NAME" help:"What the client calls itself."`
	MailFrom  string `placeholder:"ADDR" help:"Reverse-path; empty: the null one."`
	Rcpt      string `placeholder:"ADDR" help:"Recipient: whether its mail is forwarded decides about the reverse-path that it leaves with."`
	Source    string `placeholder:"IP" help:"Address that we send from; default: smtp_bind_address, or a public address of this machine."`
	File      string `arg:"" help:"The message; - is standard input."`
}

// checkMessageCommand tells who a message is from, what would become of it, and what its
// destination would see. It is judged by the code of the daemon.
func checkMessageCommand(args []string, env environ) int {
	var flags messageFlags
	const summary = "Show what SPF, DKIM, ARC and DMARC say of a message that comes from a client, what would become of it, and what its destination would see of it after we have forwarded it. Without a configuration, the defaults hold."
	if done, status := parseFlags("check message", summary, &flags, args, env); done {
		return status
	}
	r, source, err := flags.request()
	if err != nil {
		fmt.Fprintf(env.stderr, "aliasmx check message: %v\n", err)
		return exitUsage
	}
	body, err := readBody(flags.File, env)
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	j, err := flags.judge(env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	defer j.close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*siteTime)
	defer cancel()
	found, decision, err := j.verifier.Examine(ctx, r, body)
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	if source.IsValid() {
		j.route.Source = source
	}
	j.sender(ctx, found, flags.Rcpt)
	doc := newMessageJSON(found, decision, j.verifier.Predict(ctx, found, j.route))
	doc.Forwarded.Reasons = append(j.why, doc.Forwarded.Reasons...)
	if doc.write(flags.JSON, env) != nil {
		return exitSoftware
	}
	return exitOK
}

// request is the transaction that is meant.
func (f *messageFlags) request() (r mail.AuthRequest, source netip.Addr, err error) {
	ip, err := netip.ParseAddr(strings.Trim(f.IP, "[]"))
	if err != nil {
		return r, source, fmt.Errorf("--ip: %q is no IP address", f.IP)
	}
	if f.Source != "" {
		if source, err = netip.ParseAddr(strings.Trim(f.Source, "[]")); err != nil {
			return r, source, fmt.Errorf("--source: %q is no IP address", f.Source)
		}
	}
	r.Client = mail.Client{Name: "unknown", Addr: ip.Unmap(), Helo: f.Helo}
	r.Sender = senderOf(f.MailFrom)
	return r, source, nil
}

// messageJudge is what a message is judged by.
type messageJudge struct {
	verifier *mailauth.Verifier
	route    mailauth.Route
	why      []string
	view     *view // nil: there is no configuration
}

func (j *messageJudge) close() {
	if j.view != nil {
		j.view.close()
	}
}

// judge is what the configuration makes of a message; the defaults where there is none.
func (f *messageFlags) judge(env environ) (*messageJudge, error) {
	now := time.Now
	if f.Now != 0 {
		now = func() time.Time { return time.Unix(f.Now, 0) }
	}
	cfg, err := f.config(env)
	chosen := f.Config != "" || env.getenv("MAIL_CONFIG") != ""
	if err != nil && chosen {
		return nil, err
	}
	warn, log := env.warnings()
	if err == nil {
		v, viewErr := newView(cfg, log, new(keyring))
		if viewErr == nil {
			return v.messageJudge(now)
		}
		if err = viewErr; chosen {
			return nil, err
		}
		warn(err.Error() + "; the defaults are taken instead of this configuration")
	}
	o := mailauth.Options{
		MyHostname: "localhost", AuthservID: "localhost", SPF: true, DKIM: true, ARC: true, DMARC: true,
		MaxVerifications: 10, Timeout: 20 * time.Second, Now: now, ResultsHeader: true, Policy: mailauth.DefaultPolicy(),
	}
	names := dns.Options{}
	if f.Resolver != "" {
		if _, err := dns.ParseServer(f.Resolver); err != nil {
			return nil, fmt.Errorf("--resolver: %w", err)
		}
		names.Servers = []string{f.Resolver}
	}
	o.Resolver = dns.New(names)
	return &messageJudge{verifier: mailauth.New(o), route: mailauth.Route{Helo: o.MyHostname}}, nil
}

func (v *view) messageJudge(now func() time.Time) (*messageJudge, error) {
	verifier, err := v.verifier(&tables{cfg: v.cfg, opts: v.tables.opts}, v.names, now)
	if err != nil {
		v.close()
		return nil, err
	}
	return &messageJudge{verifier: verifier, view: v, route: mailauth.Route{
		Helo: v.cfg.Get("smtp_helo_name"), Source: v.source(), Sealer: v.cfg.Get("arc_sign_domain"), Changes: v.changesForwarded(),
	}}, nil
}

// source is the address that we send from, as far as it can be told: that which is set, or one
// of the machine's that others can see.
func (v *view) source() netip.Addr {
	for _, a := range []netip.Addr{v.delivery.BindAddress, v.delivery.BindAddress6} {
		if a.IsValid() {
			return a
		}
	}
	for _, a := range ownAddresses(v.cfg) {
		if a.IsGlobalUnicast() && !a.IsPrivate() {
			return a
		}
	}
	return netip.Addr{}
}

// sources are all addresses that mail may leave from, as far as they can be told: those that are
// set, for all mail or for a service, and those of the machine, and of who translates for it
// (proxy_interfaces).
func (v *view) sources() (list []netip.Addr) {
	add := func(a netip.Addr) {
		if a.IsValid() && !slices.Contains(list, a.Unmap()) {
			list = append(list, a.Unmap())
		}
	}
	add(v.delivery.BindAddress)
	add(v.delivery.BindAddress6)
	for _, name := range slices.Sorted(maps.Keys(v.delivery.Services)) {
		s := v.delivery.Services[name]
		add(s.BindAddress)
		add(s.BindAddress6)
	}
	for _, a := range append(ownAddresses(v.cfg), machineAddresses(false)...) {
		if a.IsGlobalUnicast() {
			add(a)
		}
	}
	return list[:min(len(list), mostSources)]
}

// mostSources bounds for how many addresses a message is asked about.
const mostSources = 32

// changesForwarded are the settings that may change bytes of what is forwarded.
func (v *view) changesForwarded() (list []string) {
	for _, parameter := range []string{
		"smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks", "smtp_body_checks", "smtp_generic_maps",
		"remote_header_rewrite_domain",
	} {
		if v.cfg.Get(parameter) != "" {
			list = append(list, parameter)
		}
	}
	if v.cfg.Int("smtp_line_length_limit") > 0 {
		list = append(list, "smtp_line_length_limit")
	}
	if !v.cfg.Bool("disable_mime_output_conversion") {
		list = append(list, "disable_mime_output_conversion")
	}
	return list
}

// sender finds the reverse-path that the message leaves with: that of the daemon, for the
// first target of the recipient. Without one, for an alias that leads to somebody else.
func (j *messageJudge) sender(ctx context.Context, found *mailauth.Findings, rcpt string) {
	from := found.Request.Sender
	j.route.Sender = from
	if j.view == nil {
		j.why = append(j.why, "without a configuration the reverse-path stays as it is")
		return
	}
	target := mail.Recipient{Final: mail.SplitAddress("somebody@forwarded.invalid"), Orig: j.view.anAlias()}
	if rcpt != "" {
		to := mail.SplitAddress(strings.Trim(rcpt, "<>"))
		list, err := j.view.resolver.Expand(ctx, mail.RcptRequest{Addr: to, Sender: from})
		if err != nil {
			j.why = append(j.why, "the recipient would be refused: "+err.Error())
		} else if len(list) > 0 {
			target = list[0]
			j.why = append(j.why, "forwarded to "+target.Final.String())
		}
	}
	rewriter := j.view.delivery.SenderRewriter
	if rewriter == nil {
		j.why = append(j.why, "srs_domain is not set: the reverse-path stays as it is")
		return
	}
	a, err := rewriter.RewriteSender(ctx, &mail.Envelope{Sender: from, Auth: found.Authentic(), Rcpts: []mail.Recipient{target}}, 0)
	switch {
	case err != nil:
		j.why = append(j.why, "the reverse-path cannot be rewritten: "+err.Error())
	case a == from:
		j.why = append(j.why, "the reverse-path stays as it is")
	default:
		j.why = append(j.why, "the reverse-path is rewritten (SRS)")
	}
	if err == nil {
		j.route.Sender = a
	}
}

// anAlias is an address that an alias of ours could have: the question is only what becomes
// of a message that is forwarded.
func (v *view) anAlias() mail.Address {
	a := mail.Address{Local: "alias", Domain: v.cfg.Get("myhostname")}
	if list, err := table.ParseDomainList(v.cfg.List("virtual_alias_domains"), v.tables.listOptions("virtual_alias_domains")); err == nil {
		defer list.Close()
		_, _ = listedDomains(list, func(domain string) bool { // a list that cannot be listed has none
			a.Domain = domain
			return false
		})
	}
	return a
}

// memoryBody is a message that has been read.
type memoryBody []byte

func (b memoryBody) Size() int64                  { return int64(len(b)) }
func (b memoryBody) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// readBody reads a message as the daemon would have it: with the line ends of SMTP.
func readBody(file string, env environ) (mail.Body, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(env.stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := wire.NewLineWriter(&out, false)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return memoryBody(out.Bytes()), nil
}
