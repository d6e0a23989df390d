package alias

import (
	"context"
	"strings"
	"testing"

	"aliasmx/internal/table"
)

// A table that is no matter of aliases is searched in the same order.
func TestLookupInOtherTables(t *testing.T) {
	r := newTestResolver(t, nil, func(o *Options) { o.RecipientDelimiter = "+" })
	asked := fake("fake:x")
	if _, found, err := r.Lookup(context.Background(), table.Maps{asked}, splitInternal("joe+x@far.example")); found || err != nil {
		t.Fatal(found, err)
	}
	if got := strings.Join(asked.asked, " "); got != "joe+x@far.example joe@far.example @far.example" {
		t.Errorf("asked for %s", got)
	}
	entries, err := table.OpenMaps([]string{"inline:{@far.example=all}"}, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if value, found, err := r.Lookup(context.Background(), entries, splitInternal("joe+x@far.example")); value != "all" || !found || err != nil {
		t.Error(value, found, err)
	}
}
