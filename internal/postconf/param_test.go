package postconf

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestEveryParameterOnce(t *testing.T) {
	seen := map[string]bool{}
	add := func(name string) {
		if seen[name] {
			t.Errorf("%s is in the table twice", name)
		}
		seen[name] = true
	}
	for _, part := range [][]entry{
		paramsHost, paramsAlias, paramsLocal, paramsRewrite, paramsRoute, paramsSMTPD, paramsLimits, paramsRestrictions, paramsAccess, paramsMessage,
		paramsChecks, paramsQueue, paramsBounce, paramsSMTP, paramsVerify, paramsMilter, paramsScreen, paramsSASL, paramsTLS, paramsLog,
		paramsOurs, paramsSTSHost, paramsSRS, paramsAliasLife, paramsPlumbing, paramsCiphers, paramsDKIM, paramsMailAuth, paramsARC, paramsSASLOut,
		paramsSession, paramsLMTP, paramsDANE, paramsShaping, paramsReputation, paramsTLSOut, paramsConnected,
	} {
		for _, e := range part {
			add(e.name)
		}
	}
	for _, part := range [][]plain{
		unsupportedSMTPD, unsupportedSMTP, unsupportedLMTP, unsupportedTLS, unsupportedScreen, unsupportedOther,
	} {
		for _, p := range part {
			add(p.name)
		}
	}
	if table := newParams(); len(table) != len(seen) {
		t.Errorf("newParams has %d parameters, its parts have %d", len(table), len(seen))
	}
}

func TestParams(t *testing.T) {
	all := Params()
	if !slices.IsSortedFunc(all, func(a, b Param) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	c := readMain(t, "")
	for _, p := range all {
		if p.Doc == "" || strings.ContainsAny(p.Doc, "\n") || strings.HasSuffix(p.Doc, ".") {
			t.Errorf("%s: meaning %q, want one line without a full stop", p.Name, p.Doc)
		}
		if p.Kind == Unsupported {
			t.Errorf("%s is not supported, and listed", p.Name)
		}
		if _, err := c.expander().parameter(p.Name); err != nil {
			t.Errorf("%s: default %q: %v", p.Name, p.Default, err)
		}
	}
}

// Without any setting the configuration must be one that can work.
func TestDefaultsAreValid(t *testing.T) {
	if err := readMain(t, "").Check(); err != nil {
		t.Error(err)
	}
	for _, level := range []string{"0", "1", "2", "3.6", "3.11", "9999"} {
		if err := readMain(t, "compatibility_level = "+level).Check(); err != nil {
			t.Errorf("compatibility_level = %s: %v", level, err)
		}
	}
	if err := readMain(t, "stress = yes").Check(); err != nil {
		t.Error(err)
	}
}

func TestDifferencesAreDifferent(t *testing.T) {
	table := newParams()
	for _, d := range differences {
		switch p := table[d.name]; {
		case p == nil:
			t.Errorf("%s is not in the table", d.name)
		case p.Kind != Postfix || p.Default == d.postfix || p.Why == "":
			t.Errorf("%s: kind %v, default %q, Postfix's %q, why %q", d.name, p.Kind, p.Default, d.postfix, p.Why)
		}
	}
}

func TestGuardsAreUnsupported(t *testing.T) {
	table := newParams()
	check := func(name string) {
		if p := table[name]; p == nil || p.Kind != Unsupported {
			t.Errorf("%s: not an unsupported parameter", name)
		}
	}
	for _, g := range guards {
		check(g.name)
	}
	for _, name := range harmless {
		check(name)
		if !hasRestrictingWord(name) {
			t.Errorf("%s has no restricting word: it need not be listed", name)
		}
	}
}

func TestTransportParameters(t *testing.T) {
	c := readBoth(t, "maildrop_destination_recipient_limit = 1\nnosuch_destination_recipient_limit = 1\n",
		"smtp inet n - n - - smtpd\nmaildrop unix - n n - - pipe flags=R argv=/bin/x\n")
	for name, want := range map[string]string{
		"maildrop_destination_recipient_limit":   "1",
		"maildrop_destination_concurrency_limit": "20",
		"relay_destination_concurrency_limit":    "20",
		"nosuch_destination_concurrency_limit":   "",
	} {
		if got := c.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	want := []string{
		"/etc/test/main.cf, line 1: maildrop_destination_recipient_limit is not supported and has no effect",
		"/etc/test/main.cf: unused parameter: nosuch_destination_recipient_limit=1",
	}
	if got := c.Warnings(); !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}
