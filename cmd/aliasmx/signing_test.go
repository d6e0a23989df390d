package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"aliasmx/delivery"
	"aliasmx/internal/mail"
)

// stamp signs with a name, and with what it saw above the message.
type stamp string

func (s stamp) Sign(_ context.Context, m mail.Outgoing) ([]byte, error) {
	switch s {
	case "":
		return nil, nil
	case "broken":
		return nil, errors.New("no key")
	}
	return []byte(string(s) + "(" + string(m.Prepend) + ")"), nil
}

func TestSigners(t *testing.T) {
	for _, c := range []struct {
		list   signers
		want   string
		broken bool
	}{
		{signers{stamp("dkim")}, "dkim(R)", false},
		{signers{stamp("dkim"), stamp("seal")}, "seal(dkim(R)R)dkim(R)", false},
		{signers{stamp(""), stamp("seal")}, "seal(R)", false},
		{signers{stamp("dkim"), stamp("")}, "dkim(R)", false},
		{signers{stamp("")}, "", false},
		{signers{stamp("dkim"), stamp("broken")}, "", true},
		{signers{stamp("a"), stamp("b"), stamp("c")}, "c(b(a(R)R)a(R)R)b(a(R)R)a(R)", false},
	} {
		m := mail.Outgoing{Prepend: []byte("R")}
		for name, signer := range map[string]delivery.Signer{"list": c.list, "one": c.list.one()} {
			got, err := signer.Sign(t.Context(), m)
			if string(got) != c.want || (err != nil) != c.broken {
				t.Errorf("%v (%s): %q, %v, want %q", c.list, name, got, err, c.want)
			}
		}
		if string(m.Prepend) != "R" {
			t.Errorf("%v: the caller's message is changed: %q", c.list, m.Prepend)
		}
	}
	if got := (signers{}).one(); got != nil {
		t.Errorf("nobody signs, and there is a signer: %v", got)
	}
}

// seen is what a signer is told.
type seen struct{ auth *mail.Authentic }

func (s seen) Sign(_ context.Context, m mail.Outgoing) ([]byte, error) {
	*s.auth = m.Env.Auth
	return nil, nil
}

// What was found holds for the author that it was found of.
func TestSigningAsJudged(t *testing.T) {
	judged := mail.Authentic{Author: "a.example", Vouched: true, SPF: mail.AuthPass, DMARC: mail.AuthPass, ARC: mail.AuthFail, Results: "dmarc=pass"}
	changed := mail.Authentic{SPF: mail.AuthPass, ARC: mail.AuthFail}
	for _, c := range []struct {
		name, prepend, text string
		auth, want          mail.Authentic
	}{
		{"the same", "Received: by us\r\n", "From: x@A.example\r\n\r\n", judged, judged},
		{"another", "", "From: x@b.example\r\n\r\n", judged, changed},
		{"one above", "From: x@b.example\r\n", "From: x@a.example\r\n\r\n", judged, changed},
		{"the same, twice", "From: x@a.example\r\n", "From: x@a.example\r\n\r\n", judged, changed},
		{"none", "", "Subject: x\r\n\r\nFrom: x@a.example\r\n", judged, changed},
		{"nobody was known", "", "From: x@a.example\r\n\r\n", mail.Authentic{SPF: mail.AuthNone}, mail.Authentic{SPF: mail.AuthNone}},
	} {
		var got mail.Authentic
		env := &mail.Envelope{Auth: c.auth}
		_, err := asJudged{seen{&got}, slog.New(slog.DiscardHandler)}.Sign(t.Context(), mail.Outgoing{Env: env, Prepend: []byte(c.prepend), Body: memoryBody(c.text)})
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if env.Auth != c.auth {
			t.Errorf("%s: the envelope, which others have as well, is changed", c.name)
		}
	}
}
