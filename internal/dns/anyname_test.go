package dns

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Names as macros of SPF make them: asked over the network as they are, if the view says so.
func TestAnyName(t *testing.T) {
	z := newZone(t, `foo:bar/baz.a.example. A 192.0.2.1`, `two\ words\@home.a.example. A 192.0.2.2`, `back\\slash.a.example. A 192.0.2.3`,
		`-.a.example. A 192.0.2.4`, `mx.a.example. A 192.0.2.5`, `semi\;colon\"s.a.example. A 192.0.2.6`, `\065b.a.example. A 192.0.2.7`)
	r := New(Options{Servers: []string{z.serve(t)}})
	for name, want := range map[string]string{
		"foo:bar/baz.a.example": "192.0.2.1", "two words@home.a.example.": "192.0.2.2", `back\slash.a.example`: "192.0.2.3", "-.A.example": "192.0.2.4",
		"mx.a.example": "192.0.2.5", `semi;colon"s.a.example`: "192.0.2.6", `\065b.a.example`: "not found",
		"a..example": "bad", ".a.example": "bad", "": "bad", "\x00.a.example": "bad",
		strings.Repeat("x", 64) + ".example": "bad", strings.Repeat("x.", 127) + "example": "bad",
	} {
		got := ""
		a, err := r.With(View{AnyName: true}).Query(t.Context(), name, dns.TypeA)
		switch e, _ := errors.AsType[*Error](err); {
		case err == nil && len(a.RRs) == 1:
			got = a.RRs[0].(*dns.A).A.String()
		case e != nil && e.Kind == BadName:
			got = "bad"
		case errors.Is(err, ErrNotFound):
			got = "not found"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", name, got, err, want)
		}
		if _, err := r.Query(t.Context(), name, dns.TypeA); !ValidName(strings.TrimSuffix(name, ".")) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%q without the view: %v", name, err)
		}
	}
}
