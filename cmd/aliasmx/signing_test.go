package main

import (
	"context"
	"errors"
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
