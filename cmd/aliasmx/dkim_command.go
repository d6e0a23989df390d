package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/dkim"
	"aliasmx/internal/table"
)

// dkimMain is what there is to do with keys that sign.
func dkimMain(args []string, env environ) int {
	if len(args) > 0 {
		switch args[0] {
		case "genkey":
			return dkimGenkey(args[1:], env)
		case "testkey":
			return dkimTestkey(args[1:], env)
		case "help", "-h", "--help":
			fmt.Fprint(env.stdout, dkimUsage)
			return exitOK
		}
	}
	fmt.Fprint(env.stderr, dkimUsage)
	return exitUsage
}

const dkimUsage = `usage: aliasmx dkim genkey -d DOMAIN -s SELECTOR [-b BITS | --ed25519] [-D DIR]
       aliasmx dkim testkey -d DOMAIN [-s SELECTOR] [-k FILE] [--resolver HOST:PORT]

  genkey   makes a key, and prints what belongs in the DNS and in the table of dkim_keys
  testkey  compares the keys that sign for a domain with what the DNS says
`

// dkimGenkey makes a key in a file of its own.
func dkimGenkey(args []string, env environ) int {
	var flags struct {
		Domain   string `short:"d" required:"" help:"Domain that signs."`
		Selector string `short:"s" required:"" help:"Selector: a name for the key that the domain has not used before."`
		Bits     int    `short:"b" default:"2048" help:"Length of an RSA key, 2048 to 8192."`
		Ed25519  bool   `name:"ed25519" help:"An Ed25519 key instead; many receivers know RSA alone."`
		Dir      string `short:"D" default:"." type:"path" help:"Directory for the file."`
		Service  string `help:"What the key is for (s= of the record), such as email:tlsrpt; none: everything."`
	}
	const summary = "Make a key that signs (DKIM). Its file is DOMAIN.SELECTOR.private; one that is there already is left alone."
	if done, status := parseFlags("dkim genkey", summary, &flags, args, env); done {
		return status
	}
	domain, err := idna.Lookup.ToASCII(strings.ToLower(strings.TrimSuffix(flags.Domain, ".")))
	selector := strings.ToLower(flags.Selector)
	switch {
	case err != nil || !mail.ValidHostname(domain):
		return fail(env, "aliasmx", exitUsage, fmt.Errorf("-d %s: not a domain", flags.Domain))
	case !mail.ValidHostname(selector + "._domainkey." + domain):
		return fail(env, "aliasmx", exitUsage, fmt.Errorf("-s %s: not a selector", flags.Selector))
	case flags.Bits < dkim.SignBits || flags.Bits > 8192:
		return fail(env, "aliasmx", exitUsage, fmt.Errorf("-b %d: %d to 8192 bits are taken", flags.Bits, dkim.SignBits))
	case strings.ContainsAny(flags.Service, " \t\r\n;\"\\"):
		return fail(env, "aliasmx", exitUsage, fmt.Errorf("--service %q: words with colons in between", flags.Service))
	}
	file, err := filepath.Abs(filepath.Join(flags.Dir, domain+"."+selector+".private"))
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	var key crypto.Signer
	if flags.Ed25519 {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, flags.Bits)
	}
	record := ""
	if err == nil {
		record, err = dkim.Record(key.Public(), flags.Service)
	}
	if err == nil {
		err = writeKey(file, key)
	}
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	fmt.Fprintf(env.stdout, "; for the zone of %s\n%s\n\n# for the table of dkim_keys\n%s\t%s %s\n",
		domain, zoneLine(selector+"._domainkey."+domain, record), domain, selector, file)
	return exitOK
}

// writeKey writes a new file that nobody else can read.
func writeKey(file string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err == nil {
		err = f.Sync()
	}
	if bad := f.Close(); err == nil {
		err = bad
	}
	if err != nil {
		os.Remove(file)
	}
	return err
}

// zoneLine is a TXT record as master files have it: a string of it has at most 255 bytes.
func zoneLine(name, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. IN TXT (", name)
	for len(text) > 0 {
		n := min(len(text), 200)
		fmt.Fprintf(&b, "\n\t%q", text[:n])
		text = text[n:]
	}
	b.WriteString(" )")
	return b.String()
}

// dkimTestkey compares keys with the DNS. Exit status 1: one of them cannot be verified; 75:
// none, but one could not be asked for.
func dkimTestkey(args []string, env environ) int {
	var flags struct {
		Config   string `short:"c" placeholder:"DIR" help:"Configuration directory."`
		Domain   string `short:"d" required:"" help:"Domain that signs."`
		Selector string `short:"s" help:"One of its keys; none: all that dkim_keys has."`
		Key      string `short:"k" placeholder:"FILE" help:"The file of the key, if dkim_keys does not have it yet."`
		Resolver string `placeholder:"HOST:PORT" help:"Name server to ask."`
	}
	const summary = "Compare the keys that sign for a domain (dkim_keys) with what the DNS says. Exit status 1: others cannot verify what one of them signs; 75: the DNS gave no answer."
	if done, status := parseFlags("dkim testkey", summary, &flags, args, env); done {
		return status
	}
	if flags.Key != "" && flags.Selector == "" {
		return fail(env, "aliasmx", exitUsage, fmt.Errorf("-k needs the key's selector (-s)"))
	}
	d := diagnosis{Config: flags.Config, Resolver: flags.Resolver}
	cfg, err := d.config(env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	warn, _ := env.warnings()
	v := &view{cfg: cfg, keys: new(keyring), tables: &tables{cfg: cfg, opts: table.Options{Env: os.LookupEnv, Warn: warn, Types: tableTypes()}}}
	defer v.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	keys, err := v.keysToTest(ctx, flags.Domain, flags.Selector, flags.Key)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	return testKeys(ctx, dns.New(dns.Options{Servers: cfg.List("dns_servers")}), keys, env.stdout)
}

// keysToTest are the keys of a domain: of dkim_keys, or the one in a file.
func (v *view) keysToTest(ctx context.Context, domain, selector, file string) ([]dkim.Key, error) {
	name, err := idna.Lookup.ToASCII(strings.ToLower(strings.TrimSuffix(domain, ".")))
	if err != nil {
		return nil, fmt.Errorf("-d %s: not a domain", domain)
	}
	if file != "" {
		if file, err = filepath.Abs(file); err != nil {
			return nil, err
		}
		k := &signingKeys{files: &v.keys.dkim, read: make(map[string]crypto.Signer)}
		return k.parse(name, selector+" "+file)
	}
	k, err := v.signingKeys()
	if err != nil {
		return nil, err
	}
	var keys []dkim.Key
	if k != nil {
		all, err := k.of(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, key := range all {
			if selector == "" || strings.EqualFold(key.Selector, selector) {
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("dkim_keys (%s): there is no such key of %s; -k FILE names one that is not in use yet", v.cfg.Where("dkim_keys"), name)
	}
	return keys, nil
}

// testKeys says of each key what others find.
func testKeys(ctx context.Context, r *dns.Resolver, keys []dkim.Key, out io.Writer) int {
	wrong, unknown := false, false
	for _, k := range keys {
		result, reason := dkim.Published(ctx, r, k)
		line := "ok"
		switch {
		case result == mail.AuthTempError:
			line, unknown = reason, true
		case result != mail.AuthPass:
			line, wrong = reason, true
		case reason != "":
			line += "; " + reason
		}
		fmt.Fprintf(out, "%s._domainkey.%s: %s\n", k.Selector, k.Domain, line)
	}
	switch {
	case wrong:
		return exitFailure
	case unknown:
		return exitTempFail
	}
	return exitOK
}
