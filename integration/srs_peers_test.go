package integration

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// srsAddresses are senders that other implementations take as well: Mail::SRS reads "srs1-fan"
// as an SRS1 address, and writes one that leads nowhere.
var srsAddresses = []string{
	"user@else.example", "User.Name@Else.Example", "a=b=c@x.example", "bounce+1234-x=y.example@lists.example", "odd-+=_name@sub.host.example",
	"SRS0=abcd=XY=first.example=someone@hop.example", "srs0+abcd=XY=first.example=someone@hop.example", "SRS0-abcd=XY=first.example=someone@hop.example",
	"SRS1=abcd=first.example==efgh=XY=origin.example=someone@hop.example", "SRS1+abcd=first.example=-efgh=XY=origin.example=someone@hop.example",
}

// inURLs writes a token in our alphabet: the others write the standard one of base64.
func inURLs(address string) string {
	head, rest, _ := strings.Cut(address[5:], "=")
	return address[:5] + strings.NewReplacer("+", "-", "/", "_").Replace(head) + "=" + rest
}

// many are the addresses, and enough others to have every digit of a hash.
func many() []string {
	list := append([]string{}, srsAddresses...)
	for i := range 60 {
		list = append(list, fmt.Sprintf("user%d@host%d.example", i, i%7))
	}
	return list
}

// Debian's Mail::SRS writes the same tokens, and we read what it writes.
func TestSRSAgreesWithMailSRS(t *testing.T) {
	t.Parallel()
	const script = `
BEGIN { *CORE::GLOBAL::time = sub { 1900000000 } }
use Mail::SRS;
my ($separator, $length, $secret) = @ARGV;
my $srs = Mail::SRS->new(Secret => [$secret], Separator => $separator, HashLength => $length, AlwaysRewrite => 1) or die;
while (<STDIN>) { chomp; print $srs->forward($_, "srs.example"), "\n" }`
	r := newSRSRelay(t, srsBase(nil))
	list := many()
	for _, c := range []struct{ separator, length string }{{"=", "4"}, {"+", "6"}, {"-", "27"}} {
		cmd := exec.Command("perl", "-e", script, c.separator, c.length, srsSecret)
		cmd.Stdin, cmd.Stderr = strings.NewReader(strings.Join(list, "\n")+"\n"), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("Mail::SRS: %v; integration/test installs libmail-srs-perl", err)
		}
		theirs := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(theirs) != len(list) {
			t.Fatalf("%d answers to %d addresses", len(theirs), len(list))
		}
		standard := false
		for i, address := range list {
			got := r.srs("forward", address, "--now", "1900000000", "--separator", c.separator, "--hash-length", c.length)
			if got != inURLs(theirs[i]) {
				t.Errorf("%s: got %s, Mail::SRS writes %s", address, got, theirs[i])
			}
			standard = standard || got != theirs[i]
			back := r.srs("reverse", theirs[i], "--now", "1900000000")
			want := address
			if strings.HasPrefix(theirs[i], "SRS1") {
				continue // to the first hop, as the next test shows
			}
			if back != want {
				t.Errorf("%s leads back to %s, not to %s", theirs[i], back, want)
			}
		}
		if !standard {
			t.Errorf("no token has a digit in which the alphabets differ: the test says less than it means to")
		}
	}
}

// tcpTable asks a table as tcp_table(5) does; "": it does not have the key.
func tcpTable(t *testing.T, port, key string) string {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	fmt.Fprintf(c, "get %s\n", url.PathEscape(key))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	value, found := strings.CutPrefix(strings.TrimSpace(line), "200 ")
	if !found {
		return ""
	}
	if value, err = url.PathUnescape(value); err != nil {
		t.Fatal(err)
	}
	return value
}

