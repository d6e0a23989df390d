package arc

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

func TestKeys(t *testing.T) {
	rsaRecord, edRecord := record(t, rsaKeyOnce()), record(t, edKey())
	p := rsaRecord[strings.Index(rsaRecord, "p="):]
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	asks := func(text, algorithm string, minBits int) error {
		z := dnstest.New(t, "")
		z.AddTXT("sel._domainkey.a.example", text)
		k := keys{resolver: z.Resolver(), minBits: minBits, known: map[string]key{}}
		_, err := k.of(t.Context(), &signature{domain: "a.example", selector: "sel", algorithm: algorithm})
		return err
	}
	for _, c := range []struct{ text, problem string }{
		{rsaRecord, ""},
		{p, ""},
		{"p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&rsaKeyOnce().PublicKey)), ""},
		{rsaRecord + ";", ""},
		{rsaRecord + "; n=a note; t=y:s; other=1", ""},
		{rsaRecord + "; h=sha1:sha256; s=email", ""},
		{rsaRecord + "; s=*", ""},
		{record(t, short), ""},
		{rsaRecord + "; h=sha1", "the key is not for sha256"},
		{rsaRecord + "; s=tlsrpt", "the key is not for mail"},
		{"v=DKIM2; " + p, "none of DKIM1"},
		{"v=DKIM1; k=rsa", "has no key"},
		{"v=DKIM1; p=", "is revoked"},
		{"p=!", "is malformed"},
		{"p=QUJD", "is malformed"},
		{"k=ed25519; p=QUJD", "an Ed25519 key has 32 bytes, not 3"},
		{"k=dsa; " + p, "k=dsa is not known"},
		{rsaRecord + "; p=QUJD", "stands there twice"},
		{edRecord, "the key is one of ed25519"},
	} {
		err := asks(c.text, algorithmRSA, 1024)
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v, want %q", shown(c.text), err, c.problem)
		}
	}
	if err := asks(edRecord, algorithmEd25519, 1024); err != nil {
		t.Errorf("Ed25519: %v", err)
	}
	if err := asks(record(t, short), algorithmRSA, 2048); err == nil || err.Error() != "the key has only 1024 bits" {
		t.Errorf("a key that is too short: %v", err)
	}
	w := newWorld(t)
	m := w.chain(t, 1)
	w.AddTXT("sel._domainkey.rsa.example", rsaRecord)
	if c := w.verify(t, m); c.CV != mail.AuthFail || !strings.Contains(c.Reason, "there are several keys") {
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
