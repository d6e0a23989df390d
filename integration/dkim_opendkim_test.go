package integration

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Byte exactness, seen by Debian's OpenDKIM: it signs as the milter of a first relay, and
// verifies what has passed a second one; dkimpy, Mail::DKIM and we read the same copies.

// openDKIM is signers with what OpenDKIM needs: a folder, and a resolver that asks the name
// server of the test.
type openDKIM struct {
	*signers
	dir, conf string // folder; configuration of a verifier
}

func newOpenDKIM(t *testing.T, zone string) *openDKIM {
	t.Helper()
	o := &openDKIM{signers: newSigners(t), dir: realDir(t)}
	block, _ := pem.Decode([]byte(o.read(o.rsa)))
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.names.Set(txtRecord(t, "rsa._domainkey.a.example", key.Public()) + zone); err != nil {
		t.Fatal(err)
	}
	// Debian's OpenDKIM asks by libunbound, which takes a port.
	host, port, _ := net.SplitHostPort(o.names.Addr)
	unbound := o.write("unbound.conf", "server:\n do-not-query-localhost: no\n module-config: \"iterator\"\nforward-zone:\n name: \".\"\n forward-addr: "+host+"@"+port+"\n")
	o.conf = "Mode v\nAuthservID judge.example\nResolverConfiguration " + unbound +
		"\nMaximumSignaturesToVerify 20\nMaximumHeaders 0\n"
	return o
}

