package table

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// FuzzAliasesText: an index built of a text in the form of aliases(5) has what the text
// has when it is read into memory; and what was read, written as aliases again, reads as
// the same.
func FuzzAliasesText(f *testing.F) {
	for _, s := range []string{"root: joe\nA: b,\n c\n", "\"odd user\": \"|x y\"\n# c\n\nx:y", "a b\n", ": x\na:\n", "a: (c) b, <d@e>\n", "a@b: c\n", "x: :include:/f\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{Aliases: true}.withDefaults()
		source := tableFile(t, text)
		m, err := readMemory(source, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := Build("hash:"+source, BuildOptions{Aliases: true}); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		var again strings.Builder
		plain := true
		for key, l := range m.entries {
			want[key] = l.value
			fmt.Fprintf(&again, "\"%s\": %s\n", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key), l.value)
			plain = plain && !strings.ContainsAny(key+l.value, "\x00\r\n\t\"\\()[]<>;:,")
		}
		if got := list(t, open(t, "hash:"+source, Options{Aliases: true})); !maps.Equal(got, want) {
			t.Fatalf("index has %q, text has %q", got, want)
		}
		if !plain {
			return // FuzzAliases says what holds for values that quote
		}
		second, err := readMemory(tableFile(t, again.String()), o)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range want {
			if got := second.entries[key].value; got != value {
				t.Errorf("%q: %q is written %q and read as %q", key, value, again.String(), got)
			}
		}
	})
}

// FuzzCIDR: plain rules answer as a reader that knows nothing but the first of them that
// has the address.
func FuzzCIDR(f *testing.F) {
	f.Add("10.0.0.0/8 a\n10.1.0.0/16 b\n", "10.1.2.3")
	f.Add("!10.0.0.0/8 a\n::/0 b\n", "::1")
	f.Add("if 10.0.0.0/8\n10.1.2.3 x\nendif\n0.0.0.0/0 y", "10.1.2.3")
	f.Add("2001:db8::/32 x\n[::1] y", "2001:db8::5")
	f.Fuzz(func(t *testing.T, text, key string) {
		got := answer(open(t, "cidr:"+tableFile(t, text), Options{}), key)
		addr, err := netip.ParseAddr(key)
		if err != nil || addr.Zone() != "" {
			if got != "(none)" {
				t.Errorf("%q is no address: %s", key, got)
			}
			return
		}
		want := "(none)"
		for line := range strings.SplitSeq(text, "\n") {
			if line == "" {
				continue
			}
			pattern, result, ok := strings.Cut(line, " ")
			if !ok || result == "" || strings.Trim(pattern, "0123456789.:/abcdef") != "" || strings.Trim(result, "xyz") != "" {
				return
			}
			network, err := netip.ParsePrefix(pattern)
			if err != nil {
				one, err := netip.ParseAddr(pattern)
				if err != nil {
					return
				}
				network = netip.PrefixFrom(one, one.BitLen())
			}
			if network != network.Masked() {
				continue // passed over, with a warning
			}
			if want == "(none)" && network.Contains(addr) {
				want = result
			}
		}
		if got != want {
			t.Errorf("%q on %s: got %s, want %s", text, key, got, want)
		}
	})
}

// patternAlphabet is what Go, POSIX and Perl take for the same.
var patternAlphabet = []string{"a", "b", "c", ".", "^", "$", "(", ")", "|", "*", "+", "?", "[ab]", "[^a]", "x", "{2}", "{1,3}", "{0,}"}

