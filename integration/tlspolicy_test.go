package integration

import (
	"flag"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// TLS to next hops, one next hop for each case of testdata/tlspolicy.txt: what Debian's
// Postfix logged, and that we do the same. The file is rewritten with
//
//	go test ./integration -run TestTLSPolicyOfPostfix -record-tlspolicy

var recordTLSPolicy = flag.Bool("record-tlspolicy", false, "rewrite testdata/tlspolicy.txt with what the installed Postfix does")

const tlsPolicyFile = "testdata/tlspolicy.txt"

// tlsCase is one next hop and a transport to it.
type tlsCase struct {
	name   string
	server string
	hop    string   // the next hop; "[localhost]:{port}" unless said otherwise
	set    []string // name = value, of the transport
	policy []string // lines of its policy table; without a key it is for the next hop
	log    []string
	why    string   // we differ on purpose
	ours   []string // and log this

	port string
}

// loadTLSCases reads the file and what it is headed by.
func loadTLSCases(t *testing.T) (head string, cases []*tlsCase) {
	t.Helper()
	text, err := os.ReadFile(tlsPolicyFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, &tlsCase{name: name, server: "right", hop: "[localhost]:{port}"})
			continue
		}
		if len(cases) == 0 {
			head += line + "\n"
			continue
		}
		c := cases[len(cases)-1]
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "":
		case "server":
			c.server = rest
		case "hop":
			c.hop = rest
		case "set":
			c.set = append(c.set, rest)
		case "policy":
			c.policy = append(c.policy, "{hop} "+rest)
		case "entry":
			c.policy = append(c.policy, rest)
		case "differs":
			c.why = rest
		case "|":
			c.log = append(c.log, rest)
		case "!":
			c.ours = append(c.ours, rest)
		default:
			t.Fatalf("%s: unknown line %q", tlsPolicyFile, line)
		}
	}
	return head, cases
}

func writeTLSCases(t *testing.T, head string, cases []*tlsCase) {
	t.Helper()
	var b strings.Builder
	b.WriteString(head)
	for i, c := range cases {
		if i > 0 {
			b.WriteString("\n")
		}
		line := func(word string, texts ...string) {
			for _, text := range texts {
				if text != "" {
					fmt.Fprintf(&b, "%s %s\n", word, text)
				}
			}
		}
		line("==", c.name)
		line("server", c.server)
		if c.hop != "[localhost]:{port}" {
			line("hop", c.hop)
		}
		line("set", c.set...)
		for _, p := range c.policy {
			if value, ok := strings.CutPrefix(p, "{hop} "); ok {
				line("policy", value)
			} else {
				line("entry", p)
			}
		}
		line("|", c.log...)
		line("differs", c.why)
		line("!", c.ours...)
	}
	if err := os.WriteFile(tlsPolicyFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tlsConfig is main.cf beside the cases.
var tlsConfig = []string{
	"smtp_tls_loglevel = 1", "smtp_host_lookup = native", "smtp_dns_support_level = disabled", "mynetworks = 127.0.0.0/8",
	"inet_protocols = ipv4", "smtp_tls_security_level = may", "smtp_tls_fingerprint_digest = sha256", "transport_maps = texthash:{dir}/transport",
	"smtp_address_preference = ipv4",
}

// prepare starts the next hops of the cases. It gives the services of master.cf and the
// tables that lead to them.
func (s *tlsServers) prepare(t *testing.T, cases []*tlsCase, dir string) (services string, tables map[string]string) {
	t.Helper()
	tables = map[string]string{}
	for i, c := range cases {
		cfg, known := s.configs[c.server]
		if !known {
			t.Fatalf("%s: no server %q", c.name, c.server)
		}
		sink := newSink(t)
		sink.Behave(peers.Script{TLS: cfg})
		_, c.port, _ = net.SplitHostPort(sink.Addr)
		hop := strings.ReplaceAll(c.hop, "{port}", c.port)
		words := strings.NewReplacer(append(s.words, "{hop}", hop, "{port}", c.port)...)
		services += fmt.Sprintf("case%d unix - - n - - smtp\n -o { smtp_tcp_port = %s }\n", i, c.port)
		for _, set := range c.set {
			services += " -o { " + words.Replace(set) + " }\n"
		}
		if c.policy != nil {
			name := fmt.Sprintf("policy%d", i)
			services += fmt.Sprintf(" -o { smtp_tls_policy_maps = texthash:%s/%s }\n", dir, name)
			tables[name] = words.Replace(strings.Join(c.policy, "\n")) + "\n"
		}
		tables["transport"] += fmt.Sprintf("case%d.example case%d:%s\n", i, i, hop)
	}
	return services, tables
}

// sendTLSCases sends one message to all next hops and gives what the log says of each.
func sendTLSCases(t *testing.T, cases []*tlsCase, addr string, log func() string) [][]string {
	t.Helper()
	var to []string
	for i := range cases {
		to = append(to, fmt.Sprintf("x@case%d.example", i))
	}
	if err := smtp.SendMail(addr, nil, "s@client.example", to, []byte("Subject: over TLS\r\n\r\nhello\r\n")); err != nil {
		t.Fatalf("%v\n%s", err, log())
	}
	for end := time.Now().Add(2 * limit); strings.Count(log(), ", status=") < len(cases); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not all are delivered or deferred\n%s", log())
		}
	}
	said := make([][]string, len(cases))
	for line := range strings.Lines(log()) {
		m := smtpLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for i, c := range cases {
			number := regexp.MustCompile(fmt.Sprintf(`\b(case|policy)%d\b`, i))
			if !strings.Contains(m[1], c.port) && !number.MatchString(m[1]) {
				continue
			}
			text := strings.ReplaceAll(m[1], c.port, "PORT")
			for _, rule := range tlsRules {
				text = rule.of.ReplaceAllString(text, rule.to)
			}
			said[i] = append(said[i], text)
		}
	}
	return said
}

