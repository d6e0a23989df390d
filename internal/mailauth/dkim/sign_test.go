package dkim

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// fields are short lists, to see what they do.
func fields() Fields {
	return Fields{Sign: []string{"List-Id", "From"}, Oversign: []string{"from", "To", "Cc", "Subject"}}
}

func makeFor(t testing.TB, keys []Key, f Fields, message string) string {
	t.Helper()
	made, err := Make(strings.NewReader(message), keys, f, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	return string(made)
}

// second asks go-msgauth.
func second(t testing.TB, z *dnstest.Zone, message string) (good []bool) {
	t.Helper()
	list, err := msgauth.VerifyWithOptions(strings.NewReader(message), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return z.Resolver().TXT(t.Context(), name) },
	})
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	for _, v := range list {
		good = append(good, v.Err == nil)
	}
	return good
}

// TestMake: what we sign verifies, here and elsewhere, with both kinds of keys.
func TestMake(t *testing.T) {
	keys, z := twoKeys(t, "a.example")
	for name, message := range map[string]string{
		"plain":           plainHeader + "\r\n" + plainBody,
		"empty body":      plainHeader + "\r\n",
		"no From":         "Subject: x\r\n\r\n" + plainBody,
		"odd fields":      "FROM:joe@a.example\r\nsubject \t:\r\n\tfolded \r\n \t\r\nTo:\r\nList-ID: <x>\r\nlist-id:\r\n\r\n" + plainBody,
		"8-bit":           "From: é@a.example\r\nSubject: \xff\xfe\r\n\r\n\xff\x00 \t\r\n\r\n\r\n",
		"long":            "From: joe@a.example\r\nSubject: " + strings.Repeat("x", 5000) + "\r\n\r\n" + strings.Repeat("y ", 50000) + "\r\n",
		"no end":          plainHeader + "\r\nabc",
		"signed before":   forge(t, Key{"b.example", "x", edKey()}, nil, plainHeader, plainBody),
		"many recipients": "From: a@a.example\r\n" + strings.Repeat("To: b@b.example\r\n", 300) + "\r\nx\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			signed := makeFor(t, keys, fields(), message) + message
			sigs := verify(t, z, signed)
			if len(sigs) < 2 || sigs[0].Result != mail.AuthPass || sigs[1].Result != mail.AuthPass {
				t.Errorf("ours: %+v", sigs)
			}
			if got := second(t, z, signed); len(got) < 2 || !got[0] || !got[1] {
				t.Errorf("go-msgauth: %v", got)
			}
			for line := range strings.Lines(signed[:strings.LastIndex(signed, message)]) {
				if len(line) > 80 {
					t.Errorf("a line of %d bytes: %s", len(line), line)
				}
			}
		})
	}
}

// TestMake_Tags: what is written.
func TestMake_Tags(t *testing.T) {
	message := "Subject: 1\r\nFrom: a@a.example\r\nList-Id: 1\r\nList-Id: 2\r\nX: y\r\n\r\nHi.\r\n"
	made, err := Make(strings.NewReader(message), []Key{{"a.example", "ed", edKey()}}, fields(), now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(made), "bh=")
	want := "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n\td=a.example; s=ed;\r\n" +
		"\tt=1800000000; x=1800003600;\r\n\th=From:From:To:Cc:Subject:Subject:List-Id:List-Id;\r\n\t"
	if head != want {
		t.Errorf("got %q\nwant %q", head, want)
	}
}

// TestMake_Oversigned: what may be added later, and what not.
func TestMake_Oversigned(t *testing.T) {
	keys, z := twoKeys(t, "a.example")
	message := "From: a@a.example\r\nTo: b@b.example\r\nList-Id: x\r\n\r\nHi.\r\n"
	signed := makeFor(t, keys, fields(), message) + message
	for field, want := range map[string]mail.AuthResult{
		"From: evil@a.example\r\n": mail.AuthFail,
		"Subject: buy\r\n":         mail.AuthFail,
		"Cc: c@c.example\r\n":      mail.AuthFail,
		"X-New: x\r\n":             mail.AuthPass,
		"Received: x\r\n":          mail.AuthPass,
		"List-Id: other\r\n":       mail.AuthPass, // on top of the one that is signed
	} {
		for _, changed := range []string{field + signed, strings.Replace(signed, "\r\n\r\n", "\r\n"+field+"\r\n", 1)} {
			if field == "List-Id: other\r\n" && !strings.HasPrefix(changed, field) {
				want = mail.AuthFail
			}
			for _, s := range verify(t, z, changed) {
				if s.Result != want {
					t.Errorf("%q added: %+v, want %s", field, s, want)
				}
			}
		}
	}
}

// TestAsSent: stray CRs and LFs are signed as they leave.
func TestAsSent(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "",
		"a\r\n":              "a\r\n",
		"a":                  "a\r\n",
		"a\rb\nc\r\n":        "a b\r\nc\r\n",
		"a\r\r\n\n\r":        "a \r\n\r\n \r\n",
		"\n":                 "\r\n",
		"a\r\n\r\nb\r\nc\rd": "a\r\n\r\nb\r\nc d\r\n",
	} {
		got, err := io.ReadAll(newAsSent(strings.NewReader(in)))
		if string(got) != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	long := strings.Repeat("x\r", 9000) + "\n"
	got, err := io.ReadAll(newAsSent(iotestOneByte{strings.NewReader(long)}))
	if want := strings.Repeat("x ", 8999) + "x\r\n"; string(got) != want || err != nil {
		t.Errorf("got %d bytes, want %d, %v", len(got), len(want), err)
	}
}

type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// TestCheckFieldName: fields that change on the way cannot be signed.
func TestCheckFieldName(t *testing.T) {
	for name, good := range map[string]bool{"From": true, "X-Own": true, "": false, "a b": false, "a:b": false, "é": false, "Received": false, "return-PATH": false, "DKIM-Signature": false} {
		if err := CheckFieldName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestFieldsNames: no list leaves From out.
func TestFieldsNames(t *testing.T) {
	header, err := readHeader(crlfReader(strings.NewReader("From: a\r\nfrom: b\r\nTo: c\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	x := makeIndex(header)
	if got := (Fields{}).names(x); !slices.Equal(got, []string{"From", "From", "From"}) {
		t.Errorf("%q", got)
	}
	if got := (Fields{Sign: []string{"to", "Cc"}}).names(x); !slices.Equal(got, []string{"From", "From", "From", "to"}) {
		t.Errorf("%q", got)
	}
	if !bytes.Equal(header[0].value(), []byte(" a\r\n")) {
		t.Errorf("%q", header[0].value())
	}
}
