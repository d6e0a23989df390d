package local

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// Explaining delivers nothing, and tells where everything stands.
func TestExplain(t *testing.T) {
	r := newRig(t, `list: one@dest.example, cmd, :include:{dir}/inc
owner-list: boss@dest.example
cmd: "|touch {dir}/ran", {dir}/mbox
`)
	r.write("inc", "two@dest.example\nnosuch\n", 0o644)
	x, err := Explain(context.Background(), r.o, mail.Address{}, mail.Address{Local: "List", Domain: host})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(strings.Join(x.Steps, "\n"), r.dir, "{dir}")
	for _, want := range []string{
		"alias list ({dir}/aliases, line 1) leads to one@dest.example, cmd, :include:{dir}/inc",
		"owner-list: a list; its sender is owner-list@mx.example.com",
		`alias cmd ({dir}/aliases, line 3) leads to "|touch {dir}/ran", {dir}/mbox`,
		"runs as nobody: touch {dir}/ran",
		"is written as nobody: {dir}/mbox",
		":include:{dir}/inc holds 24 bytes",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no step %q in\n%s", want, got)
		}
	}
	// A name that is no alias is forwarded to, as in Postfix, and fails for itself.
	want := "forwards to one@dest.example|delivers to command: touch {dir}/ran|delivers to file: {dir}/mbox|forwards to two@dest.example|forwards to nosuch@mx.example.com"
	var targets []string
	for _, x := range x.Targets {
		targets = append(targets, x.Reason)
	}
	if got := strings.ReplaceAll(strings.Join(targets, "|"), r.dir, "{dir}"); got != want {
		t.Errorf("targets\n%s\nwant\n%s", got, want)
	}
	for _, name := range []string{"ran", "mbox"} {
		if _, err := os.Stat(filepath.Join(r.dir, name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	if r.q.String() != "" {
		t.Errorf("forwarded %s", r.q)
	}
}

// A probe (verify(8)) is content with an alias.
func TestProbe(t *testing.T) {
	r := newRig(t, "cmd: |/bin/false\n")
	probe := func(a *mail.Attempt) { a.Probe, a.Body = true, nil }
	if res := r.deliverAs("cmd", letter, probe); res.State != mail.Delivered || res.Reason != "aliased to |/bin/false" {
		t.Errorf("an alias: %v %q", res.State, res.Reason)
	}
	if res := r.deliverAs("nosuch", letter, probe); res.State != mail.Failed || res.Reason != `unknown user: "nosuch"` {
		t.Errorf("no alias: %v %q", res.State, res.Reason)
	}
}

func TestProve(t *testing.T) {
	r := newRig(t, `good: one@dest.example, "|cat > /dev/null", /dev/null, "|exit 0", |/bin/true
missing: "|/no/such/program -x"
typo: "|nosuchprogram"
unknown: nosuch
badaddress: foo@[bar
loopa: loopb
loopb: loopa
incmissing: :include:/no/such/file
relative: :include:x
inc: :include:{dir}/inc
nodir: {dir}/nowhere/mbox
directory: {dir}
nothing: (comment)
`)
	r.write("inc", "\"|/bin/true\"\n", 0o644)
	var got []string
	if err := Prove(context.Background(), r.o, func(f Finding) bool {
		got = append(got, strings.TrimPrefix(f.Where, r.dir+"/aliases, ")+": "+f.Name+": "+strings.ReplaceAll(f.Text, r.dir, "{dir}"))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	want := `line 5: badaddress: bad recipient address syntax: foo@[bar]
line 12: directory: file {dir}: it is a directory; end the name with a slash to make it a maildir
line 10: inc: mail to command is restricted
line 8: incmissing: unable to lookup :include: file /no/such/file: No such file or directory
line 6: loopa: alias database loop for loopb
line 7: loopb: alias database loop for loopa
line 2: missing: command /no/such/program -x: there is no program /no/such/program
line 11: nodir: file {dir}/nowhere/mbox: there is no directory {dir}/nowhere
line 13: nothing: no recipient in alias lookup result for nothing
line 9: relative: :include:x uses a relative path
line 3: typo: command nosuchprogram: there is no program nosuchprogram
line 4: unknown: nosuch@mx.example.com: unknown user: "nosuch"`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	n := 0
	if err := Prove(context.Background(), r.o, func(Finding) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("%d findings after the end, %v", n, err)
	}
}