func (o *openDKIM) write(name, text string) string {
	o.t.Helper()
	file := filepath.Join(o.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return file
}

// run starts an OpenDKIM and returns its address. Told to end, it would take five seconds.
func (o *openDKIM) run(name, conf string) string {
	o.t.Helper()
	socket := filepath.Join(o.dir, name)
	conf += "Background no\nSyslog no\nPidFile {dir}/" + name + ".pid\nSocket local:" + socket + "\n"
	process := runMilter(o.t, o.dir, "unix", socket, conf, "/usr/sbin/opendkim", "-f", "-x")
	o.t.Cleanup(func() { process.Kill() })
	return "unix:" + socket
}

// milters are signing OpenDKIMs, one for each canonical form, as smtpd_milters has them.
func (o *openDKIM) milters() string {
	o.t.Helper()
	var list []string
	for _, form := range []string{"simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"} {
		name := strings.ReplaceAll(form, "/", "-")
		list = append(list, o.run(name, "Mode s\nDomain a.example\nSelector rsa\nKeyFile "+o.rsa+
			"\nCanonicalization "+form+"\nRequireSafeKeys no\n"))
	}
	return strings.Join(list, " ")
}

// judge is what OpenDKIM finds of the signatures of each message, in words of opinion. It
// is the milter of one more relay: its test mode (opendkim -t) reads lines as C strings and
// forgets the space after a field's name, which simple signatures are about.
func (o *openDKIM) judge(messages map[string]string) map[string][]string {
	o.t.Helper()
	r, h := o.behind(o.run("verify", o.conf))
	field := regexp.MustCompile(`^Authentication-Results: judge\.example;.*(?:\n[ \t].*)*`)
	result := regexp.MustCompile(`\bdkim=(\w+)`)
	found := map[string][]string{}
	for name, message := range messages {
		submitRaw(o.t, r.smtp, "BDAT", message, "info@alias.example")
		for _, m := range result.FindAllStringSubmatch(field.FindString(h.next(name, r).data), -1) {
			found[name] = append(found[name], word(m[1]))
		}
	}
	r.stop()
	return found
}

// word is a result as a word of opinion.
func word(result string) string {
	if result == "pass" {
		return "pass"
	}
	return "not"
}

// behind is a relay with milters, and the next hop behind it.
func (o *openDKIM) behind(milters string) (*relay, *hop) {
	o.t.Helper()
	h := newHop(o.t, "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING")
	cf := base(nil)
	_, port, _ := net.SplitHostPort(h.addr)
	cf["relayhost"], cf["smtpd_milters"] = "[127.0.0.1]:"+port, milters
	cf["message_size_limit"], cf["local_header_rewrite_clients"] = "40960000", ""
	r := newRelay(o.t, cf, nil)
	r.start()
	return r, h
}

// checked is what `aliasmx check message` finds of the signatures, and of the seals.
func (o *openDKIM) checked(r *relay, message string) (words []string, cv string) {
	o.t.Helper()
	out, code := r.runWith(message, "check", "message", "--json", "--resolver", o.names.Addr, "--ip", "127.0.0.1", "-")
	var found struct {
		DKIM []struct{ Result string }
		ARC  struct{ CV string }
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != 0 {
		o.t.Fatalf("check message: status %d, %v\n%s", code, err, out)
	}
	for _, d := range found.DKIM {
		words = append(words, word(d.Result))
	}
	return words, found.ARC.CV
}

// next waits for the next message of a relay.
func (h *hop) next(what string, r *relay) hopMessage {
	r.t.Helper()
	select {
	case m := <-h.arrived:
		return m
	case <-time.After(limit):
		r.t.Fatalf("%s does not arrive\n%s", what, r.log())
		return hopMessage{}
	}
}

// sign sends messages through a first relay, whose milters sign, and returns them as they
// left it.
func (o *openDKIM) sign(messages map[string]string) map[string]string {
	o.t.Helper()
	r, h := o.behind(o.milters())
	signed := map[string]string{}
	for name, message := range messages {
		submitRaw(o.t, r.smtp, "BDAT", message, "info@alias.example")
		signed[name] = h.next(name, r).data
		if !strings.HasSuffix(message, "\r\n") {
			message += "\r\n"
		}
		if !strings.HasSuffix(signed[name], message) {
			got, want := fromTheEnd(signed[name], message)
			o.t.Errorf("%s: signed, but changed up to\n%q\nwant\n%q", name, got, want)
		}
	}
	r.stop()
	return signed
}

func TestOpenDKIMPassage(t *testing.T) {
	dir := realDir(t)
	mustExec(t, "opendkim-genkey", "-a", "-b", "2048", "-s", "od", "-d", "srs.example", "-D", dir)
	record, err := os.ReadFile(filepath.Join(dir, "od.txt"))
	if err != nil {
		t.Fatal(err)
	}
	public, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writePrivateKey(t, filepath.Join(dir, "ed.private"), ed, 0o600)
	o := newOpenDKIM(t, string(record)+txtRecord(t, "ed._domainkey.srs.example", public))
	letters := odd()
	// At the top, this From would be taken for a line of an mbox file.
	letters["spacecolon"] = "To: sue@b.example\r\nFrom : joe@a.example\r\nSubject\t: hello\r\n\r\nHi.\r\n"
	letters["route"] = strings.Replace(letters["obsolete"], "a . example", "a.example", 1)
	signed := o.sign(letters)
	key := filepath.Join(dir, "od.private")
	plain, copies := o.passage(nil, `^Received: `, signed)
	forwarder := map[string]string{
		"srs_domain": "srs.example", "srs_secrets_file": "{dir}/srs.secrets", "mailauth_enable": "yes", "dns_servers": o.names.Addr,
		"dkim_keys": "inline:{ { srs.example = od " + key + ", ed " + filepath.Join(dir, "ed.private") + " } }", "dkim_sign_forwarded": "yes",
		"arc_sign_domain": "srs.example", "arc_sign_selector": "od", "arc_key_file": key,
	}
	without := maps.Clone(signed)
	delete(without, "obsolete") // a domain in From with a space in it is refused; "route" is the rest of it
	_, more := o.passage(forwarder, `^ARC-Seal: i=1; (?s:.*)\r\nDKIM-Signature: (?s:.*)\r\nAuthentication-Results: mx\.alias\.example;(?s:.*)\r\nReceived: `, without)
	all := map[string]string{}
	for kind, messages := range map[string]map[string]string{"signed": signed, "plain": copies, "forwarder": more} {
		for name, message := range messages {
			all[kind+"-"+name] = message
		}
	}
	all["changed"] = strings.Replace(signed["plain"], "How are", "How  are", 1)
	opendkim := o.judge(all)
	opinions := o.verify(all)
	for name, op := range opinions {
		theirs := []string{"pass", "pass", "pass", "pass"} // relaxed/relaxed first, simple/simple last
		python, milter := theirs, theirs
		switch {
		case name == "changed":
			theirs = []string{"pass", "not", "pass", "not"} // two spaces are one to a relaxed body
			python, milter = theirs, theirs
		case strings.Contains(name, "-spacecolon"):
			// The space before the colon is no part of what a milter is told: OpenDKIM signs and
			// verifies simple forms without it, before as after. dkimpy reads no such field.
			theirs = []string{"pass", "pass", "not", "not"}
			python = []string{"unread"}
		}
		want, perl, seal := theirs, theirs, "none"
		if strings.HasPrefix(name, "forwarder-") { // two of ours on top, the second Ed25519
			both := []string{"pass", "pass"}
			want, perl, milter = slices.Concat(both, want), slices.Concat([]string{"pass", "unknown"}, perl), slices.Concat(both, milter)
			if python[0] != "unread" {
				python = slices.Concat(both, python)
			}
			seal = "pass"
		}
		if !slices.Equal(op.ours, want) || !slices.Equal(op.python, python) || !slices.Equal(op.perl, perl) || !slices.Equal(opendkim[name], milter) {
			t.Errorf("%s: ours %v, dkimpy %v, Mail::DKIM %v, OpenDKIM %v", name, op.ours, op.python, op.perl, opendkim[name])
		}
		if strings.HasSuffix(name, "-DATA") {
			continue // half of them: a process each takes its time
		}
		if got, cv := o.checked(plain, all[name]); !slices.Equal(got, want) || cv != seal {
			t.Errorf("%s: check message finds %v and the ARC chain %s", name, got, cv)
		}
	}
}

// passage sends signed messages through a relay, and returns a copy of each that leaves it,
// by its name and way in: exactly as it came, below what matches top.
func (o *openDKIM) passage(set map[string]string, top string, signed map[string]string) (r *relay, arrived map[string]string) {
	o.t.Helper()
	t := o.t
	hops := map[string]*hop{
		"full": newHop(t, "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING"),
		"data": newHop(t, "PIPELINING", "8BITMIME"),
		"bare": newHop(t),
	}
	cf := base(nil)
	maps.Copy(cf, set)
	cf["message_size_limit"], cf["local_header_rewrite_clients"] = "40960000", ""
	cf["virtual_alias_maps"], cf["transport_maps"] = "inline:{", "inline:{"
	for name, h := range hops {
		_, port, _ := net.SplitHostPort(h.addr)
		cf["virtual_alias_maps"] += "{" + name + "@alias.example=x@" + name + ".example} "
		cf["transport_maps"] += "{" + name + ".example=smtp:[127.0.0.1]:" + port + "} "
	}
	cf["virtual_alias_maps"] += "}"
	cf["transport_maps"] += "}"
	r = newRelay(t, cf, map[string]string{})
	r.secrets()
	r.start()
	begins := regexp.MustCompile(top)
	arrived = map[string]string{}
	ways := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		for _, in := range []string{"DATA", "BDAT"} {
			submitRaw(t, r.smtp, in, signed[name], "full@alias.example", "data@alias.example", "bare@alias.example")
			for hopName, h := range hops {
				what := fmt.Sprintf("%s by %s to %s", name, in, hopName)
				m := h.next(what, r)
				ways[hopName+" "+m.by]++
				above, exact := strings.CutSuffix(m.data, signed[name])
				if !exact || !begins.MatchString(above) || strings.Contains(above, "\r\n\r\n") {
					got, want := fromTheEnd(m.data, signed[name])
					t.Errorf("%s (by %s): other bytes arrive, up to\n%q\nwant\n%q\nabove it\n%.3000s", what, m.by, got, want, above)
				}
				if in == "BDAT" || len(m.data) < 1<<20 { // the huge ones once: verifying takes its time
					arrived[name+"-"+in] = m.data
				}
			}
		}
	}
	for _, way := range []string{"full BDAT", "data DATA", "bare DATA"} {
		if ways[way] == 0 {
			t.Errorf("nothing left to %s: %v", way, ways)
		}
	}
	r.waitEmpty()
	r.stop()
	return r, arrived
}
