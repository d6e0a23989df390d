package dkim

import (
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// TestVerify_Signatures: what is wrong with a signature, and what only looks so. Each is
// right in all else: its hashes and its signature are over what it says.
func TestVerify_Signatures(t *testing.T) {
	k := Key{"a.example", "ed", edKey()}
	z := zoneOf(t, k)
	z.AddTXT("under_score._domainkey.a.example", record(t, k.Private))
	z.AddTXT("20260101._domainkey.a.example", record(t, k.Private))
	z.AddTXT("ed._domainkey.xn--bcher-kva.example", record(t, k.Private))
	for _, c := range []struct {
		name   string
		tags   map[string]string
		want   mail.AuthResult
		reason string
	}{
		{"plain", nil, mail.AuthPass, ""},
		{"RFC6376_3.5_unknown version", map[string]string{"v": "8"}, mail.AuthPermError, "v=8"},
		{"no version", map[string]string{"v": ""}, mail.AuthPermError, "no v="},
		{"RFC8301_3.1 rsa-sha1", map[string]string{"a": "rsa-sha1"}, mail.AuthPermError, "rsa-sha1"},
		{"unknown algorithm", map[string]string{"a": "ed448-sha512"}, mail.AuthPermError, "ed448"},
		{"another key's algorithm", map[string]string{"a": "rsa-sha256"}, mail.AuthPermError, "ed25519"},
		{"d= with other case", map[string]string{"d": "A.Example"}, mail.AuthPass, ""},
		{"i= with other case", map[string]string{"i": "Joe@A.EXAMPLE"}, mail.AuthPass, ""},
		{"i= below d=", map[string]string{"i": "joe@sub.a.example"}, mail.AuthPass, ""},
		{"i= that only ends like d=", map[string]string{"i": "joe@nota.example"}, mail.AuthPermError, "i="},
		{"i= of another domain", map[string]string{"i": "joe@b.example"}, mail.AuthPermError, "i="},
		{"i= with the domain left of its @", map[string]string{"i": "a.example@b.example"}, mail.AuthPermError, "i="},
		{"i= without a domain", map[string]string{"i": "a.example"}, mail.AuthPermError, "i="},
		{"RFC8616_U-label in d=", map[string]string{"d": "bücher.example"}, mail.AuthPass, ""},
		{"RFC8616_U-label in i=, A-label in d=", map[string]string{"d": "xn--bcher-kva.example", "i": "ü@Bücher.example"}, mail.AuthPass, ""},
		{"From is not signed", map[string]string{"h": "to:subject"}, mail.AuthPermError, "From"},
		{"spaces in h=", map[string]string{"h": "from : to :\r\n\tsubject"}, mail.AuthPass, ""},
		{"oversigned", map[string]string{"h": "from:from:to:subject:subject:cc:dkim-signature"}, mail.AuthPass, ""},
		{"t= ahead of us", map[string]string{"t": "1900000000"}, mail.AuthPass, ""},
		{"x= to come", map[string]string{"t": "1799999999", "x": "1800000001"}, mail.AuthPass, ""},
		{"x= now", map[string]string{"x": "1800000000"}, mail.AuthPass, ""},
		{"x= over", map[string]string{"x": "1799999999"}, mail.AuthPermError, "expired"},
		{"x= before t=", map[string]string{"t": "1800000002", "x": "1800000001"}, mail.AuthPermError, "not after"},
		{"x= beyond all numbers", map[string]string{"x": "99999999999999999999999999"}, mail.AuthPass, ""},
		{"x= no number", map[string]string{"x": "-5"}, mail.AuthPermError, "x="},
		{"another query method", map[string]string{"q": "dns/cbor"}, mail.AuthPermError, "dns/txt"},
		{"dns/txt beside another", map[string]string{"q": "dns/cbor : dns/txt"}, mail.AuthPass, ""},
		{"simple/simple", map[string]string{"c": "simple/simple"}, mail.AuthPass, ""},
		{"c= with one word", map[string]string{"c": "relaxed"}, mail.AuthPass, ""},
		{"c= unknown", map[string]string{"c": "nofws/simple"}, mail.AuthPermError, "c="},
		{"l= of all", map[string]string{"l": "21"}, mail.AuthPass, ""},
		{"l= of a part", map[string]string{"l": "3"}, mail.AuthPolicy, "unsigned"},
		{"l= of nothing", map[string]string{"l": "0"}, mail.AuthPolicy, "unsigned"},
		{"l= beyond the end", map[string]string{"l": "22"}, mail.AuthPermError, "l="},
		{"l= no number", map[string]string{"l": "x"}, mail.AuthPermError, "l="},
		{"z= with a b= in it", map[string]string{"z": "From:b=3Dx|Subject:b=abc"}, mail.AuthPass, ""},
		{"an unknown tag", map[string]string{"extra": "b=b=b"}, mail.AuthPass, ""},
		{"a tag twice", map[string]string{"extra": "1; extra=1"}, mail.AuthPermError, "twice"},
		{"no tag at all", map[string]string{"extra": "1; nothing"}, mail.AuthPermError, "malformed"},
		{"bh= of another body", map[string]string{"bh": "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="}, mail.AuthFail, "body hash"},
		{"bh= folded", map[string]string{"bh": "8W+eckuVT5mcET+Z6NEEfI/Gb3gB\r\n\tKMtXA+6Uq0lhddI=\r\n\t"}, mail.AuthPass, ""},
		{"a selector with an underscore", map[string]string{"s": "under_score"}, mail.AuthPass, ""},
		{"a selector that is a number", map[string]string{"s": "20260101"}, mail.AuthPass, ""},
		{"no key", map[string]string{"s": "nobody"}, mail.AuthPermError, "no key"},
		{"no name", map[string]string{"s": "a b"}, mail.AuthPermError, "no key"},
		{"a selector that is none", map[string]string{"s": "a/b"}, mail.AuthPermError, "no name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sigs := verify(t, z, forge(t, k, c.tags, plainHeader, plainBody))
			if len(sigs) != 1 || sigs[0].Result != c.want || !strings.Contains(sigs[0].Reason, c.reason) || c.reason == "" && sigs[0].Reason != "" {
				t.Errorf("got %+v, want %s, %q", sigs, c.want, c.reason)
			}
		})
	}
}