var smtpLine = regexp.MustCompile(`/smtp\[\d+\]: (.*)`)

// tlsRules leave of a line what is compared.
var tlsRules = []struct {
	of *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`^[0-9A-Za-z]{8,}: `), ""},
	{regexp.MustCompile(`delay=.*, dsn=`), "dsn="},
	{regexp.MustCompile(`(TLS connection established to [^ ]*: TLSv1\.\d).*`), "$1"},
	{regexp.MustCompile(`(SSL_connect error to [^ ]*): .*`), "$1"},
	{regexp.MustCompile(`\b(case|policy)\d+\b`), "$1"},
	{regexp.MustCompile(`\b[0-9A-F:]{40,}`), "DIGEST"},
	{regexp.MustCompile(`queued as \w+`), "queued"},
	{regexp.MustCompile(`/[^ ]*/([\w-]+\.pem)`), "$1"},
}

// What the installed Postfix does is what was recorded.
func TestTLSPolicyOfPostfix(t *testing.T) {
	t.Parallel()
	head, cases := loadTLSCases(t)
	servers := newTLSServers(t)
	dir, err := os.MkdirTemp("/var/tmp", "tlspolicy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	services, tables := servers.prepare(t, cases, dir)
	for name, text := range tables {
		writeFile(t, dir, name, text)
	}
	var config []string
	for _, line := range tlsConfig {
		config = append(config, strings.ReplaceAll(line, "{dir}", dir))
	}
	p := newPostfixWith(t, services, config...)
	said := sendTLSCases(t, cases, p.addr, p.log)
	if *recordTLSPolicy {
		for i, c := range cases {
			c.log = said[i]
			if slices.Equal(c.log, c.ours) {
				c.why, c.ours = "", nil
			}
		}
		writeTLSCases(t, head, cases)
		return
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.compare(t, said[i], c.log) })
	}
}

// We do what was recorded, or what we do on purpose.
func TestTLSPolicyAsPostfix(t *testing.T) {
	_, cases := loadTLSCases(t)
	servers := newTLSServers(t)
	cf := base(nil)
	for _, line := range tlsConfig {
		name, value, _ := strings.Cut(line, " = ")
		cf[name] = value
	}
	r := newRelay(t, cf, nil)
	services, tables := servers.prepare(t, cases, r.dir)
	for name, text := range tables {
		r.write(name, text)
	}
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+services)
	r.start()
	said := sendTLSCases(t, cases, r.smtp, r.log)
	for i, c := range cases {
		want := c.log
		if c.why != "" {
			want = c.ours
		}
		t.Run(c.name, func(t *testing.T) { c.compare(t, said[i], want) })
	}
	r.stop()
}

func (c *tlsCase) compare(t *testing.T, got, want []string) {
	if !slices.Equal(got, want) {
		t.Errorf("server %s, %s, %s\nlog:\n%s\nwant:\n%s", c.server, strings.Join(c.set, ", "), strings.Join(c.policy, ", "),
			strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
