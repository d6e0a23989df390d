package alias

import (
	"context"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// One alias to one address: what nearly every RCPT costs.
func BenchmarkExpandOneToOne(b *testing.B) {
	inline, err := table.Open("inline:{info@virt.example=joe@dest.example}", table.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := newTestResolver(b, nil, func(o *Options) {
		o.VirtualAliasMaps = table.Maps{inline}
		o.MyDestination = domains(b, "localhost", "mx.example.com")
		o.RelayDomains = domains(b, "relay.example")
	})
	ctx, req := context.Background(), mail.RcptRequest{Addr: mail.Address{Local: "info", Domain: "virt.example"}}
	b.ReportAllocs()
	for b.Loop() {
		a := r.Complete(req.Addr)
		if class, err := r.Class(ctx, a); err != nil || class != mail.ClassVirtualAlias {
			b.Fatal(class, err)
		}
		if rcpts, err := r.Expand(ctx, req); err != nil || len(rcpts) != 1 {
			b.Fatal(rcpts, err)
		}
	}
}

// A loop costs as much as the recursion limit allows, and no more.
func BenchmarkExpandLoop(b *testing.B) {
	r := newTestResolver(b, []string{"a@virt.example b@virt.example", "b@virt.example a@virt.example"}, nil)
	ctx, req := context.Background(), mail.RcptRequest{Addr: mail.Address{Local: "a", Domain: "virt.example"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Expand(ctx, req); err == nil {
			b.Fatal("a loop was accepted")
		}
	}
}

func BenchmarkTargets(b *testing.B) {
	r := newTestResolver(b, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(r.targets("one@dest.example, two@dest.example, three@other.example", "")); n != 3 {
			b.Fatal(n)
		}
	}
}