// TestVerify_Keys: what key records say.
func TestVerify_Keys(t *testing.T) {
	ed := strings.TrimPrefix(record(t, edKey()), "v=DKIM1; k=ed25519; ")
	short := newRSA(1024)
	pkcs1 := "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey))
	edk, rk, sk := Key{"a.example", "s", edKey()}, Key{"a.example", "s", rsaKey()}, Key{"a.example", "s", short}
	for _, c := range []struct {
		name    string
		key     Key
		tags    map[string]string
		records []string
		want    mail.AuthResult
		reason  string
	}{
		{"no version", edk, nil, []string{"k=ed25519; " + ed}, mail.AuthPass, ""},
		{"version not first", edk, nil, []string{"k=ed25519; v=DKIM1; " + ed}, mail.AuthPermError, "DKIM1"},
		{"another version", edk, nil, []string{"v=DKIM2; k=ed25519; " + ed}, mail.AuthPermError, "DKIM1"},
		{"revoked", edk, nil, []string{"v=DKIM1; k=ed25519; p="}, mail.AuthPermError, "revoked"},
		{"no p=", edk, nil, []string{"v=DKIM1; k=ed25519"}, mail.AuthPermError, "no key"},
		{"cut", edk, nil, []string{"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7T"}, mail.AuthPermError, "32 bytes"},
		{"not base64", edk, nil, []string{"v=DKIM1; k=ed25519; p=???"}, mail.AuthPermError, "malformed"},
		{"folded", edk, nil, []string{"v=DKIM1; k=ed25519; p= " + strings.ReplaceAll(strings.TrimPrefix(ed, "p="), "", "\t ")}, mail.AuthPass, ""},
		{"k= unknown", edk, nil, []string{"v=DKIM1; k=ed448; " + ed}, mail.AuthPermError, "ed448"},
		{"k= of another kind", rk, nil, []string{record(t, edKey())}, mail.AuthPermError, "ed25519"},
		{"not a DKIM record", edk, nil, []string{"v=spf1 -all"}, mail.AuthPermError, "DKIM1"},
		{"RFC6376_3.6.2.2 several keys", edk, nil, []string{record(t, edKey()), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, mail.AuthPermError, "several"},
		{"the same key twice", edk, nil, []string{record(t, edKey()), "k=ed25519; " + ed}, mail.AuthPermError, "several"},
		{"a key and something else", edk, nil, []string{record(t, edKey()), "v=spf1 -all"}, mail.AuthPermError, "DKIM1"},
		{"one of each kind", edk, nil, []string{pkcs1, record(t, edKey())}, mail.AuthPass, ""},
		{"one of each kind, RSA", rk, nil, []string{pkcs1, record(t, edKey())}, mail.AuthPass, ""},
		{"RSAPublicKey", rk, nil, []string{pkcs1}, mail.AuthPass, ""},
		{"SubjectPublicKeyInfo", rk, nil, []string{record(t, rsaKey())}, mail.AuthPass, ""},
		{"RFC8301_3.2 1024 bits", sk, nil, []string{record(t, short)}, mail.AuthPass, ""},
		{"h= with sha256", edk, nil, []string{"v=DKIM1; k=ed25519; h=sha1 : sha256; " + ed}, mail.AuthPass, ""},
		{"h= without", edk, nil, []string{"v=DKIM1; k=ed25519; h=sha1; " + ed}, mail.AuthPermError, "sha256"},
		{"s=email", edk, nil, []string{"v=DKIM1; k=ed25519; s=tlsrpt:email; " + ed}, mail.AuthPass, ""},
		{"s=*", edk, nil, []string{"v=DKIM1; k=ed25519; s=*; " + ed}, mail.AuthPass, ""},
		{"s= of another service", edk, nil, []string{"v=DKIM1; k=ed25519; s=tlsrpt; " + ed}, mail.AuthPermError, "not for mail"},
		{"RFC8460_3 s=tlsrpt, of a report", edk, map[string]string{"h": "from:tls-report-domain"}, []string{"v=DKIM1; k=ed25519; s=tlsrpt; " + ed}, mail.AuthPass, ""},
		{"t=s, i= is d=", edk, map[string]string{"i": "joe@A.example"}, []string{"v=DKIM1; k=ed25519; t=y:s; " + ed}, mail.AuthPass, ""},
		{"t=s, i= below", edk, map[string]string{"i": "joe@sub.a.example"}, []string{"v=DKIM1; k=ed25519; t=y : s; " + ed}, mail.AuthPermError, "below"},
		{"another key", edk, nil, []string{"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, mail.AuthFail, "signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := dnstest.New(t, "")
			for _, r := range c.records {
				z.AddTXT("s._domainkey.a.example", r)
			}
			sigs := verify(t, z, forge(t, c.key, c.tags, plainHeader, plainBody))
			if len(sigs) != 1 || sigs[0].Result != c.want || !strings.Contains(sigs[0].Reason, c.reason) {
				t.Fatalf("got %+v, want %s, %q", sigs, c.want, c.reason)
			}
			if testing := strings.Contains(strings.Join(c.records, ""), "t=y"); sigs[0].Testing != testing {
				t.Errorf("testing: %v", sigs[0].Testing)
			}
		})
	}
	t.Run("MinBits", func(t *testing.T) {
		o := VerifyOptions{Resolver: zoneOf(t, sk).Resolver(), MinBits: 1025}
		sigs, err := Verify(t.Context(), strings.NewReader(forge(t, sk, nil, plainHeader, plainBody)), o)
		if err != nil || sigs[0].Result != mail.AuthPolicy || sigs[0].Bits != 1024 {
			t.Errorf("%+v, %v", sigs, err)
		}
	})
	// 512 bits: Go makes no such key any more, and takes none, but the answer is to be ours.
	t.Run("512 bits", func(t *testing.T) {
		z := dnstest.New(t, "")
		z.AddTXT("s._domainkey.a.example", "v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL3sMpyFsVQjbWmBxbUlAhWlFGZbUrjdDIbNAkWLxlGCtAcT6l2VOgOMpUVlZAkBvd9eYRUCBDMkLRqrP1nXKBcCAwEAAQ==")
		sigs := verify(t, z, forge(t, sk, nil, plainHeader, plainBody))
		if sigs[0].Result != mail.AuthPolicy || sigs[0].Bits != 512 {
			t.Errorf("%+v", sigs)
		}
	})
}

// TestVerify_DNSTrouble: no answer is no verdict.
func TestVerify_DNSTrouble(t *testing.T) {
	k := Key{"a.example", "ed", edKey()}
	message := forge(t, k, nil, plainHeader, plainBody)
	for _, fault := range []dnstest.Fault{dnstest.ServFail, dnstest.Refused, dnstest.Silent} {
		z := zoneOf(t, k)
		z.Fail("ed._domainkey.a.example", fault)
		if sigs := verify(t, z, message); sigs[0].Result != mail.AuthTempError {
			t.Errorf("fault %d: %+v", fault, sigs)
		}
	}
}

// TestVerify_Bounds: what a stranger sends costs what we let it.
func TestVerify_Bounds(t *testing.T) {
	k := Key{"a.example", "ed", edKey()}
	one := forge(t, k, nil, plainHeader, plainBody)
	field := one[:strings.Index(one, "From:")]
	t.Run("signatures", func(t *testing.T) {
		z := zoneOf(t, k)
		var many strings.Builder
		for range 30 {
			many.WriteString(field)
		}
		if sigs := verify(t, z, many.String()+one); len(sigs) != 10 || sigs[9].Result != mail.AuthPass {
			t.Errorf("%d: %v", len(sigs), results(sigs))
		}
		sigs, err := Verify(t.Context(), strings.NewReader(many.String()+one), VerifyOptions{Resolver: z.Resolver(), Max: 3})
		if err != nil || len(sigs) != 3 {
			t.Errorf("%v, %v", results(sigs), err)
		}
		if asked := z.Asked(); len(asked) > 2 {
			t.Errorf("the same key was asked for %d times", len(asked))
		}
	})
	z := zoneOf(t, k)
	for name, pad := range map[string]string{
		"a long line":   "X-Pad: " + strings.Repeat("x", maxHeader) + "\r\n",
		"a long field":  "X-Pad: x\r\n" + strings.Repeat(" "+strings.Repeat("x", 500)+"\r\n", maxHeader/500),
		"many fields":   strings.Repeat("A: b\r\n", maxFields+2),
		"no line ends":  strings.Repeat("x\n", maxHeader),
		"a header only": strings.Repeat("A: "+strings.Repeat("x", 900)+"\r\n", 600),
	} {
		sigs := verify(t, z, field+pad+one[len(field):])
		if len(sigs) != 1 || sigs[0].Result != mail.AuthPermError || !strings.Contains(sigs[0].Reason, "long") {
			t.Errorf("%s: %+v", name, sigs)
		}
	}
	// Below the bound all is as ever.
	pad := "X-Pad: " + strings.Repeat("x", maxHeader/2) + "\r\n"
	if sigs := verify(t, z, field+pad+one[len(field):]); len(sigs) != 1 || sigs[0].Result != mail.AuthPass {
		t.Errorf("%+v", sigs)
	}
}

// TestVerify_Messages: what is and what is no message.
func TestVerify_Messages(t *testing.T) {
	k := Key{"a.example", "ed", edKey()}
	z := zoneOf(t, k)
	good := forge(t, k, map[string]string{"c": "simple/simple"}, plainHeader, plainBody)
	empty := forge(t, k, map[string]string{"c": "simple/simple"}, plainHeader, "")
	for _, c := range []struct {
		name, message string
		want          string // results
	}{
		{"nothing", "", ""},
		{"a body alone", "\r\n" + good, ""},
		{"no signature", plainHeader + "\r\n" + plainBody, ""},
		{"a continuation at the top", "  This is not a valid message.\r\n", ""},
		{"as a file", strings.ReplaceAll(good, "\r\n", "\n"), "pass"},
		{"with a lone LF", strings.Replace(good, "Hi.\r\n", "Hi.\n", 1), "fail"},
		{"no empty line", strings.TrimSuffix(empty, "\r\n"), "pass"},
		{"no line end at the end of the header", strings.TrimSuffix(strings.TrimSuffix(empty, "\r\n"), "\r\n"), "fail"},
		{"an empty body", empty, "pass"},
		{"empty lines at the end", good + "\r\n\r\n", "pass"},
		{"no line end at the end", strings.TrimSuffix(good, "\r\n"), "pass"},
		{"another body", good + "x\r\n", "fail"},
		{"another Subject", strings.Replace(good, "hello", "hullo", 1), "fail"},
		{"a second From on top", "From: evil@c.example\r\n" + good, "pass"}, // not signed: for DMARC to refuse
		{"a second From below", strings.Replace(good, "To: ", "From: evil@c.example\r\nTo: ", 1), "fail"},
		{"a line without a colon", strings.Replace(good, "To: ", "nonsense\r\nTo: ", 1), "pass"},
		{"the field twice", good[:strings.Index(good, "From:")] + good, "pass pass"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, s := range verify(t, z, c.message) {
				got = append(got, string(s.Result))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestVerify_Times: the clock is the one that is given, or the system's.
func TestVerify_Times(t *testing.T) {
	k := Key{"a.example", "ed", edKey()}
	message := forge(t, k, map[string]string{"x": "1000000000"}, plainHeader, plainBody)
	for _, c := range []struct {
		now  func() time.Time
		want mail.AuthResult
	}{{nil, mail.AuthPermError}, {func() time.Time { return time.Unix(999_999_999, 0) }, mail.AuthPass}} {
		sigs, err := Verify(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: zoneOf(t, k).Resolver(), Now: c.now})
		if err != nil || sigs[0].Result != c.want {
			t.Errorf("%+v, %v, want %s", sigs, err, c.want)
		}
	}
}
