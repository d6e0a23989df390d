package dkim

import (
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// The message of RFC 8463 appendix A, signed by both kinds of keys.
const rfc8463 = `DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.

`

const (
	keyBrisbane = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	keyTest     = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// TestRFC8463_AppendixA: the example, and what each of its parts is found to be.
func TestRFC8463_AppendixA(t *testing.T) {
	z := dnstest.New(t, "")
	z.AddTXT("brisbane._domainkey.football.example.com", keyBrisbane)
	z.AddTXT("test._domainkey.football.example.com", keyTest)
	for _, message := range []string{rfc8463, crlf(rfc8463)} {
		sigs, err := Verify(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: z.Resolver()})
		if err != nil || len(sigs) != 2 {
			t.Fatalf("%v, %v", sigs, err)
		}
		for i, want := range []Signature{
			{Domain: "football.example.com", Identity: "@football.example.com", Selector: "brisbane", Algorithm: "ed25519-sha256", Bits: 256, B: "/gCrinpc"},
			{Domain: "football.example.com", Identity: "@football.example.com", Selector: "test", Algorithm: "rsa-sha256", Bits: 1024, B: "F45dVWDf"},
		} {
			got := sigs[i]
			if strings.Join(got.Signed, " ") != "from to subject date message-id from subject date" {
				t.Errorf("signed: %q", got.Signed)
			}
			got.Signed = nil
			want.Result = mail.AuthPass
			if got.Result != want.Result || got.Domain != want.Domain || got.Identity != want.Identity || got.Selector != want.Selector ||
				got.Algorithm != want.Algorithm || got.Bits != want.Bits || got.B != want.B || got.Reason != "" {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		}
	}
}
