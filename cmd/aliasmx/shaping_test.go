package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/shaping"
	"aliasmx/internal/table"
)

// openShaper opens the tables of a main.cf, with a text file DIR/shaping beside it.
func openShaper(t *testing.T, mainCF, file string) (*shaper, *strings.Builder, error) {
	t.Helper()
	dir := explainDir(t, explainMainCF+mainCF)
	if err := os.WriteFile(filepath.Join(dir, "shaping"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(dir, environ{getenv: func(string) string { return "" }, environ: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	tables := &tables{cfg: cfg, opts: table.Options{Types: tableTypes()}}
	t.Cleanup(tables.close)
	s, err := tables.shaper(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), dir, "DIR"))
	}
	return s, &log, err
}

// Every line that is shipped can be read, knows what asks for less, and takes no greylisting
// for that.
func TestShapingDefaults(t *testing.T) {
	s, _, err := openShaper(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]shaping.Line{}
	s.defaults.table.(*shapingTable).maps[0].(table.Lister).Each(func(key, value string) bool {
		l, err := shaping.Parse(value)
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		lines[key] = l
		return true
	})
	greylisting := []string{
		"450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/b.example.html",
		"451 4.7.1 Greylisting in action, please come back in 00:05:00", "450 4.7.1 Client host rejected: greylisted, try again later",
		"451 4.3.0 Temporary lookup failure", "452 4.2.2 The email account that you tried to reach is over quota",
		"452 4.5.3 Error: too many recipients", "451 4.7.1 Please try again later", "421 4.3.2 Service not available",
	}
	asking := map[string]string{
		".google.com":                  "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail",
		".olc.protection.outlook.com":  "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
		".mail.protection.outlook.com": "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)",
		".mx.microsoft":                "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
		".yahoodns.net":                "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1",
		".web.de":                      "421 Too many messages have been received in a short period of time. Please try again in a few hours and reduce the sending rate.",
		".orange.fr":                   "421 mwinf5c42 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]",
		".comcast.net":                 "421 resimta-po-01v.sys.comcast.net Try again later - RL000001",
	}
	for key, l := range lines {
		if l.Concurrency == 0 || l.Initial > l.Concurrency || len(l.SlowReplies) == 0 {
			t.Errorf("%s: %s", key, l)
		}
		for _, reply := range greylisting {
			if isSlow(l.SlowReplies, reply) {
				t.Errorf("%s: %q is taken for a wish for less mail", key, reply)
			}
		}
		if reply := asking[key]; reply != "" && !isSlow(l.SlowReplies, reply) {
			t.Errorf("%s: %q is not understood", key, reply)
		}
		delete(asking, key)
	}
	for key := range asking {
		t.Errorf("there is no line for %s", key)
	}
}

// isSlow is what mail.SiteLimits says of SlowReplies.
func isSlow(slow []string, reply string) bool {
	code := regexp.MustCompile(`\b[45]\.\d+\.\d+\b`).FindString(reply)
	return slices.ContainsFunc(slow, func(s string) bool {
		if strings.Trim(s, "0123456789.") == "" {
			return s == code || strings.HasSuffix(s, ".") && strings.HasPrefix(code, s)
		}
		return strings.Contains(strings.ToLower(reply), strings.ToLower(s))
	})
}

func TestShapingTables(t *testing.T) {
	for _, c := range []struct{ name, mainCF, file, want string }{
		{"none", "smtp_shaping_defaults =\n", "", ""},
		{"a file", "smtp_shaping_maps = texthash:DIR/shaping\n", "a.example concurrency=1\n.b.example slow=\"too many\", delay=1s\n", ""},
		{"a broken line", "smtp_shaping_maps = texthash:DIR/shaping\n", "# limits\na.example concurrency=1\nb.example concurrency=many\nc.example x\n",
			"smtp_shaping_maps (main.cf, line 6): DIR/shaping, line 3: b.example: concurrency=many: not a number from 1 on; leave it out for no limit"},
		{"a broken rule", "smtp_shaping_maps = regexp:DIR/shaping\n", "/a/ concurrency=1\n/(b)/ site=$1\n/c/ speed=1\n",
			"smtp_shaping_maps (main.cf, line 6): DIR/shaping, line 3: speed is not known; the names are site, concurrency, initial, host_connections, delay, rate, slow, and defaults alone"},
		{"in main.cf", "smtp_shaping_maps = inline:{ { a.example = delay=soon } }\n", "",
			"smtp_shaping_maps (main.cf, line 6): a.example: delay=soon: not a time; write one such as 1s or 500ms"},
		{"a key with brackets", "smtp_shaping_maps = texthash:DIR/shaping\n", "a.example concurrency=1\n[127.9.10.4]:2601 concurrency=1\n",
			"smtp_shaping_maps (main.cf, line 6): DIR/shaping, line 2: [127.9.10.4]:2601: no destination is looked up by this key; write the name or address of a host or a domain, without brackets and port: 127.9.10.4"},
		{"no table", "smtp_shaping_maps = texthash:DIR/nothing\n", "", "smtp_shaping_maps (main.cf, line 6): open database DIR/nothing: No such file or directory"},
	} {
		_, _, err := openShaper(t, c.mainCF, c.file)
		if got := errorString(err); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func errorString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A table that is away leaves what is known of it in force, and is worth one warning.
func TestShapingAway(t *testing.T) {
	s, log, err := openShaper(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	away, asks, line := true, 0, "concurrency=3"
	s.ask(newLastLines(asked(func(key string) (string, error) {
		asks++
		switch {
		case away:
			return "", errors.New("away")
		case key == "own.example":
			return line, nil
		}
		return "", nil
	}), "", s.log), s.defaults)
	expect := func(domain, host string, want int) {
		t.Helper()
		for range 3 {
			if a, _ := s.find(t.Context(), domain, []string{host}); a.Concurrency != want {
				t.Errorf("%s: concurrency %d, want %d", domain, a.Concurrency, want)
			}
		}
	}
	expect("own.example", "mx.test", 0) // nothing is known
	expect("a.example", "aspmx.l.google.com", 10)
	away = false
	expect("own.example", "mx.test", 3)
	away = true
	expect("own.example", "mx.test", 3)
	if n := strings.Count(log.String(), "away; until the table answers, sites have the limits that are known of it"); n != 2 {
		t.Errorf("%d warnings, want one each time\n%s", n, log)
	}
	away, line = false, "host_connections=3"
	expect("own.example", "mx.test", 0)
	away = true
	expect("own.example", "mx.test", 0)
	asks = 0
	if n := s.hostConnections(t.Context(), "own.example", "mx.own.example"); n != 3 || asks != 0 {
		t.Errorf("a table that is away was asked %d times before a connection, and said %d", asks, n)
	}
	// A reload does not forget, unless the parameter has changed.
	next, _, _ := openShaper(t, "", "")
	next.ask(newLastLines(s.maps.table, "", s.log), next.defaults)
	other := newLastLines(s.maps.table, "hash:other", s.log)
	other.inherit(s.maps)
	all := newSites(nil, s)
	all.update(next)
	if a, _ := all.shaping.Load().find(t.Context(), "own.example", nil); a.HostConnections != 3 || len(other.good) != 0 {
		t.Errorf("after a reload: %+v; of another table %v", a, other.good)
	}
	away, line = false, ""
	s.find(t.Context(), "own.example", nil)
	away = true
	if a, found := s.find(t.Context(), "own.example", nil); found {
		t.Errorf("a line that was removed: %+v", a)
	}
}

// The last good line stays in force where the line cannot be read: also one that was there
// at the start, and was never asked for.
func TestShapingMistake(t *testing.T) {
	s, log, err := openShaper(t, "smtp_shaping_maps = texthash:DIR/shaping\n", "one.test concurrency=1\n")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	s.maps.table = asked(func(key string) (string, error) { return lines[key], nil })
	expect := func(domain string, want int, warnings int, warning string) {
		t.Helper()
		for range 3 {
			if a, found := s.find(t.Context(), domain, nil); a.Concurrency != want || found != (want > 0) {
				t.Errorf("%s: concurrency %d, want %d", domain, a.Concurrency, want)
			}
		}
		if n := strings.Count(log.String(), warning); n != warnings {
			t.Errorf("%s: %d warnings, want %d\n%s", domain, n, warnings, log)
		}
	}
	const holds = "here: one.test: concurrency=zero: not a number from 1 on; leave it out for no limit; until it is corrected the last good line of it is in force (concurrency="
	lines["one.test"] = "concurrency=zero"
	expect("one.test", 1, 1, holds+"1)")
	lines["one.test"] = "concurrency=2"
	expect("one.test", 2, 1, holds)
	lines["one.test"] = "concurrency=zero"
	expect("one.test", 2, 1, holds+"2)")
	lines["one.test"] = ""
	expect("one.test", 0, 2, holds)
	lines["one.test"] = "concurrency=zero"
	expect("one.test", 0, 1, "until it is corrected there are no limits by this line")

	for i := range lastLinesMost + 100 {
		s.maps.remember(fmt.Sprint(i), "concurrency=1")
	}
	if n := len(s.maps.good); n != lastLinesMost {
		t.Errorf("%d lines are remembered", n)
	}
}

func TestShapingKeys(t *testing.T) {
	for key, want := range map[string]string{
		"example.net": "", ".example.net": "", ".net": "", "127.9.10.4": "", "2001:db8::1": "", "localhost": "", "_x.example": "",
		"[127.9.10.4]:2601": "127.9.10.4", "[mx.example.net]": "mx.example.net", "[IPv6:2001:DB8:0::1]": "2001:db8::1",
		"mail.x.:25": "mail.x", "mail.x:25": "mail.x", "mail.x.": "mail.x", "foo..bar": "-", "..bar": "-", ".": "-",
		"*.example.net": ".example.net", "user@example.net": "example.net", "@example.net": "example.net",
		"2001:0db8:0::1": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1", "a/b": "-", "[foo..bar]:25": "-",
	} {
		err := checkShapingKey(key)
		got := ""
		if err != nil {
			if _, got, _ = strings.Cut(err.Error(), "without brackets and port: "); got == "" {
				got = "-"
			}
		}
		if got != want {
			t.Errorf("%s: got %q (%v), want %q", key, got, err, want)
		}
	}
}

type asked func(key string) (string, error)

func (f asked) Lookup(_ context.Context, key string) (line, where string, found bool, err error) {
	line, err = f(key)
	return line, "here", line != "", err
}

// threeDomains have the same host.
type threeDomains struct{ delivery.Resolver }

func (threeDomains) MX(_ context.Context, domain string) ([]dns.MX, error) {
	return []dns.MX{{Host: "mx.hosts.test", Pref: 10}}, nil
}

func TestSites(t *testing.T) {
	s, _, err := openShaper(t, "smtp_shaping_maps = inline:{ { one.test = site=own concurrency=2 host_connections=7 } { .two.test = delay=1s } { dom.test = initial=1 } }\n", "")
	if err != nil {
		t.Fatal(err)
	}
	client := delivery.New(delivery.Options{Transports: map[string]string{"slow": "smtp"}, DNSEnabled: true, Resolver: threeDomains{}})
	defer client.Close()
	all := newSites(client, s)
	for _, c := range []struct{ dest, want string }{
		{"smtp:[mx.other.test]", "mx.other.test "},
		{"smtp:[one.test]", "own site=own concurrency=2 host_connections=7"},
		{"slow:[One.test]:2525", "own:2525 site=own concurrency=2 host_connections=7"},
		{"smtp:[mx.two.test]", "mx.two.test delay=1s"},
		{"smtp:[aspmx.l.google.com]", `google site=google concurrency=10 slow=4.7.28 slow="unusual rate" slow="rate limited"`},
		{"lmtp:unix:/run/lmtp", "/run/lmtp "},
		{"smtp:[dom.test]", "dom.test initial=1"},
		{"smtp:dom.test", "@dom.test initial=1"}, // alone, although others have the same hosts
		{"smtp:other.test:587", "mx.hosts.test:587 "},
		{"smtp:dom.test:587", "@dom.test:587 initial=1"},
		{"local:me", " "},
	} {
		site, a, err := all.explain(t.Context(), mail.Dest(c.dest))
		got := site.Name + " "
		if a != nil {
			got += a.Line.String()
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.dest, got, c.want)
		}
		if a != nil && (site.Limits.Concurrency != a.Concurrency || site.Limits.RateDelay != a.RateDelay) {
			t.Errorf("%s: limits %+v", c.dest, site.Limits)
		}
	}
	if n := s.hostConnections(t.Context(), "one.test", "mx.one.test"); n != 7 {
		t.Errorf("%d connections to a host", n)
	}
	// A reload without tables.
	none, _, _ := openShaper(t, "smtp_shaping_defaults =\n", "")
	all.shaping.Store(none)
	if site, _ := all.Site(t.Context(), "smtp:[one.test]"); site.Name != "one.test" || site.Limits.Concurrency != 0 {
		t.Errorf("after a reload: %+v", site)
	}
}
