package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Tables that are replaced under a running daemon, without a signal to it.

// tableKind is how a table of some type is made anew: a version has the users, in the
// place of the file that the daemon looks at.
type tableKind struct {
	typ, suffix string // of what postmap makes; "": the text is the table
	text        func(users ...string) string
	broken      string // "": no text is broken
	warns       string // what the log says then
}

func plainText(users ...string) string {
	var b strings.Builder
	for _, u := range users {
		fmt.Fprintf(&b, "%s@alias.example target@dest.example\n", u)
	}
	return b.String()
}

var tableKinds = []tableKind{
	{"hash", ".db", plainText, "garbage", "not a table index"},
	{"lmdb", ".lmdb", plainText, "garbage", "not a table index"},
	{"cdb", ".cdb", plainText, "garbage", ""},
	{"texthash", "", plainText, "", "No such file or directory"},
	{"regexp", "", func(users ...string) string {
		return "/^(" + strings.Join(users, "|") + ")@alias\\.example$/ target@dest.example\n"
	}, "/(/ x\n", `Unmatched \(`},
	{"pcre", "", func(users ...string) string {
		return "/^(?:" + strings.Join(users, "|") + ")@alias\\.example$/ target@dest.example\n"
	}, "/(?R/ x\n", "line 1"},
}

// put renames a version over the table, as postmap and careful operators do.
func (k tableKind) put(r *relay, path, text string) {
	r.t.Helper()
	next := filepath.Join(r.dir, "next")
	r.write("next", text)
	if k.suffix != "" {
		r.mustRun("postmap", "-c", r.dir, k.typ+":"+next)
	}
	mustRename(r.t, next+k.suffix, path+k.suffix)
}

func mustRename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// ask is the reply code to RCPT TO.
func (d *dialog) ask(rcpt string) string {
	d.t.Helper()
	return d.say("RCPT TO:<" + rcpt + ">")[:3]
}

// becomes waits until the reply is the wanted one and tells how long that took.
func (d *dialog) becomes(rcpt, want string) time.Duration {
	d.t.Helper()
	start := time.Now()
	got := d.ask(rcpt)
	for ; got != want && time.Since(start) < limit; got = d.ask(rcpt) {
		time.Sleep(20 * time.Millisecond)
	}
	if got != want {
		d.t.Fatalf("RCPT TO:<%s>: %s, want %s", rcpt, got, want)
	}
	return time.Since(start)
}

// A second is what is promised; the rest is for a busy machine.
const soon = 2500 * time.Millisecond

// Each kind of table takes a replacement without a signal, and keeps what it has when the
// replacement is broken, which it says once.
func TestTablesAreFollowed(t *testing.T) {
	for _, k := range tableKinds {
		t.Run(k.typ, func(t *testing.T) {
			t.Parallel()
			cf := base(newSink(t))
			cf["virtual_alias_maps"] = k.typ + ":{dir}/users"
			cf["smtpd_hard_error_limit"] = "100000"
			cf["smtpd_soft_error_limit"] = "100000"
			r := newRelay(t, cf, map[string]string{})
			path := filepath.Join(r.dir, "users")
			r.write("users", k.text("old", "both"))
			k.put(r, path, k.text("old", "both"))
			r.start()
			c := dialSMTP(t, r.smtp)
			c.say("EHLO client.example")
			c.say("MAIL FROM:<a@client.example>")
			if old, fresh := c.ask("old@alias.example"), c.ask("new@alias.example"); old != "250" || fresh != "550" {
				t.Fatalf("at first: %s, %s", old, fresh)
			}
			k.put(r, path, k.text("new", "both"))
			if took := c.becomes("new@alias.example", "250"); took > soon {
				t.Errorf("the new table is in force after %v", took)
			}
			if got := c.ask("old@alias.example"); got != "550" {
				t.Errorf("what is gone is answered with %s", got)
			}
			if k.broken != "" {
				r.write("broken", k.broken)
				mustRename(t, filepath.Join(r.dir, "broken"), path+k.suffix)
			} else if err := os.Remove(path + k.suffix); err != nil {
				t.Fatal(err)
			}
			keepsAsItWas(t, r, c, k.warns, "new@alias.example")
			k.put(r, path, k.text("third", "both"))
			if took := c.becomes("third@alias.example", "250"); took > soon {
				t.Errorf("the third table is in force after %v", took)
			}
		})
	}
}

// keepsAsItWas waits for the one warning of a broken version, and looks that no second
// one comes and that the old version answers.
func keepsAsItWas(t *testing.T, r *relay, c *dialog, warns, rcpt string) {
	t.Helper()
	const stays = "as it was stays in force"
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if got := c.ask(rcpt); got != "250" {
			t.Fatalf("with a broken version: %s", got)
		}
		// Three looks: the warning, and none again.
		if strings.Contains(r.log(), stays) && time.Since(start) > 2200*time.Millisecond {
			break
		}
		if time.Since(start) > limit {
			t.Fatalf("no warning of the broken version\n%s", r.log())
		}
	}
	if n := strings.Count(r.log(), stays); n != 1 {
		t.Errorf("the broken version is said %d times\n%s", n, r.log())
	}
	mustMatch(t, "warning", r.waitLog(stays), "warning: .*"+warns)
}

