package alias

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestComplete(t *testing.T) {
	postfix := func(*Options) {}
	dots := func(o *Options) { o.AppendDotMyDomain = true }
	bare := func(o *Options) { o.AppendAtMyOrigin, o.SwapBangpath, o.AllowPercentHack = false, false, false }
	for name, c := range map[string]struct {
		in, want string // internal form
		change   func(*Options)
	}{
		"complete already":           {"joe@dest.example", "joe@dest.example", postfix},
		"case is kept":               {"Joe@Dest.Example", "Joe@Dest.Example", postfix},
		"bare name":                  {"joe", "joe@mx.example.com", postfix},
		"bare name, other origin":    {"joe", "joe@origin.example", func(o *Options) { o.MyOrigin = "origin.example" }},
		"bare name, nothing added":   {"joe", "joe", bare},
		"domain without dot":         {"joe@host", "joe@host", postfix},
		"mydomain is added":          {"joe@host", "joe@host.example.com", dots},
		"mydomain, dotted domain":    {"joe@host.example", "joe@host.example", dots},
		"mydomain, literal":          {"joe@[192.0.2.1]", "joe@[192.0.2.1]", dots},
		"mydomain, bare name":        {"joe", "joe@mx.example.com", dots},
		"mydomain, domain is empty":  {"joe@", "joe@", dots},
		"trailing dot":               {"joe@dest.example.", "joe@dest.example", postfix},
		"two trailing dots":          {"joe@dest.example..", "joe@dest.example..", postfix},
		"dot alone":                  {"joe@.", "joe@.", postfix},
		"bang":                       {"dest.example!joe", "joe@dest.example", postfix},
		"bangs":                      {"a.example!b.example!joe", "b.example!joe@a.example", postfix},
		"bang, switched off":         {"dest.example!joe", "dest.example!joe", bare},
		"bang before a domain":       {"a.example!joe@dest.example", "a.example!joe@dest.example", postfix},
		"percent":                    {"joe%dest.example", "joe@dest.example", postfix},
		"percents":                   {"joe%a.example%dest.example", "joe%a.example@dest.example", postfix},
		"percent before a domain":    {"joe%a.example@dest.example", "joe%a.example@dest.example", postfix},
		"bang goes before percent":   {"a.example!joe%b.example", "joe%b.example@a.example", postfix},
		"source route":               {"@relay.example:joe@dest.example", "joe@dest.example", postfix},
		"source route to a bare one": {"@relay.example:joe", "joe@mx.example.com", postfix},
		"domain alone":               {"@dest.example", "@dest.example", postfix},
		"no domain after the at":     {"joe@", "joe@", postfix},
		"space in the local part":    {"odd user@dest.example", "odd user@dest.example", postfix},
		"bare name with a space":     {"odd user", "odd user@mx.example.com", postfix},
		"at in the local part":       {"a@b@dest.example", "a@b@dest.example", postfix},
		"at alone":                   {"@", "", postfix},
		"null":                       {"", "", postfix},
		"utf-8":                      {"jösé@münchen.example", "jösé@münchen.example", postfix},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, nil, c.change)
			got := r.Complete(splitInternal(c.in))
			if got.Internal() != c.want {
				t.Errorf("Complete(%q) = %q, want %q", c.in, got.Internal(), c.want)
			}
			if again := r.Complete(got); again != got && !strings.HasPrefix(got.Local, "@") {
				t.Errorf("completing %q again gives %q", got, again)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	for name, c := range map[string]struct{ value, extension, want string }{
		"plain":                  {"joe@dest.example", "", "joe@dest.example"},
		"list":                   {"joe@dest.example, ann", "", "joe@dest.example, ann@mx.example.com"},
		"extension":              {"joe@dest.example, ann", "+x", "joe+x@dest.example, ann+x@mx.example.com"},
		"extension in quotes":    {`"a b"@dest.example`, "+x", `"a b+x"@dest.example`},
		"extension, no domain":   {"joe@", "+x", "joe+x@"},
		"null":                   {"<>", "", ""},
		"empty quotes":           {`""`, "", ""},
		"nothing":                {",,", "", "none"},
		"bang and percent":       {"a.example!b c%d.example", "", "b@a.example, c@d.example"},
		"comment":                {"joe@dest.example (Joe)", "", "joe@dest.example"},
		"route keeps its target": {"@r.example:joe@dest.example", "", "joe@dest.example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, nil, nil)
			list := r.targets(c.value, c.extension)
			got := "none"
			if list != nil {
				var rcpts []mail.Recipient
				for _, a := range list {
					rcpts = append(rcpts, mail.Recipient{Final: a})
				}
				if len(rcpts) > 0 {
					got = finals(rcpts)
				}
			}
			if got != c.want {
				t.Errorf("targets(%q, %q) = %q, want %q", c.value, c.extension, got, c.want)
			}
		})
	}
}
