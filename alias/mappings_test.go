package alias

import (
	"context"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// receive_override_options = no_address_mappings: addresses stay, and are refused as ever.
func TestWithoutMappings(t *testing.T) {
	ctx := context.Background()
	r := newTestResolver(t, []string{"a@virt.example one@dest.example, two@dest.example"}, func(o *Options) {
		o.CanonicalMaps = table.Maps{fake("fake:canonical", "x@client.example y@client.example")}
		o.CanonicalClasses = []string{"envelope_sender", "envelope_recipient", "header_sender", "header_recipient"}
		o.AlwaysBcc = "copy@dest.example"
		o.RecipientBccMaps = table.Maps{fake("fake:bcc", "a@virt.example copy@dest.example")}
		o.SenderBccMaps = table.Maps{fake("fake:bcc", "x@client.example copy@dest.example")}
	})
	strict, lax := r.WithoutMappings(), r.AcceptUnlisted().WithoutMappings()
	for _, tc := range []struct {
		name string
		r    *Resolver
		addr string
		want string
	}{
		{"alias", strict, "a@virt.example", "a@virt.example"},
		{"nobody", strict, "nobody@virt.example", unknown},
		{"nobody, not asked", lax, "nobody@virt.example", "nobody@virt.example"},
		{"canonical", strict, "x@client.example", "x@client.example"},
	} {
		rcpts, err := tc.r.Expand(ctx, mail.RcptRequest{Addr: splitInternal(tc.addr), Copies: true})
		got := finals(rcpts)
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
	rev, err := strict.Sender(ctx, splitInternal("x@client.example"))
	if err != nil || rev.Path.String() != "x@client.example" || len(rev.First)+len(rev.Last) > 0 {
		t.Errorf("sender: %+v, %v", rev, err)
	}
	if a, err := strict.HeaderAddress(ctx, splitInternal("x@client.example"), true, ""); err != nil || a.String() != "x@client.example" {
		t.Errorf("header: %s, %v", a, err)
	}
	if rcpts, err := r.Expand(ctx, mail.RcptRequest{Addr: splitInternal("a@virt.example")}); err != nil || len(rcpts) != 2 {
		t.Errorf("the Resolver it was made of maps no more: %v, %v", rcpts, err)
	}
}
