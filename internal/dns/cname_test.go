package dns

import (
	"context"
	"testing"

	"github.com/miekg/dns"
)

// An alias can be asked for itself, to learn whether it is secure although what it leads to
// is not.
func TestQueryForAlias(t *testing.T) {
	asked := 0
	r := New(Options{Servers: []string{"127.0.0.1"}, Exchange: func(_ context.Context, q *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
		asked++
		return said(t, q, "ad; x. 60 IN CNAME y."), nil
	}})
	a, err := r.Query(context.Background(), "x", dns.TypeCNAME)
	if err != nil || a.Name != "x" || !a.Secure || len(a.RRs) != 1 || a.RRs[0].(*dns.CNAME).Target != "y." || asked != 1 {
		t.Errorf("%+v, %v after %d questions", a, err, asked)
	}
}
