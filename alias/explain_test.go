package alias

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/table"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each address of the sample configuration, explained: testdata/explain.golden.
func TestExplain(t *testing.T) {
	dir := t.TempDir()
	const virtual = `# sample
info@virt.example    joe@dest.example, ann@dest.example
team@virt.example    info@virt.example, bob
bob                  bob@dest.example
self@virt.example    self@virt.example
gone@virt.example    nobody@virt.example
half@virt.example    nobody@virt.example, joe@dest.example, JOE@dest.example
a@virt.example       b@virt.example
b@virt.example       a@virt.example
empty@virt.example   ,,
odd@virt.example     "x y"@dest.example, bob@
@all.example         @dest.example
`
	if err := os.WriteFile(filepath.Join(dir, "virtual"), []byte(virtual), 0o600); err != nil {
		t.Fatal(err)
	}
	maps, err := table.OpenMaps([]string{"texthash:" + filepath.Join(dir, "virtual")}, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broken := fake("fake:remote")
	broken.broken["broken@virt.example"] = true
	r := newTestResolver(t, nil, func(o *Options) {
		o.VirtualAliasMaps = append(maps, broken)
		o.VirtualAliasDomains = domains(t, "virt.example", "all.example")
		o.RelayDomains = domains(t, "relay.example", "all.example")
		o.RelayHost = "[relay.example.net]:587"
		o.RecipientDelimiter = "+"
	})
	var b strings.Builder
	for _, addr := range []string{
		"info@virt.example", "<Info+sales@VIRT.example>", "team@virt.example", "nobody@virt.example", "self@virt.example",
		"gone@virt.example", "half@virt.example", "a@virt.example", "empty@virt.example", "broken@virt.example",
		"odd@virt.example", "Anyone <any.one@all.example>", "bob", "postmaster", "x@relay.example", "x@other.example",
		"x%other.example@virt.example", "joe@[127.0.0.1]", "x%virt.example@[127.0.0.1]", "joe@bad..example", "a@b, c@d", "",
	} {
		x := r.Explain(context.Background(), addr)
		fmt.Fprintf(&b, "%s\n", addr)
		for _, s := range x.Steps {
			fmt.Fprintf(&b, "    %s\n", strings.ReplaceAll(s, dir, "DIR"))
		}
		fmt.Fprintf(&b, "    exit status %d\n\n", x.ExitStatus)
		if (x.Refusal == nil) != (x.ExitStatus == 0) {
			t.Errorf("%s: refusal %v, exit status %d", addr, x.Refusal, x.ExitStatus)
		}
	}
	const golden = "testdata/explain.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("differs from %s; -update rewrites it. Got:\n%s", golden, b.String())
	}
}
