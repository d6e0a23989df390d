package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// launderLetter is a message of an author, with room for its number.
func launderLetter(from string) string {
	return from + "\r\nTo: info@alias.example\r\nX-Case: 0\r\nSubject: laundry\r\nMessage-ID: <1@evil.example>\r\nDate: Mon, 1 Dec 2025 00:00:00 +0000\r\n\r\nWire the money.\r\n"
}

// launderConfigs are the ways in which a relay lends its name.
type launderConfig struct {
	name       string
	srs        string // srs_domain
	hosted     string // beside alias.example
	aligned    string // what start says without srs_domain_allow_aligned; "": it starts
	sign, seal bool   // dkim_sign_forwarded, arc_sign_domain
	keys       string // domains of dkim_keys
	more       map[string]string
}

func launderConfigs() (list []launderConfig) {
	tag := map[string]string{"hosted_author_action": "tag", "hosted_author_temperror_action": "tag", "dmarc_reject_action": "tag"}
	for _, c := range []launderConfig{
		{name: "separate", srs: "srs.example"},
		{name: "sibling", srs: "srs.corp.example", hosted: "mail.corp.example", aligned: `srs\.corp\.example and mail\.corp\.example of virtual_alias_domains are of one organisation, corp\.example`},
		{name: "child", srs: "srs.alias.example", aligned: `srs\.alias\.example lies within alias\.example of virtual_alias_domains`},
		{name: "parent", srs: "parent.example", hosted: "mail.parent.example", aligned: `mail\.parent\.example of virtual_alias_domains lies within parent\.example`},
		{name: "same", srs: "alias.example", aligned: `alias\.example is itself a domain of virtual_alias_domains`},
	} {
		c.hosted += " other.example"
		for i, on := range [][2]bool{{false, false}, {true, true}, {true, false}, {false, true}} {
			if i > 1 && c.name != "separate" {
				break
			}
			c := c
			c.sign, c.seal = on[0], on[1]
			if c.name += ", plain"; c.sign || c.seal {
				c.name = fmt.Sprintf("%s, sign %v, seal %v", c.name, c.sign, c.seal)
				c.keys = "alias.example mail.corp.example .corp.example .parent.example parent.example mail.parent.example " + c.srs
			}
			list = append(list, c)
		}
		// Rules that let everything in must not lend a name either.
		c.name, c.sign, c.seal, c.more = c.name+", tag", true, true, tag
		c.keys = "alias.example .corp.example mail.corp.example parent.example " + c.srs
		list = append(list, c)
	}
	// A sender that is kept (srs_exclude) at the domain of a customer that lists us.
	exclude, stay := maps.Clone(tag), maps.Clone(tag)
	stay["srs_enable"] = "no"
	exclude["srs_exclude"] = "included.example soft.example alias.example"
	return append(list, launderConfig{name: "senders stay", srs: "srs.example", more: map[string]string{"srs_enable": "no"}},
		launderConfig{name: "senders stay, tag", srs: "srs.example", sign: true, seal: true, keys: "srs.example alias.example", more: stay},
		launderConfig{name: "excluded", srs: "srs.example", more: map[string]string{"srs_exclude": "included.example soft.example"}},
		launderConfig{name: "excluded, tag", srs: "srs.example", sign: true, seal: true, keys: "srs.example alias.example", more: exclude})
}