// Files in lists are followed as well: our domains, and who may relay (a network of a
// cidr table and one of a file).
func TestListFilesAreFollowed(t *testing.T) {
	t.Parallel()
	cf := base(newSink(t))
	cf["virtual_alias_domains"] = "{dir}/domains"
	cf["virtual_alias_maps"] = "inline:{{a@one.example = x@dest.example}, {a@two.example = x@dest.example}}"
	cf["relay_domains"] = "{dir}/relay"
	cf["mynetworks"] = "{dir}/networks, cidr:{dir}/cidr"
	cf["smtpd_hard_error_limit"] = "100000"
	cf["smtpd_soft_error_limit"] = "100000"
	r := newRelay(t, cf, map[string]string{
		"domains": "one.example\n", "relay": "relayed.example\n", "networks": "192.0.2.0/24\n", "cidr": "198.51.100.0/24 OK\n",
	})
	r.start()
	c := dialSMTP(t, r.smtp)
	c.say("EHLO client.example")
	c.say("MAIL FROM:<a@client.example>")
	put := func(name, text string) {
		r.write("next", text)
		mustRename(t, filepath.Join(r.dir, "next"), filepath.Join(r.dir, name))
	}
	for _, step := range []struct{ file, text, rcpt, before, after string }{
		{"domains", "# ours\none.example two.example\n", "a@two.example", "554", "250"},
		{"relay", "relayed.example\nother.example\n", "a@other.example", "554", "250"},
		{"networks", "127.0.0.0/8\n", "a@elsewhere.example", "554", "250"},
		{"networks", "192.0.2.0/24\n", "a@elsewhere.example", "250", "554"},
		{"cidr", "127.0.0.0/8 OK\n", "a@elsewhere.example", "554", "250"},
	} {
		if got := c.ask(step.rcpt); got != step.before {
			t.Errorf("%s before: %s, want %s", step.rcpt, got, step.before)
		}
		put(step.file, step.text)
		if took := c.becomes(step.rcpt, step.after); took > soon {
			t.Errorf("%s is in force after %v", step.file, took)
		}
	}
	put("networks", "10.0.0.1/8\n")
	keepsAsItWas(t, r, c, `networks.*non-null host address bits in "10\.0\.0\.1/8"`, "a@two.example")
}

// While a table of 200,000 entries is replaced ten times, eight clients ask all the time:
// who is in every version is always known, and nobody is told to come back later.
func TestLookupsWhileTableIsReplaced(t *testing.T) {
	const entries, replacements, clients = 200_000, 10, 8
	cf := base(newSink(t))
	cf["virtual_alias_maps"] = "hash:{dir}/users"
	cf["smtpd_junk_command_limit"] = "1000000"
	r := newRelay(t, cf, map[string]string{})
	var big strings.Builder
	for i := range entries {
		fmt.Fprintf(&big, "user%d@alias.example target%d@dest.example\n", i, i)
	}
	source := filepath.Join(r.dir, "users")
	version := func(n int) {
		r.write("users", big.String()+fmt.Sprintf("version%d@alias.example x@dest.example\n", n))
		r.mustRun("postmap", "-c", r.dir, "hash:"+source)
	}
	version(0)
	r.start()
	var asked atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for n := range clients {
		c := dialSMTP(t, r.smtp)
		wg.Go(func() {
			c.Conn.SetDeadline(time.Now().Add(3 * limit))
			c.trySay("EHLO client.example")
			for i := n; ; i = (i*7919 + 13) % entries {
				select {
				case <-stop:
					return
				default:
				}
				// One transaction has no more recipients than smtpd_recipient_limit.
				if asked.Add(1)%500 < clients || i == n {
					c.trySay("RSET")
					c.trySay("MAIL FROM:<a@client.example>")
				}
				if got := c.trySay(fmt.Sprintf("RCPT TO:<user%d@alias.example>", i)); !strings.HasPrefix(got, "250") {
					t.Errorf("user%d: %q", i, got)
					return
				}
			}
		})
	}
	c := dialSMTP(t, r.smtp)
	c.say("EHLO client.example")
	c.say("MAIL FROM:<a@client.example>")
	for n := 1; n <= replacements; n++ {
		version(n)
		// Ten errors are as many as a client may make, and each look is one.
		end := time.Now().Add(soon)
		for ; time.Now().Before(end) && n == replacements; time.Sleep(300 * time.Millisecond) {
			if c.ask(fmt.Sprintf("version%d@alias.example", n)) == "250" {
				break
			}
		}
	}
	if got := c.ask(fmt.Sprintf("version%d@alias.example", replacements)); got != "250" {
		t.Errorf("the last version is not in force: %s", got)
	}
	close(stop)
	wg.Wait()
	if n := asked.Load(); n < 1000 {
		t.Errorf("only %d questions", n)
	}
	if log := r.log(); strings.Contains(log, "lookup error") || strings.Contains(log, "stays in force") {
		t.Errorf("the log tells of failures:\n%s", log)
	}
}

// trySay is say for goroutines other than the test's own: "" when the server is gone.
func (d *dialog) trySay(line string) string {
	if _, err := fmt.Fprintf(d.Conn, "%s\r\n", line); err != nil {
		return ""
	}
	for {
		reply, err := d.r.ReadString('\n')
		if err != nil {
			return ""
		}
		if len(reply) < 4 || reply[3] != '-' {
			return strings.TrimRight(reply, "\r\n")
		}
	}
}
