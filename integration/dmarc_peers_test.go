package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/integration/peers"
	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/authres"
	"aliasmx/internal/mailauth/dmarc"
)

// Another who evaluates DMARC: Debian's OpenDMARC, by RFC 7489. It gets the names and the
// results of SPF and DKIM that ours gets, and must come to the same: result, and what the
// policy asks for. Where RFC 9989 differs, ours is said with the clause.

// dmarcCase is a message. $ is its own organizational domain: one label below "example",
// which is a public suffix to those who have a list.
type dmarcCase struct {
	name      string
	zone      string // lines "name text of a DMARC record", or "name TYPE data"
	author    string
	spf, dkim string // "pass a.example", several of dkim with commas
	want      string // result and policy; ours, where they differ
	differs   string // the clause; theirs must be another
}

var dmarcCases = []dmarcCase{
	{"no record", "", "$", "pass $", "pass $", "none", ""},
	{"something else", "$ other text", "$", "pass $", "", "none", ""},
	{"another version", "$ v=DMARC2; p=reject", "$", "pass $", "", "none", ""},
	{"spf", "$ v=DMARC1; p=reject", "$", "pass $", "", "pass", ""},
	{"dkim", "$ v=DMARC1; p=reject", "$", "fail $", "pass $", "pass", ""},
	{"both", "$ v=DMARC1; p=quarantine", "$", "pass $", "pass $", "pass", ""},
	{"one of several", "$ v=DMARC1; p=reject", "$", "", "fail $, pass else.test, pass $", "pass", ""},
	{"none", "$ v=DMARC1; p=none", "$", "fail $", "", "fail none", ""},
	{"quarantine", "$ v=DMARC1; p=quarantine", "$", "softfail $", "fail $", "fail quarantine", ""},
	{"reject", "$ v=DMARC1; p=reject", "$", "neutral $", "", "fail reject", ""},
	{"nothing authenticated", "$ v=DMARC1; p=reject", "$", "none $", "", "fail reject", ""},
	{"strangers", "$ v=DMARC1; p=reject", "$", "pass else.test", "pass other.test", "fail reject", ""},
	{"a name that ends alike", "$ v=DMARC1; p=reject", "$", "pass x$", "pass x-$", "fail reject", ""},
	{"relaxed, spf below", "$ v=DMARC1; p=reject", "$", "pass bounces.$", "", "pass", ""},
	{"relaxed, dkim below", "$ v=DMARC1; p=reject", "$", "", "pass mail.$", "pass", ""},
	{"relaxed, author below", "$ v=DMARC1; p=reject", "news.$", "", "pass $", "pass", ""},
	{"relaxed, both below", "$ v=DMARC1; p=reject", "news.$", "pass bounces.$", "", "pass", ""},
	{"relaxed, said so", "$ v=DMARC1; p=reject; adkim=r; aspf=r", "$", "pass bounces.$", "", "pass", ""},
	{"strict spf, below", "$ v=DMARC1; p=reject; aspf=s", "$", "pass bounces.$", "", "fail reject", ""},
	{"strict spf, the same", "$ v=DMARC1; p=reject; aspf=s", "$", "pass $", "", "pass", ""},
	{"strict spf, relaxed dkim", "$ v=DMARC1; p=reject; aspf=s", "$", "pass bounces.$", "pass mail.$", "pass", ""},
	{"strict dkim, below", "$ v=DMARC1; p=quarantine; adkim=s", "$", "", "pass mail.$", "fail quarantine", ""},
	{"strict dkim, the same", "$ v=DMARC1; p=reject; adkim=s", "$", "", "pass $", "pass", ""},
	{"strict both, author below", "$ v=DMARC1; p=reject; adkim=s; aspf=s", "news.$", "pass $", "pass $", "fail reject", ""},
	{"of the organizational domain", "$ v=DMARC1; p=reject\nnews.$ A 192.0.2.1", "news.$", "fail news.$", "", "fail reject", ""},
	{"sp", "$ v=DMARC1; p=none; sp=reject\nnews.$ A 192.0.2.1", "news.$", "", "", "fail reject", ""},
	{"sp, milder", "$ v=DMARC1; p=reject; sp=quarantine\nnews.$ A 192.0.2.1", "news.$", "", "", "fail quarantine", ""},
	{"sp, not for the domain itself", "$ v=DMARC1; p=quarantine; sp=none", "$", "", "", "fail quarantine", ""},
	{"own record below", "$ v=DMARC1; p=reject\nnews.$ v=DMARC1; p=none", "news.$", "", "", "fail none", ""},
	{"own record below, by its own p", "$ v=DMARC1; p=none\nnews.$ v=DMARC1; p=reject; sp=none", "news.$", "", "", "fail reject", ""},
	{"own record below, aligned above", "$ v=DMARC1; p=none\nnews.$ v=DMARC1; p=reject", "news.$", "", "pass $", "pass", ""},
	{"case of values", "$ v=DMARC1; p=REJECT; aspf=S", "news.$", "pass $", "", "fail reject", ""},
	{"spaces", "$ v=DMARC1 ; p = reject ; aspf = s ;", "$", "pass $", "", "pass", ""},
	{"unknown tags", "$ v=DMARC1; p=reject; x=y; ruf=mailto:a@$; fo=1", "$", "", "", "fail reject", ""},
	{"addresses for reports", "$ v=DMARC1; p=quarantine; rua=mailto:a@$!10m,mailto:b@$", "$", "", "", "fail quarantine", ""},
	{"case of names", "$ v=DMARC1; p=reject", "$", "pass BOUNCES.$", "pass MAIL.$", "pass", ""},

	{"a record in the middle", "$ v=DMARC1; p=none\nb.$ v=DMARC1; p=reject", "a.b.$", "", "", "fail none", ""},
	{"a record in the middle alone", "b.$ v=DMARC1; p=reject", "a.b.$", "", "pass c.b.$", "pass",
		"RFC 9989 section 4.10: the walk meets the record, RFC 7489 section 6.6.3 asked only the domain and its organizational domain"},
	{"psd=n", "$ v=DMARC1; p=none\nb.$ v=DMARC1; p=reject; psd=n", "a.b.$", "", "pass $", "fail reject",
		"RFC 9989 section 4.10.2: psd=n makes it the organizational domain"},
	{"np", "$ v=DMARC1; p=none; np=reject", "gone.$", "", "", "fail reject", "RFC 9989 section 4.10.1: np, for a domain that does not exist"},
	{"t=y", "$ v=DMARC1; p=reject; t=y", "$", "", "", "fail quarantine", "RFC 9989 section 4.7: t=y, one step milder"},
	{"no policy, but reports", "$ v=DMARC1; rua=mailto:a@$", "$", "", "", "fail none", "RFC 9989 section 4.10.1: p=none; to RFC 7489 section 6.3 p was a must"},
}

