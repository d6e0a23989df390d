package integration

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/dns"
	"aliasmx/internal/mailauth/arc"
)

// arcShapes are messages of the kinds that break signatures.
var arcShapes = map[string]string{
	"plain":       "From: Ann <ann@author.example>\r\nTo: info@alias.example\r\nSubject: hello\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <1@author.example>\r\n\r\nHello.\r\n",
	"no body":     "From: ann@author.example\r\nSubject: nothing\r\n\r\n",
	"empty lines": "From: ann@author.example\r\nSubject: end\r\n\r\n\r\nHello.\r\n\r\n\r\n\r\n",
	"white space": "From:   ann@author.example  \r\nSubject:\ta \t b  \r\nX-Empty:\r\n\r\n  a \t b  \r\n \t \r\nc\t\r\n  \r\n",
	"folded":      "From: Ann\r\n <ann@author.example>\r\nTo: a@alias.example,\r\n\tb@alias.example,\r\n  c@alias.example\r\nSubject: =?utf-8?q?a?=\r\n =?utf-8?q?b?=\r\n\r\nHello.\r\n",
	"8-bit":       "From: =?utf-8?q?B=C3=BCcher?= <ann@author.example>\r\nSubject: B\xc3\xbccher\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\n\r\nGr\xc3\xbc\xc3\x9fe, \xff\xfe\r\n",
	"long lines":  "From: ann@author.example\r\nSubject: " + strings.Repeat("long ", 300) + "\r\n\r\n" + strings.Repeat("0123456789", 500) + "\r\n",
	"twice":       "From: ann@author.example\r\nTo: a@alias.example\r\nX-A: 1\r\nTo: b@alias.example\r\nX-A: 2\r\nSubject: two\r\nReply-To: x@author.example\r\n\r\nHello.\r\n",
	"list": "DKIM-Signature: v=1; a=rsa-sha256; d=list.example; s=x; h=from; bh=AAAA; b=AAAA\r\nList-Id: <l.list.example>\r\nList-Unsubscribe: <https://list.example/u>\r\n" +
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFROM: ann@author.example\r\nsubject: caps\r\nSender: l@list.example\r\nResent-From: r@author.example\r\n\r\nHello.\r\n",
	"multipart": "From: ann@author.example\r\nSubject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n\tboundary=\"b\"\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>text</p>\r\n--b--\r\n",
	"dots":      "From: ann@author.example\r\nSubject: dots\r\n\r\n.\r\n..\r\n.a\r\nFrom here\r\n",
}

// ours is the status of a chain by our own verifier.
func (w *arcWorld) ours(message string) arcAnswer {
	w.t.Helper()
	c, err := arc.Verify(w.t.Context(), strings.NewReader(message), arc.VerifyOptions{Resolver: dns.New(dns.Options{Servers: []string{w.dns.Addr}})})
	if err != nil {
		w.t.Fatal(err)
	}
	return arcAnswer{CV: string(c.CV), Error: c.Reason}
}

// everybody has all verifiers look at a message, and wants one status of them.
func (w *arcWorld) everybody(what, message, want string) {
	w.t.Helper()
	for name, got := range map[string]arcAnswer{
		"aliasmx": w.ours(message), "dkimpy": w.python.ask("verify", message, nil), "Mail::DKIM": w.perl.ask("verify", message, nil),
	} {
		ok := got.CV == want
		if want == "fail" { // Mail::DKIM has a word for each way to fail
			ok = got.CV != "pass" && got.CV != "none"
		}
		if !ok {
			w.t.Errorf("%s: %s says %q, want %s: %s\n%s", what, name, got.CV, want, got.Error, message)
		}
	}
}

// TestARCBesideOthers: chains of one to five sets that we, dkimpy and Mail::DKIM make in
// turns are good for everybody, and changed ones for nobody.
func TestARCBesideOthers(t *testing.T) {
	w := newARCWorld(t)
	for turn, shape := range slices.Sorted(maps.Keys(arcShapes)) {
		message := arcShapes[shape]
		for n := 1; n <= 5; n++ {
			domain := arcDomains[(turn+n)%3]
			message = w.seal(domain, "Received: from x by mx."+domain+" with ESMTP; Tue, 14 Nov 2023 22:13:21 +0000\r\n"+message, n)
			w.everybody(fmt.Sprintf("%s, %d sets, the last by %s", shape, n, domain), message, "pass")
			if n == 1 || n == 4 {
				w.tampered(shape, message, n)
			}
		}
	}
}

// tampered changes a message whose chain of n sets holds.
func (w *arcWorld) tampered(shape, message string, n int) {
	w.t.Helper()
	header, body, _ := strings.Cut(message, "\r\n\r\n")
	field := func(name string, i int) string {
		// A field with all of its lines.
		return regexp.MustCompile(fmt.Sprintf(`(?m)^%s: +i=%d;.*\r\n([ \t].*\r\n)*`, name, i)).FindString(header + "\r\n")
	}
	changes := map[string]string{
		"body":    header + "\r\n\r\nAdded.\r\n" + body,
		"subject": regexp.MustCompile(`(?mi)^subject:`).ReplaceAllString(header, "Subject: buy") + "\r\n\r\n" + body,
		"from":    strings.ReplaceAll(header, "ann@author", "eve@author") + "\r\n\r\n" + body,
		"results": strings.Replace(header, "spf=pass", "spf=fail", 1) + "\r\n\r\n" + body,
	}
	for _, name := range []string{"ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"} {
		for _, i := range []int{1, n} {
			f := field(name, i)
			if f == "" {
				w.t.Fatalf("%s: no %s of instance %d\n%s", shape, name, i, header)
			}
			changes[fmt.Sprintf("%s %d taken out", name, i)] = strings.Replace(message, f, "", 1)
		}
	}
	if seal := field("ARC-Seal", n); n > 1 {
		changes["cv=none above"] = strings.Replace(message, seal, strings.Replace(seal, "cv=pass", "cv=none", 1), 1)
	}
	for what, changed := range changes {
		if changed == message {
			w.t.Fatalf("%s: %s changes nothing\n%s", shape, what, message)
		}
		w.everybody(fmt.Sprintf("%s, %d sets, changed: %s", shape, n, what), changed, "fail")
	}
}
