package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mailauth/arc"
)

// sealFlags are the options of seal.
type sealFlags struct {
	Config   string `short:"c" placeholder:"DIR" help:"Configuration directory."`
	Key      string `required:"" placeholder:"FILE" help:"Private key: PEM, RSA of at least 2048 bits or Ed25519."`
	Domain   string `required:"" help:"The domain that seals (d=)."`
	Selector string `required:"" help:"The key is published at SELECTOR._domainkey.DOMAIN (s=)."`
	Results  string `placeholder:"TEXT" help:"What was found out of the message, as in Authentication-Results: \"spf=pass smtp.mailfrom=a.example; dmarc=pass\"."`
	ID       string `name:"authserv-id" placeholder:"ID" help:"Who says the results; default: authserv_id of the configuration."`
	Now      int64  `placeholder:"UNIX" help:"The time that it is to be."`
	Resolver string `placeholder:"HOST:PORT" help:"Name server to ask for the keys of the chain."`
	File     string `arg:"" help:"The message; - is standard input."`
}

// sealTime bounds the questions to the DNS.
const sealTime = time.Minute

// sealCommand prints a message with a new ARC set on top, as the daemon makes them, after
// verifying its chain.
func sealCommand(args []string, env environ) int {
	var flags sealFlags
	const summary = "Print a message with a new ARC set on top, after verifying the chain that it has. Exit status 75: a key of the chain cannot be looked up for now, and nothing is printed."
	if done, status := parseFlags("seal", summary, &flags, args, env); done {
		return status
	}
	o := dns.Options{}
	if flags.ID == "" || flags.Resolver == "" {
		cfg, err := loadConfig(configDir(flags.Config, env), env)
		switch {
		case err == nil:
			flags.ID = cmp.Or(flags.ID, cfg.Get("authserv_id"))
			o.Servers = cfg.List("dns_servers")
		case flags.ID == "":
			return fail(env, "aliasmx", exitConfig, fmt.Errorf("%w; give --authserv-id to do without a configuration", err))
		}
	}
	if flags.Resolver != "" {
		if _, err := dns.ParseServer(flags.Resolver); err != nil {
			return fail(env, "aliasmx", exitUsage, fmt.Errorf("--resolver: %w", err))
		}
		o.Servers = []string{flags.Resolver}
	}
	sealer, err := flags.sealer()
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	message, err := readMessage(flags.File, env)
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	if !hasAuthor(message) {
		return fail(env, "aliasmx", exitDataErr, fmt.Errorf("%s: no message: there is no header with a From field", flags.File))
	}
	return flags.seal(sealer, dns.New(o), message, env)
}

func (f *sealFlags) now() time.Time {
	if f.Now != 0 {
		return time.Unix(f.Now, 0)
	}
	return time.Now()
}

func (f *sealFlags) sealer() (*arc.Sealer, error) {
	key, err := arcKey(f.Key)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	return arc.NewSealer(arc.SealerOptions{Domain: f.Domain, Selector: f.Selector, Key: key, AuthservID: f.ID, Now: f.now})
}

func readMessage(file string, env environ) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(env.stdin)
	}
	return os.ReadFile(file)
}

// hasAuthor tells whether a text begins with a header that has a From field.
func hasAuthor(message []byte) bool {
	for line := range bytes.Lines(message) {
		name, _, field := bytes.Cut(line, []byte{':'})
		switch name = bytes.TrimRight(name, " \t"); {
		case field && bytes.EqualFold(name, []byte("From")):
			return true
		case line[0] == ' ' || line[0] == '\t' || bytes.HasPrefix(line, []byte("From ")): // goes on; an mbox
		case !field || len(name) == 0 || bytes.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
			return false
		}
	}
	return false
}

func (f *sealFlags) seal(sealer *arc.Sealer, names *dns.Resolver, message []byte, env environ) int {
	ctx, cancel := context.WithTimeout(context.Background(), sealTime)
	defer cancel()
	chain, err := arc.Verify(ctx, bytes.NewReader(message), arc.VerifyOptions{Resolver: names, Now: f.now})
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	if chain.Temporary {
		return fail(env, "aliasmx", exitTempFail, fmt.Errorf("the chain cannot be verified: %s", chain.Reason))
	}
	warn, _ := env.warnings()
	if chain.Reason != "" {
		warn("the chain of the message does not hold: " + chain.Reason)
	}
	seal, err := sealer.Seal(ctx, bytes.NewReader(message), f.Results, chain.CV)
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	if seal.Fields == nil {
		warn("nothing was added: " + seal.Reason)
	}
	fields := seal.Fields
	if end := bytes.IndexByte(message, '\n'); end >= 0 && !bytes.HasSuffix(message[:end], []byte{'\r'}) {
		fields = bytes.ReplaceAll(fields, []byte("\r\n"), []byte{'\n'}) // line ends as the message has them
	}
	for _, part := range [][]byte{fields, message} {
		if _, err := env.stdout.Write(part); err != nil {
			return fail(env, "aliasmx", exitFailure, err)
		}
	}
	return exitOK
}
