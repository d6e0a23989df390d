package arc

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestKeys(t *testing.T) {
	rsaRecord, edRecord := record(t, rsaKeyOnce()), record(t, edKey())
	p := rsaRecord[strings.Index(rsaRecord, "p="):]
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, problem string }{
		{rsaRecord, ""},
		{edRecord, ""},
		{p, ""},
		{"p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&rsaKeyOnce().PublicKey)), ""},
		{rsaRecord + ";", ""},
		{rsaRecord + "; n=a note; t=y:s; other=1", ""},
		{rsaRecord + "; h=sha1:sha256; s=email", ""},
		{rsaRecord + "; s=*", ""},
		{record(t, short), ""},
		{rsaRecord + "; h=sha1", "it is not for SHA-256"},
		{rsaRecord + "; s=tlsrpt", "it is not for mail"},
		{"v=DKIM2; " + p, "v=DKIM2 is not known"},
		{"v=DKIM1; k=rsa", "p= is missing"},
		{"v=DKIM1; p=", "it is revoked"},
		{"p=!", "p= is not base64"},
		{"p=QUJD", "p= is no RSA key"},
		{"k=ed25519; p=QUJD", "k=ed25519 with 3 octets is not supported"},
		{"k=dsa; " + p, "k=dsa with"},
		{rsaRecord + "; p=QUJD", "p= stands there twice"},
	} {
		_, err := parseKey(c.text, 1024)
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v, want %q", shown(c.text), err, c.problem)
		}
	}
	if _, err := parseKey(record(t, short), 2048); err == nil || err.Error() != "it has 1024 bits" {
		t.Errorf("a key that is too short: %v", err)
	}
	w := newWorld(t)
	m := w.chain(t, 1)
	w.AddTXT("sel._domainkey.rsa.example", rsaRecord)
	if c := w.verify(t, m); c.CV != mail.AuthFail || !strings.Contains(c.Reason, "there are 2 records") {
		t.Errorf("two records: %+v", c)
	}
}

func TestSealersThatCannotBe(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := SealerOptions{Domain: "a.example", Selector: "2026", Key: edKey(), AuthservID: "mx.a.example"}
	for name, c := range map[string]struct {
		change  func(*SealerOptions)
		problem string
	}{
		"good":          {func(*SealerOptions) {}, ""},
		"dotted":        {func(o *SealerOptions) { o.Selector = "k1.mail" }, ""},
		"short key":     {func(o *SealerOptions) { o.Key = short }, "1024 bits is too short"},
		"no key":        {func(o *SealerOptions) { o.Key = nil }, "RSA or Ed25519"},
		"no domain":     {func(o *SealerOptions) { o.Domain = "" }, `the domain "" is no name`},
		"domain":        {func(o *SealerOptions) { o.Domain = "a;b" }, "is no name"},
		"selector":      {func(o *SealerOptions) { o.Selector = "a b" }, "is no name"},
		"U-label":       {func(o *SealerOptions) { o.Domain = "bücher.example" }, "A-labels"},
		"no authserv":   {func(o *SealerOptions) { o.AuthservID = "" }, "who says the results"},
		"authserv, LF":  {func(o *SealerOptions) { o.AuthservID = "a\r\nb" }, "who says the results"},
		"authserv, ;":   {func(o *SealerOptions) { o.AuthservID = "a;b" }, "who says the results"},
		"authserv, EAI": {func(o *SealerOptions) { o.AuthservID = "mx.bücher.example" }, ""},
	} {
		o := good
		c.change(&o)
		_, err := NewSealer(o)
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v, want %q", name, err, c.problem)
		}
	}
}
