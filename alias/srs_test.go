package alias

import (
	"context"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// fakeReturns holds "R=local=domain" at back.example.
type fakeReturns struct{}

func (fakeReturns) Ours(domain string) bool { return strings.EqualFold(domain, "back.example") }

func (fakeReturns) IsReturn(a mail.Address) bool { return strings.HasPrefix(a.Local, "R=") }

func (fakeReturns) Return(a mail.Address) (mail.Address, error) {
	parts := strings.Split(a.Local, "=")
	if len(parts) != 3 {
		return mail.Address{}, &mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1), Text: "Recipient address rejected: forged"}
	}
	return mail.Address{Local: parts[1], Domain: parts[2]}, nil
}

func newReturnsResolver(t *testing.T, lines ...string) *Resolver {
	return newTestResolver(t, lines, func(o *Options) {
		o.Returns, o.RecipientDelimiter = fakeReturns{}, "="
		o.RecipientCanonicalMaps = table.Maps{fake("fake:canonical", "R @canonical.example")}
		o.RecipientBccMaps = table.Maps{fake("fake:bcc", "@back.example copy@dest.example")}
	})
}

func TestReturns(t *testing.T) {
	r := newReturnsResolver(t, "info@virt.example target@dest.example", "abuse@back.example target@dest.example", "postmaster@mx.example.com boss@dest.example")
	for _, c := range []struct {
		name, addr string
		class      mail.Class
		want       string // finals with destinations, or the refusal
	}{
		{"return", "R=a=client.example@back.example", mail.ClassVirtualAlias, "a@client.example smtp:client.example"},
		{"domain in another case", "R=a=client.example@Back.Example", mail.ClassVirtualAlias, "a@client.example smtp:client.example"},
		{"a route in it", "R=a%b!c=client.example@back.example", mail.ClassVirtualAlias, "a%b!c@client.example smtp:client.example"},
		{"an address of ours in it", "R=info=virt.example@back.example", mail.ClassVirtualAlias, "target@dest.example smtp:dest.example"},
		{"nobody of ours in it", "R=x=virt.example@back.example", mail.ClassVirtualAlias, "550 5.1.1 Recipient address rejected: User unknown in virtual alias table"},
		{"no domain in it", "R=x=.@back.example", mail.ClassVirtualAlias, "x@. error:5.1.3 bad address syntax"},
		{"forged", "R=a@back.example", mail.ClassVirtualAlias, "550 5.1.1 Recipient address rejected: forged"},
		{"forged, with a route", "R=a%client.example@back.example", mail.ClassVirtualAlias, "550 5.1.1 Recipient address rejected: forged"},
		{"in a table", "abuse@back.example", mail.ClassVirtualAlias, "target@dest.example smtp:dest.example"},
		{"nobody", "x@back.example", mail.ClassVirtualAlias, "550 5.1.1 Recipient address rejected: User unknown in virtual alias table"},
		{"a route to elsewhere", "x%client.example@back.example", mail.ClassDefault, "550 5.1.1 Recipient address rejected: User unknown in virtual alias table"},
		{"postmaster", "PostMaster@back.example", mail.ClassVirtualAlias, "boss@dest.example smtp:dest.example"},
		{"elsewhere", "R=a=client.example@else.example", mail.ClassDefault, "R=a=client.example@else.example smtp:else.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := mail.SplitAddress(c.addr)
			if class, err := r.Class(context.Background(), a); class != c.class || err != nil {
				t.Errorf("class %v, %v; want %v", class, err, c.class)
			}
			rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: a})
			got := finalsOf(rcpts)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			for _, rcpt := range rcpts {
				if rcpt.Orig != a {
					t.Errorf("orig_to %v", rcpt.Orig)
				}
			}
		})
	}
}

func finalsOf(rcpts []mail.Recipient) string {
	var list []string
	for _, r := range rcpts {
		list = append(list, r.Final.String()+" "+string(r.Dest))
	}
	return strings.Join(list, ", ")
}

// The postmaster there is always taken, as the bare name is, even if nobody reads it.
func TestPostmasterOfReturns(t *testing.T) {
	rcpts, err := newReturnsResolver(t).Expand(context.Background(), mail.RcptRequest{Addr: mail.Address{Local: "postmaster", Domain: "back.example"}})
	if err != nil || len(rcpts) != 1 {
		t.Errorf("got %v, %v", finalsOf(rcpts), err)
	}
}

// Where nobody is there to be refused, a forged one goes back to the sender; where addresses
// stay as they are, a return does too, but a forged one is refused.
func TestReturnsElsewhere(t *testing.T) {
	r := newReturnsResolver(t)
	forged := mail.RcptRequest{Addr: mail.Address{Local: "R=a", Domain: "back.example"}}
	rcpts, err := r.AcceptUnlisted().Expand(context.Background(), forged)
	if err != nil || finalsOf(rcpts) != "R=a@back.example error:5.1.1 Recipient address rejected: forged" || rcpts[0].ORcpt != "rfc822;R=a@back.example" {
		t.Errorf("lax: %q, %v", finalsOf(rcpts), err)
	}
	decided := forged
	decided.Unlisted = true
	if rcpts, err := r.Expand(context.Background(), decided); err != nil || len(rcpts) != 1 || rcpts[0].Dest.Transport() != "error" {
		t.Errorf("decided already: %q, %v", finalsOf(rcpts), err)
	}
	plain := r.WithoutMappings()
	if _, err := plain.Expand(context.Background(), forged); err == nil {
		t.Error("without mappings a forged one is taken")
	}
	rcpts, err = plain.Expand(context.Background(), mail.RcptRequest{Addr: mail.Address{Local: "R=a=client.example", Domain: "back.example"}})
	if err != nil || len(rcpts) != 1 || rcpts[0].Final.Domain != "back.example" {
		t.Errorf("without mappings: %q, %v", finalsOf(rcpts), err)
	}
}

// Copies of mail to a return are those of the address behind it.
func TestCopiesOfReturns(t *testing.T) {
	r := newReturnsResolver(t)
	rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: mail.Address{Local: "R=a=client.example", Domain: "back.example"}, Copies: true})
	if err != nil || finalsOf(rcpts) != "a@client.example smtp:client.example" {
		t.Errorf("got %q, %v", finalsOf(rcpts), err)
	}
}
