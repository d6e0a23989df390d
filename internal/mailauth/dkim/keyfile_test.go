package dkim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PRIVATE KEY", der)
}

// TestParseKey: what is a key to sign with, and what is said of others.
func TestParseKey(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(t, edKey())
	for _, c := range []struct {
		name, text string
		want       string // in the error; "": none
	}{
		{"Ed25519", good, ""},
		{"RSA", pkcs8(t, rsaKey()), ""},
		{"RSA of opendkim-genkey", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), ""},
		{"behind other things", "text\n" + pemOf("CERTIFICATE", []byte("x")) + good, ""},
		{"short RSA", pkcs8(t, newRSA(1024)), "1024 bits"},
		{"ECDSA", pkcs8(t, ec), "neither"},
		{"a password", pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "encrypted"},
		{"a public key", pemOf("PUBLIC KEY", []byte("x")), "no private key"},
		{"nothing", "", "no private key"},
		{"damaged", pemOf("PRIVATE KEY", []byte("x")), "asn1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := ParseKey([]byte(c.text))
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case err == nil:
				if _, err := Record(key.Public(), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestRecord: what is printed is what is read.
func TestRecord(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), edKey()} {
		text, err := Record(key.Public(), "email:tlsrpt")
		if err != nil {
			t.Fatal(err)
		}
		k, wrong := parseKey(text)
		if wrong != nil {
			t.Fatalf("%s: %v", text, wrong)
		}
		if public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) || len(k.services) != 2 {
			t.Errorf("%s: %+v", text, k)
		}
	}
	if _, err := Record(&ecdsa.PublicKey{}, ""); err == nil {
		t.Error("a record of a key that cannot sign")
	}
}

// TestPublished: the key that is published is the one that signs, or not.
func TestPublished(t *testing.T) {
	good := record(t, edKey())
	for _, c := range []struct {
		name, record string
		want         mail.AuthResult
		reason       string
	}{
		{"the same", good, mail.AuthPass, ""},
		{"only testing", strings.Replace(good, "p=", "t=y; p=", 1), mail.AuthPass, "t=y"},
		{"for subdomains not", strings.Replace(good, "p=", "t=s; p=", 1), mail.AuthPass, ""},
		{"another", keyBrisbane, mail.AuthFail, "another key"},
		{"another kind", record(t, rsaKey()), mail.AuthPermError, "rsa"},
		{"revoked", "v=DKIM1; k=ed25519; p=", mail.AuthPermError, "revoked"},
		{"not for mail", strings.Replace(good, "p=", "s=tlsrpt; p=", 1), mail.AuthPermError, "not for mail"},
		{"none", "", mail.AuthPermError, "no key"},
		{"unknown", "fault", mail.AuthTempError, "could not"},
	} {
		z := dnstest.New(t, "")
		switch c.record {
		case "":
		case "fault":
			z.Fail("ed._domainkey.a.example", dnstest.ServFail)
		default:
			z.AddTXT("ed._domainkey.a.example", c.record)
		}
		result, reason := Published(t.Context(), z.Resolver(), Key{"a.example", "ed", edKey()})
		if result != c.want || !strings.Contains(reason, c.reason) || c.reason == "" && reason != "" {
			t.Errorf("%s: %s %q, want %s %q", c.name, result, reason, c.want, c.reason)
		}
	}
}