// launderMatrix are all authors with all proofs that a message can have.
func (w *launderWorld) launderMatrix() (list []*launderMail) {
	for _, author := range []string{
		"alias.example", "Sub.Alias.Example", "mail.corp.example", "corp.example", "x.corp.example", "mail.parent.example", "parent.example",
		"other.parent.example", "srs.example", "x.srs.example", "included.example", "soft.example", "evil.example", "mx.alias.example",
	} {
		low := strings.ToLower(author)
		from, letter := "boss@"+low, launderLetter("From: Boss <boss@"+author+">")
		add := func(name, ip, helo, from, message string, must bool) {
			list = append(list, &launderMail{name: author + ": " + name, ip: ip, helo: helo, from: from, authors: []string{low}, message: message, mustLeave: must})
		}
		add("no proof", evilIP, "evil.example", "x@nothing.example", letter, false)
		add("SPF of another", evilIP, "evil.example", "x@evil.example", letter, low == "evil.example")
		add("DKIM of another", evilIP, "evil.example", "x@evil.example", w.signed("evil.example", letter, false), low == "evil.example")
		add("path that SPF denies", evilIP, "evil.example", from, letter, low == "evil.example")
		add("softfail", evilIP, "evil.example", "boss@soft.example", letter, false)
		add("SPF temperror", evilIP, "evil.example", "x@broken.example", letter, false)
		add("DKIM temperror", evilIP, "evil.example", "x@evil.example", w.signed("gone.example", letter, false), low == "evil.example")
		add("null sender", evilIP, "evil.example", "", letter, low == "evil.example")
		add("null sender, our HELO", evilIP, "mx.alias.example", "", letter, false)
		add("path of ours", evilIP, "evil.example", "x@alias.example", letter, false)
		add("path at srs_domain", evilIP, "evil.example", "x@srs.example", letter, false)
		add("path that names us", evilIP, "evil.example", "x@included.example", letter, false)
		// Genuine.
		if slices.Contains(launderSigners, low) {
			add("DKIM", evilIP, "evil.example", "x@evil.example", w.signed(low, letter, false, "subject", "to"), true)
			list[len(list)-1].keeps = true
		}
		if low == "alias.example" || low == "included.example" || low == "mail.corp.example" {
			add("SPF", goodIP, low, from, letter, true)
		}
	}
	return list
}

// The matrix of the three ways: a copy has no proof that its original had not.
func TestNoLaundering(t *testing.T) {
	w := newLaunderWorld(t)
	list := w.launderMatrix()
	for _, c := range launderConfigs() {
		t.Run(c.name, func(t *testing.T) {
			sink := newSink(t)
			cf := w.base(sink, c.hosted)
			cf["srs_domain"] = c.srs
			if c.keys != "" {
				cf["dkim_keys"] = "inline:{ " + w.keyTable(c.keys) + " }"
			}
			if c.sign {
				cf["dkim_sign_forwarded"] = "yes"
			}
			if c.seal {
				cf["arc_sign_domain"], cf["arc_sign_selector"], cf["arc_key_file"] = "ours.example", "s", w.keys["ours.example"]
			}
			maps.Copy(cf, c.more)
			r := w.relay(t, sink, cf)
			if c.aligned != "" {
				out, code := r.run("check", "-c", r.dir)
				if code != 78 {
					t.Errorf("check: exit status %d", code)
				}
				mustMatch(t, "check", out, `fatal: srs_domain \(main\.cf, line \d+\): `+c.aligned)
				cf["srs_domain_allow_aligned"] = "yes"
				r.configure(cf)
			}
			r.start()
			sent := make([]*launderMail, len(list))
			for i := range list {
				m := *list[i]
				sent[i] = &m
			}
			copies := r.all(sent)
			signed, sealed := 0, 0
			for _, m := range copies {
				if strings.HasPrefix(m.Data, "ARC-Seal: ") {
					sealed++
				}
				top, _, _ := strings.Cut(m.Data, "\r\nReceived: ")
				if strings.Contains(top, "DKIM-Signature: ") {
					signed++
				}
			}
			// With power: some are refused, some arrive, signed and sealed where that is on.
			if len(copies) < len(list)/8 || len(copies) == len(list) || (signed > 0) != (c.keys != "") || (sealed == len(copies)) != c.seal {
				t.Errorf("%d of %d were taken, %d signed, %d sealed", len(copies), len(list), signed, sealed)
			}
			r.stop()
		})
	}
}

// keyTable is dkim_keys for domains.
func (w *launderWorld) keyTable(domains string) string {
	table := map[string]bool{}
	for domain := range strings.FieldsSeq(domains) {
		table[fmt.Sprintf("{%s = s %s}", domain, w.keys[strings.TrimPrefix(domain, ".")])] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(table)), ", ")
}
