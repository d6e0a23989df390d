package reversealias

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

func codec(t testing.TB, secrets ...string) *Codec {
	t.Helper()
	c, err := New(append(secrets, "0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMakeAndParse(t *testing.T) {
	c := codec(t)
	for _, names := range [][2]string{
		{"info@alias.example", "joe@example.com"},
		{"a=b=c@alias.example", "x=y@example.com"},
		{"info@alias.example", `"odd user"@example.com`},
		{"Ünï@älias.example", "jöe@exämple.com"},
	} {
		r := mail.Reply{Alias: split(names[0]), Correspondent: split(names[1])}
		a, err := c.Make(r)
		if err != nil {
			t.Fatalf("%v: %v", names, err)
		}
		got, ok := c.Parse(a)
		if !ok || got != r {
			t.Errorf("%s: got %v, %v", a, got, ok)
		}
		// The case that clients write addresses in is theirs.
		if _, ok := c.Parse(mail.Address{Local: strings.ToUpper(a.Local), Domain: strings.ToUpper(a.Domain)}); !ok && strings.ToUpper(a.Local) != "" && isASCII(a.Local) {
			t.Errorf("%s in upper case is not known", a)
		}
		if _, ok := codec(t, "another secret, first").Parse(a); !ok {
			t.Error("an older secret does not verify")
		}
		other, err := New([]string{"a secret that is not"})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := other.Parse(a); ok {
			t.Error("a foreign secret verifies")
		}
		if same, err := c.Make(mail.Reply{Alias: mail.Address{Local: r.Alias.Local, Domain: asciiDomain(r.Alias.Domain)}, Correspondent: mail.Address{Local: r.Correspondent.Local, Domain: asciiDomain(r.Correspondent.Domain)}}); err != nil || same.Local[:13] != a.Local[:13] {
			t.Errorf("%s and %s differ", a, same)
		}
		for i := range a.Local {
			forged := a
			forged.Local = a.Local[:i] + string(a.Local[i]^1) + a.Local[i+1:]
			if f, ok := c.Parse(forged); ok && !strings.EqualFold(forged.Local, a.Local) {
				t.Errorf("%s was taken for %v", forged, f)
			}
		}
	}
	if _, ok := c.Parse(mail.Address{Local: "re=", Domain: "alias.example"}); ok {
		t.Error("nothing is a reverse alias")
	}
	long := mail.Reply{Alias: split("info@alias.example"), Correspondent: split(strings.Repeat("x", 240) + "@example.com")}
	if _, err := c.Make(long); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if _, err := New(nil); err == nil {
		t.Error("no secret was taken")
	}
}

func split(s string) mail.Address { return mail.SplitAddress(strings.ReplaceAll(s, `"`, "")) }

func isASCII(s string) bool { return strings.IndexFunc(s, func(c rune) bool { return c > 127 }) < 0 }

var sent = mail.ReplyLetter{
	Reply: mail.Reply{Alias: mail.Address{Local: "info", Domain: "alias.example"}, Correspondent: mail.Address{Local: "joe", Domain: "example.com"}},
	Owner: mail.Address{Local: "owner", Domain: "home.example"},
	ID:    42, Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
}

func TestRewrite(t *testing.T) {
	const body = "Yours,\r\nowner@home.example is not our business here\r\n.\r\n\x80\r\n"
	in := "Received: from secret.home.example\r\n" +
		"DKIM-Signature: v=1; d=home.example;\r\n\tb=xx\r\n" +
		"From: The Owner <Owner@home.example>\r\n" +
		"To: re=abc@alias.example, somebody@elsewhere.example\r\n" +
		"Cc: other@home.example\r\n" +
		"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n folded\r\n" +
		"Message-ID: <1@pc.home.example>\r\n" +
		"In-Reply-To: <q@example.com>\r\n" +
		"References: <a@home.example> <b@x.example>\r\n\t<c@pc.home.example>\r\n <q@example.com>\r\n" +
		"Date: Sun, 1 Mar 2026 11:00:00 +0000\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=x\r\n" +
		"User-Agent: pc.home.example\r\nX-Originating-IP: [192.0.2.1]\r\n\r\n"
	want := "From: info@alias.example\r\nTo: joe@example.com\r\nMessage-ID: <" + sent.ID.String() + "@alias.example>\r\n" +
		"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n folded\r\n" +
		"In-Reply-To: <q@example.com>\r\n" +
		"References: <b@x.example>\r\n <q@example.com>\r\n" +
		"Date: Sun, 1 Mar 2026 11:00:00 +0000\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=x\r\n\r\n"
	var b strings.Builder
	if err := codec(t).Rewrite(&b, strings.NewReader(in+body), sent); err != nil || b.String() != want+body {
		t.Errorf("%v, got\n%s\nwant\n%s", err, b.String(), want+body)
	}
	for domain, want := range map[string]string{"Alias.Example": "alias.example", "älias.example": "xn--lias-koa.example"} {
		if got := codec(t).Author(mail.Reply{Alias: mail.Address{Local: "info", Domain: domain}}); got != want {
			t.Errorf("the author at %s is %s", domain, got)
		}
	}
	b.Reset()
	if err := codec(t).Rewrite(&b, strings.NewReader("From: owner@home.example\r\n\r\n"), sent); err != nil || !strings.Contains(b.String(), "\r\nDate: Sun, 1 Mar 2026 12:00:00 +0000\r\n\r\n") {
		t.Errorf("no date: %v, %q", err, b.String())
	}
}

// Which message IDs go on: none of the owner's domain, however it is written, and of many the
// newest.
func TestForeignIDs(t *testing.T) {
	l := &letter{sent}
	for in, want := range map[string]string{
		"<a@client.test><own1@home.example>":           "<a@client.test>",
		"<own3@mail.home.example>,<own4@HOME.example>": "",
		`<"x@y"@home.example> <z@home.example.>`:       "",
		"<a@client.test>(c)<own@home.example>":         "<a@client.test>",
		"<a@home.example (c)> <a@home\t.example> <a@(x)home.example> <a@[home.example]> <a%home.example@evil.test> <ok@evil.test>": "<ok@evil.test>",
		"(<own@home.example>) <a@b> owner@home.example": "<a@b>",
		`"<own@home.example>" <a@b`:                     "",
		"<a@b> <no-domain> <c@nothome.example>":         "<a@b>\r\n <c@nothome.example>",
	} {
		if got := l.foreignIDs(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "<%d@client.test> ", i)
	}
	got := l.foreignIDs(many.String())
	if len(got) > maxIDs || !strings.HasSuffix(got, "<999@client.test>") {
		t.Errorf("%d bytes, ending in %q", len(got), got[max(len(got)-30, 0):])
	}
}

func TestRewriteRefuses(t *testing.T) {
	for in, want := range map[string]error{
		"From: stranger@home.example\r\n\r\n":                            ErrAuthor,
		"From: owner@home.example, b@home.example\r\n\r\n":               ErrAuthor,
		"From: owner@home.example\r\nFrom: owner@home.example\r\n\r\n":   ErrAuthor,
		"From: <owner@home.example\r\n\r\n":                              ErrAuthor,
		"Subject: x\r\n\r\n":                                             ErrAuthor,
		" From: owner@home.example\r\n\r\n":                              ErrHeader,
		"From: owner@home.example\r\nno colon\r\n\r\n":                   ErrHeader,
		"From: owner@home.example\r\nX: " + strings.Repeat("x", 300<<10): ErrHeader,
		"": ErrHeader,
	} {
		var b strings.Builder
		if err := codec(t).Rewrite(&b, strings.NewReader(in), sent); !errors.Is(err, want) || b.Len() > 0 {
			t.Errorf("%.60q: %v, %d bytes written", in, err, b.Len())
		}
	}
}

// FuzzRewrite: whatever an owner writes, no field of what goes on names the owner's domain
// but for those that go on as they are, and the header has one From.
func FuzzRewrite(f *testing.F) {
	f.Add("From: owner@home.example\r\nReferences: <a@home.example><b@c>\r\n\r\nbody")
	f.Add("From: owner@home.example\r\nX: y\n z\r\n\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		var b strings.Builder
		if codec(t).Rewrite(&b, strings.NewReader(in), sent) != nil {
			return
		}
		head, _, _ := strings.Cut(b.String(), "\r\n\r\n")
		if strings.Count("\r\n"+head, "\r\nFrom:") != 1 && !strings.Contains(in, "\nFrom:") {
			t.Errorf("%q became\n%s", in, head)
		}
	})
}

// FuzzParse: what is taken for a reverse alias is one that can be made.
func FuzzParse(f *testing.F) {
	c := codec(f)
	a, _ := c.Make(sent.Reply)
	f.Add(a.Local, a.Domain)
	f.Add("re=aaaaaaaaaa=b=c=d", "e")
	f.Fuzz(func(t *testing.T, local, domain string) {
		r, ok := c.Parse(mail.Address{Local: local, Domain: domain})
		if !ok {
			return
		}
		if b, err := c.Make(r); err != nil || !strings.EqualFold(b.Local, local) {
			t.Errorf("%q@%q is %v, whose reverse alias is %v, %v", local, domain, r, b, err)
		}
	})
}

func TestCorrespondent(t *testing.T) {
	for in, want := range map[string]string{
		"From: Joe <joe@example.com>\r\n\r\n":                              "joe@example.com",
		"From: joe@example.com\r\nReply-To: List <l@list.example>\r\n\r\n": "l@list.example",
		"From: joe@example.com\r\nReply-To: a@b, c@d\r\n\r\n":              "",
		"From: a@b.example, c@d.example\r\n\r\n":                           "",
		"From: a@b\r\nFrom: c@d\r\n\r\n":                                   "",
		"Subject: x\r\n\r\n":                                               "",
		"no header":                                                        "",
	} {
		a, given, ok := Correspondent(strings.NewReader(in))
		if given != strings.Contains(in, "Reply-To") {
			t.Errorf("%q: Reply-To %v", in, given)
		}
		if ok != (want != "") || ok && a.String() != want {
			t.Errorf("%q: %v, %v", in, a, ok)
		}
	}
	b, err := codec(t).Field("X-Reply-Alias", sent.Reply)
	if err != nil || !strings.HasPrefix(string(b), "X-Reply-Alias: <re=") || !strings.HasSuffix(string(b), "=example.com=joe=info@alias.example>\r\n") {
		t.Errorf("%q, %v", b, err)
	}
}