// newPostSRSd starts Debian's postsrsd for a domain. forward and back are its ports.
func newPostSRSd(t *testing.T, domain, secretText string, options ...string) (forward, back string) {
	t.Helper()
	program := findProgram(t, "/usr/sbin/postsrsd")
	s, reverse := newDBServer(t, "postsrsd", ""), newDBServer(t, "postsrsd", "")
	secret := filepath.Join(s.dir, "secret")
	if err := os.WriteFile(secret, []byte(secretText+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = append([]string{program, "-4", "-s" + secret, "-d" + domain, "-f" + s.port, "-r" + reverse.port}, options...)
	s.start(func() bool { return s.listens() && reverse.listens() })
	return s.port, reverse.port
}

// Debian's postsrsd, with the same secret, on the same day: it writes what we write, each reads
// what the other writes, and what one refuses the other does.
func TestSRSAgreesWithPostSRSd(t *testing.T) {
	t.Parallel()
	r := newSRSRelay(t, srsBase(nil))
	day := func() int64 { return time.Now().Unix() / (24 * 60 * 60) }
	for _, separator := range []string{"=", "+", "-"} {
		forward, back := newPostSRSd(t, "srs.example", srsSecret, "-a"+separator)
		for _, address := range many() {
			began := day()
			theirs, ours := tcpTable(t, forward, address), r.srs("forward", address, "--separator", separator)
			if day() != began {
				continue // at midnight neither is wrong
			}
			if theirs == "" || inURLs(theirs) != ours {
				t.Errorf("%s: got %s, postsrsd writes %s", address, ours, theirs)
				continue
			}
			got, want := r.srs("reverse", theirs), tcpTable(t, back, theirs)
			if got != want || want == "" {
				t.Errorf("%s leads to %s, with postsrsd to %s", theirs, got, want)
			}
		}
		if got := tcpTable(t, back, "SRS0"+separator+"AAAA=AA=else.example=user@srs.example"); got != "" {
			t.Errorf("postsrsd takes a forged one for %s", got)
		}
	}
}

// chain is aliasmx and Debian's Postfix with postsrsd, each a forwarder to the other and to
// the sink.
type chain struct {
	r    *relay
	p    *postfix
	sink *peers.Sink
}

func newChain(t *testing.T) *chain {
	t.Helper()
	// Not with our secret: postsrsd leaves alone what it could have signed itself.
	forward, back := newPostSRSd(t, "srs-b.example", "the secret of another")
	sink := newSink(t)
	cf := srsBase(sink)
	r := newRelay(t, cf, map[string]string{"virtual": "info@alias.example target@dest.example\nacross@alias.example b@fwd.example\n"})
	r.secrets()
	to := func(addr string) string { return "smtp:[127.0.0.1]:" + portOf(addr) }
	p := newPostfix(t,
		"virtual_alias_domains = fwd.example srs-b.example", "virtual_alias_maps = inline:{b@fwd.example=end@dest.example, a@fwd.example=info@alias.example}",
		"sender_canonical_maps = tcp:127.0.0.1:"+forward, "sender_canonical_classes = envelope_sender",
		"recipient_canonical_maps = tcp:127.0.0.1:"+back, "recipient_canonical_classes = envelope_recipient",
		"virtual_mailbox_domains =", "relayhost = [127.0.0.1]:"+portOf(sink.Addr),
		"transport_maps = inline:{alias.example="+to(r.smtp)+", srs.example="+to(r.smtp)+"}")
	cf["transport_maps"] = "inline:{fwd.example=" + to(p.addr) + ", srs-b.example=" + to(p.addr) + "}"
	r.configure(cf)
	r.start()
	return &chain{r, p, sink}
}

// send gives a letter to one of the two and returns what the sink gets of it.
func (c *chain) send(t *testing.T, server, from, to string) (gotFrom, gotTo string) {
	t.Helper()
	n := c.sink.Count() + 1
	if out, code := runProgram(t, "", "swaks", "--server", server, "--helo", "client.example", "--from", from, "--to", to); code != 0 {
		t.Fatalf("%s\n%s", out, c.p.log())
	}
	if !c.sink.Wait(n, limit) {
		t.Fatalf("nothing arrives\nours:\n%s\nPostfix:\n%s", c.r.log(), c.p.log())
	}
	return took(t, c.sink, n, c.r)
}

// We forward to Postfix, which forwards on: our SRS0 becomes its SRS1, and the bounce comes all
// the way back.
func TestSRSInFrontOfPostSRSd(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from, to := c.send(t, c.r.smtp, "author@client.example", "across@alias.example")
	mustMatch(t, "reverse-path", from, `^<SRS1=.{4}=srs\.example==[\w-]{4}=..=client\.example=author@srs-b\.example>$`)
	if to != "<end@dest.example>" {
		t.Errorf("to %s", to)
	}
	back, to := c.send(t, c.p.addr, "<>", strings.Trim(from, "<>"))
	if back != "<>" || to != "<author@client.example>" {
		t.Errorf("the bounce goes from %s to %s", back, to)
	}
	c.r.waitLog(`to=<author@client\.example>, orig_to=<SRS0=.*@srs\.example>, .*status=sent`)
}

// Postfix forwards to us: its SRS0 becomes our SRS1.
func TestSRSBehindPostSRSd(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from, to := c.send(t, c.p.addr, "author@client.example", "a@fwd.example")
	mustMatch(t, "reverse-path", from, `^<SRS1=[\w-]{4}=srs-b\.example==.{4}=..=client\.example=author@srs\.example>$`)
	if to != "<target@dest.example>" {
		t.Errorf("to %s", to)
	}
	back, to := c.send(t, c.r.smtp, "<>", strings.Trim(from, "<>"))
	if back != "<>" || to != "<author@client.example>" {
		t.Errorf("the bounce goes from %s to %s", back, to)
	}
	c.r.waitLog(`to=<SRS0=.*@srs-b\.example>, orig_to=<SRS1=.*@srs\.example>, .*status=sent`)
}

// Round and round: mail that comes to us twice has both forwarders in its sender once, and the
// bounce finds out.
func TestSRSRoundTrip(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	first := c.r.srs("forward", "author@client.example")
	_, local, _ := strings.Cut(strings.TrimSuffix(first, "@srs.example"), "SRS0")
	foreign := "SRS1=AAAA=srs.example=" + local + "@srs-b.example" // as Postfix would send it back to us
	from, _ := c.send(t, c.r.smtp, foreign, "info@alias.example")
	mustMatch(t, "reverse-path", from, `^<SRS1=[\w-]{4}=srs\.example==[\w-]{4}=..=client\.example=author@srs\.example>$`)
	if _, to := c.send(t, c.r.smtp, "<>", strings.Trim(from, "<>")); to != "<author@client.example>" {
		t.Errorf("the bounce goes to %s", to)
	}
	d := dialSMTP(t, c.r.smtp)
	d.say("EHLO client.example")
	mustMatch(t, "a forged one within", d.askFrom("", c.r.srs("forward", "SRS1=AAAA=srs.example==AAAA=AA=victim.example=x@srs-b.example")), `^550 5\.1\.1 .*wrong signature`)
}