// FuzzPatterns: expressions of what all know match as package regexp has it, in both
// syntaxes; Perl's first match takes the same groups.
func FuzzPatterns(f *testing.F) {
	for _, s := range []string{"\x00\x01", "\x06\x00\x08\x01\x07\x09", "\x04\x00\x05", "\x0c\x0a\x0d", "\x06\x06\x00\x09\x07\x0b\x07\x01"} {
		f.Add([]byte(s), "aab")
		f.Add([]byte(s), "xcba")
	}
	f.Fuzz(func(t *testing.T, program []byte, key string) {
		if len(program) > 24 || len(key) > 40 || strings.Trim(key, "abcxABCX") != "" || key == "" {
			return
		}
		var b strings.Builder
		last := ""
		for _, c := range program {
			next := patternAlphabet[int(c)%len(patternAlphabet)]
			// Two repetitions in a row, or one of nothing, mean something else to each.
			if strings.Contains("*+?{", next[:1]) && strings.Contains("|(^$*+?{", cutFirst(last)) {
				continue
			}
			b.WriteString(next)
			last = next
		}
		pattern := b.String()
		re, err := regexp.Compile("(?is)" + pattern)
		if err != nil {
			return
		}
		perl, err := Open("pcre:"+tableFile(t, "/"+pattern+"/ yes\n"), Options{})
		if err != nil {
			if !strings.Contains(err.Error(), "not supported here") {
				t.Errorf("pcre /%s/: %v", pattern, err)
			}
			return
		}
		defer perl.Close()
		want := "(none)"
		found := re.FindStringSubmatch(key)
		if found != nil {
			want = "yes"
		}
		if got := answer(perl, key); got != want {
			t.Errorf("pcre /%s/ on %q: %s, want %s", pattern, key, got, want)
		}
		posix, err := Open("regexp:"+tableFile(t, "/"+pattern+"/ yes\n"), Options{})
		if err != nil {
			t.Errorf("regexp /%s/: %v", pattern, err)
			return
		}
		defer posix.Close()
		if got := answer(posix, key); got != want {
			t.Errorf("regexp /%s/ on %q: %s, want %s", pattern, key, got, want)
		}
		if found == nil || re.NumSubexp() == 0 {
			return
		}
		groups, err := Open("pcre:"+tableFile(t, "/"+pattern+"/ <$1>\n"), Options{})
		if err != nil {
			return // FuzzRules and TestPatternFaultsAtOpen know which cannot have $number
		}
		defer groups.Close()
		if got := answer(groups, key); got != "<"+found[1]+">" {
			t.Errorf("pcre /%s/ on %q: $1 is %s, want <%s>", pattern, key, got, found[1])
		}
	})
}

func cutFirst(s string) string {
	if s == "" {
		return "|"
	}
	return s[:1]
}

// FuzzMatchList: a list answers as one that goes from element to element.
func FuzzMatchList(f *testing.F) {
	f.Add("a.example !b.a.example .a.example", "b.a.example", "192.0.2.1", byte(0))
	f.Add("!192.0.2.1 192.0.2.0/24, x", "x", "192.0.2.1", byte(1))
	f.Add("[::1] ::/0 !!y", "y", "::1", byte(2))
	f.Add("inline:{a=b} !static:x", "a", "", byte(0))
	f.Add("a\u00e4.example !", "A\u00c4.example", "", byte(1))
	f.Fuzz(func(t *testing.T, text, name, address string, mode byte) {
		if hasFile(text) {
			return // of this machine
		}
		addr, _ := netip.ParseAddr(address)
		addr = addr.Unmap().WithZone("")
		o := Options{Subdomains: Subdomains(mode % 3)}
		elems := splitList(text)
		l, err := ParseAddrList(elems, o)
		if err != nil {
			return
		}
		defer l.Close()
		got, err := l.Match(t.Context(), name, addr)
		if err != nil {
			return
		}
		want := false
		form := keyForm{fold: true, utf8: true}
		folded, ok := form.key(name)
		if !ok {
			folded = ""
		}
		for _, e := range elems {
			item := strings.TrimLeft(e, "!")
			not := (len(e)-len(item))%2 == 1
			if strings.Contains(item, ":") && !strings.HasPrefix(item, "[") {
				if _, ok, err := parseNetwork(item); !ok || err != nil {
					return // a table
				}
			}
			hit := false
			if network, isNet, err := parseNetwork(item); isNet && err == nil {
				hit = network.Contains(addr)
			} else if key, ok := form.key(item); ok && folded != "" {
				parent := key
				if o.Subdomains == ParentSubdomains {
					parent = "." + key
				}
				hit = folded == key || o.Subdomains != NoSubdomains && strings.HasPrefix(parent, ".") && strings.HasSuffix(folded[1:], parent) ||
					o.Subdomains == DotSubdomains && strings.HasPrefix(key, ".") && strings.HasSuffix(folded[1:], key)
			}
			if hit {
				want = !not
				break
			}
		}
		if got != want {
			t.Errorf("%q, mode %d: Match(%q, %s) = %t, want %t", elems, mode%3, name, addr, got, want)
		}
	})
}

func hasFile(text string) bool {
	for _, e := range splitList(text) {
		if strings.HasPrefix(strings.TrimLeft(e, "!"), "/") || strings.Contains(e, ":/") {
			return true
		}
	}
	return false
}