func (c *dmarcCase) own(i int, s string) string {
	return strings.ReplaceAll(s, "$", fmt.Sprintf("d%02d.example", i))
}

func (c *dmarcCase) records(i int) string {
	var b strings.Builder
	for line := range strings.SplitSeq(c.own(i, c.zone), "\n") {
		name, text, ok := strings.Cut(line, " ")
		switch {
		case !ok:
		case strings.HasPrefix(text, "v=") || strings.HasPrefix(text, "other"):
			fmt.Fprintf(&b, "_dmarc.%s. TXT %q\n", name, text)
		default:
			fmt.Fprintf(&b, "%s. %s\n", name, text)
		}
	}
	fmt.Fprintf(&b, "%s. A 192.0.2.1\n", c.own(i, "$"))
	return b.String()
}

// identities are those of SPF, and of DKIM.
func (c *dmarcCase) identities(i int) (spf dmarc.Identity, dkim []dmarc.Identity) {
	parse := func(s string) dmarc.Identity {
		result, domain, _ := strings.Cut(strings.TrimSpace(c.own(i, s)), " ")
		return dmarc.Identity{Domain: domain, Result: mail.AuthResult(result)}
	}
	if c.dkim != "" {
		for s := range strings.SplitSeq(c.dkim, ",") {
			dkim = append(dkim, parse(s))
		}
	}
	return parse(c.spf), dkim
}

// field is the field that a filter before OpenDMARC would have added: ours. OpenDMARC compares
// smtp.mailfrom with the domain of the sender, and takes none that has a local part.
func (c *dmarcCase) field(i int) string {
	spf, dkim := c.identities(i)
	var methods []authres.Method
	if spf.Domain != "" {
		methods = append(methods, authres.Method{Name: "spf", Result: spf.Result, Properties: []authres.Property{{Type: "smtp", Name: "mailfrom", Value: spf.Domain}}})
	}
	for _, d := range dkim {
		methods = append(methods, authres.Method{Name: "dkim", Result: d.Result, Properties: []authres.Property{{Type: "header", Name: "d", Value: d.Domain}}})
	}
	return string(authres.Format("mx.here.test", methods))
}

