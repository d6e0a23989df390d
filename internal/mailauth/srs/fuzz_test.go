package srs

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What Forward makes, Reverse takes apart; whatever Reverse accepts, a secret has signed.
func FuzzRoundTrip(f *testing.F) {
	for _, a := range [][2]string{
		{"test", "otherdomain.com"}, {"a=b", "x.example"}, {"SRS0=opaque", "x.example"}, {"srs1+h=y.example=-opaque", "x.example"},
		{"SRS1=h=y.example=opaque", "x.example"}, {"a b", "[192.0.2.1]"}, {"grün", "grün.example"}, {"SRS0=vmyz=2W=otherdomain.com=test", "srs.example"},
	} {
		f.Add(a[0], a[1])
	}
	f.Fuzz(func(t *testing.T, local, domain string) {
		codec := newCodec(t, nil)
		a := mail.Address{Local: local, Domain: domain}
		if codec.Ours(domain) || a.IsNull() {
			if out, err := codec.Forward(a); err != nil || out != a {
				t.Fatalf("%q: got %v, %v; want it as it is", a, out, err)
			}
			return
		}
		out, err := codec.Forward(a)
		if err != nil {
			if out != (mail.Address{}) {
				t.Fatalf("%q: an address %q beside the error %v", a, out, err)
			}
			return
		}
		if out.Domain != "srs.example" || len(out.String())+2 > maxPath {
			t.Fatalf("%q: got %q", a, out)
		}
		back, err := codec.Reverse(out)
		if err != nil {
			t.Fatalf("%q: %q does not lead back: %v", a, out, err)
		}
		want := a
		if _, ok := cutTag(local, tag0); ok {
			want.Local = tag0 + local[len(tag0):]
		} else if rest, ok := cutTag(local, tag1); ok {
			if _, host, opaque, ok := cutFirstHop(rest); ok {
				want = mail.Address{Local: tag0 + opaque, Domain: host}
			}
		}
		if back != want {
			t.Fatalf("%q leads back to %q by %q", want, back, out)
		}
	})
}

// Whatever is accepted has the hash that the secret makes, computed here from the text alone.
func FuzzReverse(f *testing.F) {
	for _, local := range []string{
		"SRS0=vmyz=2W=otherdomain.com=test", "SRS0=-3_5=2W=somedomain.com=hash234", "SRS1=JIBX=thirddomain.com==opaque+string",
		"SRS0=bxzH=2W=1=DCJGDE6N24LCRT41A4T0G1UIF0DTKKQJ", "srs0+xjo9=2v=otherdomain.com=test", "SRS0=", "SRS1=a=b=", "SRS0====",
	} {
		f.Add(local)
	}
	f.Fuzz(func(t *testing.T, local string) {
		codec := newCodec(t, nil)
		a, err := codec.Reverse(mail.Address{Local: local, Domain: "srs.example"})
		if err != nil {
			if a != (mail.Address{}) {
				t.Fatalf("%q: an address %q beside the error %v", local, a, err)
			}
			return
		}
		// The signature, computed over again from the text alone.
		parts := strings.Split(local[5:], "=")
		given, signed := parts[0], strings.Join(parts[1:], "=")
		if strings.EqualFold(local[:4], tag0) {
			signed = strings.Join(strings.SplitN(signed, "=", 3), "")
		} else {
			signed = strings.Join(strings.SplitN(signed, "=", 2), "")
		}
		want := hash("tops3cr3t", signed)[:len(given)]
		if len(given) < 4 || !strings.EqualFold(toURL.Replace(given), want) {
			t.Fatalf("%q was accepted as %q; the hash is %q", local, a, want)
		}
	})
}