func (c *dmarcCase) ours(t *testing.T, i int) string {
	spf, dkim := c.identities(i)
	r := dmarc.Check(t.Context(), dnstest.New(t, c.records(i)).Resolver(), c.own(i, c.author), spf, dkim)
	if r.Result != mail.AuthFail {
		return string(r.Result)
	}
	return string(r.Result) + " " + r.Disposition
}

// compareDMARC holds ours and theirs, by author domain, against the table. more are further
// differences of this peer, which are not RFC 9989's: what it says, and why.
func compareDMARC(t *testing.T, theirs map[string]string, more map[string]string) {
	t.Helper()
	agreed := 0
	for i, c := range dmarcCases {
		ours, them := c.ours(t, i), theirs[c.own(i, c.author)]
		if ours != c.want {
			t.Errorf("%s: ours is %q, want %q", c.name, ours, c.want)
		}
		switch why, is := more[c.name]; {
		case is || c.differs != "":
			if them == ours {
				t.Errorf("%s: theirs is %q as well, which is no difference (%s%s)", c.name, them, c.differs, why)
			}
		case them != c.want:
			t.Errorf("%s: theirs is %q, want %q", c.name, them, c.want)
		default:
			agreed++
		}
	}
	if agreed < 30 {
		t.Errorf("only %d cases agree", agreed)
	}
}

// OpenDMARC in its test mode, in a network of its own with our name server: it asks
// whom resolv.conf names, and nobody else.
func TestDMARCAsOpenDMARC(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var zone strings.Builder
	for i, c := range dmarcCases {
		zone.WriteString(c.records(i))
	}
	conf, resolv, suffixes := filepath.Join(dir, "opendmarc.conf"), filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "suffixes")
	writeText(t, suffixes, "example\ntest\n")
	writeText(t, resolv, "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")
	writeText(t, conf, "AuthservID mx.here.test\nTrustedAuthservIDs mx.here.test\nPublicSuffixList "+suffixes+"\nIgnoreHosts /dev/null\nSyslog false\n")

	alone, err := peers.NewNamespace()
	if err != nil {
		t.Fatalf("this test makes a network namespace, for which it must run as root: %v", err)
	}
	t.Cleanup(alone.Close)
	var names *peers.DNS
	if err := alone.Do(func() (err error) {
		names, err = peers.NewDNSAt("127.0.0.1:53", zone.String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(names.Close)
	theirs := map[string]string{}
	for i, c := range dmarcCases {
		author := c.own(i, c.author)
		letter := filepath.Join(dir, fmt.Sprintf("%02d.eml", i))
		writeText(t, letter, c.field(i)+"From: author@"+author+"\r\nSubject: x\r\nDate: Sat, 01 Nov 2025 10:00:00 +0000\r\nMessage-ID: <x@y.test>\r\n\r\nx\r\n")
		spf, _ := c.identities(i)
		var out strings.Builder
		cmd := exec.Command("unshare", "-m", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec /usr/sbin/opendmarc -vv -c "$1" -t "$2"`, resolv, conf, letter)
		cmd.Env = append(cmd.Environ(), "OPENDMARC_TEST_ENVFROM=<sender@"+spf.Domain+">")
		cmd.Stdout = &out
		if err := alone.Do(cmd.Start); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("opendmarc: %v\n%s\n(integration/test installs what the tests need)", err, out.String())
		}
		_, value, _ := strings.Cut(out.String(), "hname='Authentication-Results' hvalue='")
		value, _, _ = strings.Cut(value, "'\n")
		_, methods, err := authres.Parse([]byte(value))
		if err != nil || len(methods) != 1 {
			t.Errorf("%s: %q: %v", c.name, out.String(), err)
			continue
		}
		verdict := string(methods[0].Result)
		if methods[0].Result == mail.AuthFail { // "p=reject dis=none": the policy that applies
			policy, _, _ := strings.Cut(strings.TrimPrefix(methods[0].Comment, "p="), " ")
			verdict += " " + policy
		}
		theirs[author] = verdict
	}
	const strict = "pass: it takes a name below an organizational domain for strictly aligned with it, where RFC 7489 section 3.1 asks for the same name"
	compareDMARC(t, theirs, map[string]string{
		"strict spf, below":  strict,
		"strict dkim, below": strict,
		"another version":    "permerror: one TXT record that is no DMARC record of this version is an error to it",
	})
}
