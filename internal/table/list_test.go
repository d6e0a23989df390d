package table

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

func TestMaps(t *testing.T) {
	tests := []struct {
		name  string
		specs []string
		key   string
		want  string // value, "(none)" or the beginning of the error
		by    string
	}{
		{"no tables", nil, "x", "(none)", ""},
		{"first match", []string{"inline:{a=b}", "static:s"}, "a", "b", "inline:{a=b}"},
		{"second", []string{"inline:{a=b}", "static:s"}, "x", "s", "static:s"},
		{"nowhere", []string{"inline:{a=b}", "inline:{c=d}"}, "x", "(none)", ""},
		{"empty key", []string{"static:s"}, "", "(none)", ""},
		{"error before a match", []string{"fail:oops", "static:s"}, "a@virt.example", `error: fail:oops lookup error for "a@virt.example": `, "fail:oops"},
		{"error behind a match", []string{"static:s", "fail:oops"}, "x", "s", "static:s"},
		{"error behind a miss", []string{"inline:{a=b}", "fail:oops"}, "x", `error: fail:oops lookup error for "x"`, "fail:oops"},
		{"empty value", []string{"inline:{x=}", "static:s"}, "x", "error: inline:{x=} lookup of x returns an empty string result", "inline:{x=}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := OpenMaps(tt.specs, Options{})
			if err != nil {
				t.Fatal(err)
			}
			value, by, found, err := m.Lookup(context.Background(), tt.key)
			got, name := value, ""
			if err != nil {
				got = "error: " + err.Error()
			} else if !found {
				got = "(none)"
			}
			if by != nil {
				name = by.Name()
			}
			if !strings.HasPrefix(got, tt.want) || name != tt.by {
				t.Errorf("Lookup(%q) = %q by %q, want %q by %q", tt.key, got, name, tt.want, tt.by)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := OpenMaps([]string{"static:x", "foo:x"}, Options{}); err == nil {
		t.Error("OpenMaps with an unknown type succeeded")
	}
}

func TestDomainList(t *testing.T) {
	dir := t.TempDir()
	domains := write(t, filepath.Join(dir, "domains"), "# comment\nvirt1.example\n\nvirt2.example, virt3.example\n")
	nested := write(t, filepath.Join(dir, "nested"), "a.example "+domains+"\n  !b.example inline:{c.example=x}\n")
	tests := []struct {
		name   string
		elems  string
		o      Options
		domain string
		want   string // "yes", "no" or part of the error
	}{
		{"plain", "virt1.example,virt2.example  VIRT3.example", Options{}, "Virt3.Example", "yes"},
		{"not in it", "virt1.example", Options{}, "virt2.example", "no"},
		{"empty list", "", Options{}, "virt2.example", "no"},
		{"empty domain", "static:x", Options{}, "", "no"},
		{"beyond ASCII", "DÖMÄIN.example", Options{}, "dömäin.Example", "yes"},
		{"not UTF-8", "a.example", Options{}, "\xff.example", "no"},

		{"subdomain of a name", "virt.example", Options{}, "sub.virt.example", "no"},
		{"dot", ".virt.example", Options{}, "a.sub.virt.example", "yes"},
		{"dot, itself", ".virt.example", Options{}, "virt.example", "no"},
		{"dot, tail of a name", ".virt.example", Options{}, "notvirt.example", "no"},
		{"parent", "virt.example", Options{Subdomains: ParentSubdomains}, "a.sub.virt.example", "yes"},
		{"parent, itself", "virt.example", Options{Subdomains: ParentSubdomains}, "virt.example", "yes"},
		{"parent, tail of a name", "virt.example", Options{Subdomains: ParentSubdomains}, "notvirt.example", "no"},
		{"parent, dot", ".virt.example", Options{Subdomains: ParentSubdomains}, "sub.virt.example", "no"},
		{"none, dot", ".virt.example", Options{Subdomains: NoSubdomains}, "sub.virt.example", "no"},
		{"none, itself", "virt.example", Options{Subdomains: NoSubdomains}, "virt.example", "yes"},

		{"table", "inline:{virt1.example=x}", Options{}, "VIRT1.example", "yes"},
		{"table, dot", "inline:{.virt1.example=x}", Options{}, "a.b.virt1.example", "yes"},
		{"table, parent", "inline:{virt1.example=x}", Options{Subdomains: ParentSubdomains}, "a.b.virt1.example", "yes"},
		{"table, none", "inline:{.virt1.example=x}", Options{Subdomains: NoSubdomains}, "a.virt1.example", "no"},
		{"table fails", "a.example fail:oops b.example", Options{}, "b.example", "error: fail:oops: table lookup problem"},
		{"table fails behind the match", "a.example fail:oops", Options{}, "a.example", "yes"},

		{"negation before", "!virt2.example virt1.example virt2.example", Options{}, "virt2.example", "no"},
		{"negation behind", "virt1.example virt2.example !virt2.example", Options{}, "virt2.example", "yes"},
		{"negation before a table", "!virt2.example, static:x", Options{}, "virt2.example", "no"},
		{"negation before a table, another", "!virt2.example, static:x", Options{}, "virt3.example", "yes"},
		{"table before a name", "!static:x, virt2.example", Options{}, "virt2.example", "no"},
		{"twice negated", "!!virt2.example", Options{}, "virt2.example", "yes"},
		{"subdomain excluded", "!a.virt.example .virt.example", Options{}, "a.virt.example", "no"},
		{"subdomain excluded too late", ".virt.example !a.virt.example", Options{}, "a.virt.example", "yes"},

		{"file", domains, Options{}, "virt3.example", "yes"},
		{"file, not in it", domains, Options{}, "virt4.example", "no"},
		{"file excluded", "!" + domains + " static:x", Options{}, "virt2.example", "no"},
		{"file excluded, another", "!" + domains + " static:x", Options{}, "virt4.example", "yes"},
		{"file in a file", nested, Options{}, "virt2.example", "yes"},
		{"table in a file", nested, Options{}, "c.example", "yes"},
		{"exclusion in a file", nested + " static:x", Options{}, "b.example", "no"},
		{"exclusion in an excluded file", "!" + nested, Options{}, "b.example", "yes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := ParseDomainList(splitList(tt.elems), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ok, err := l.Match(context.Background(), tt.domain)
			if got := verdict(ok, err); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q: Match(%q) = %s, want %s", tt.elems, tt.domain, got, tt.want)
			}
		})
	}
}

func verdict(ok bool, err error) string {
	switch {
	case err != nil:
		return "error: " + err.Error()
	case ok:
		return "yes"
	}
	return "no"
}

func TestAddrList(t *testing.T) {
	dir := t.TempDir()
	nets := write(t, filepath.Join(dir, "nets"), "10.0.0.0/8 # ours\n[2001:db8::]/32\n")
	tests := []struct {
		name       string
		elems      string
		host, addr string
		o          Options
		want       string
	}{
		{"address", "127.0.0.1", "", "127.0.0.1", Options{}, "yes"},
		{"another address", "127.0.0.1", "", "127.0.0.2", Options{}, "no"},
		{"network", "10.0.0.0/8", "", "10.255.0.1", Options{}, "yes"},
		{"outside", "10.0.0.0/8", "", "11.0.0.1", Options{}, "no"},
		{"everything", "0.0.0.0/0", "", "8.8.8.8", Options{}, "yes"},
		{"everything of the other family", "0.0.0.0/0", "", "2001:db8::1", Options{}, "no"},
		{"one address as a network", "192.0.2.1/32", "", "192.0.2.1", Options{}, "yes"},
		{"mapped", "10.0.0.0/8", "", "::ffff:10.0.0.1", Options{}, "yes"},
		{"brackets, mask outside", "[2001:db8::]/32", "", "2001:db8:1::1", Options{}, "yes"},
		{"brackets, mask inside", "[2001:db8::/32]", "", "2001:db8:1::1", Options{}, "yes"},
		{"no brackets", "2001:db8::/32", "", "2001:db8:1::1", Options{}, "yes"},
		{"brackets, address", "[::1]", "", "::1", Options{}, "yes"},
		{"brackets, IPv4", "[127.0.0.1]", "", "127.0.0.1", Options{}, "yes"},
		{"another spelling", "[0:0:0:0:0:0:0:1]/128", "", "::1", Options{}, "yes"},
		{"upper case", "[2001:DB8::]/32", "", "2001:db8::1", Options{}, "yes"},
		{"zone", "[fe80::]/10", "", "fe80::1%eth0", Options{}, "yes"},
		{"no address", "0.0.0.0/0", "", "", Options{}, "no"},

		{"name", "host.example.com", "Host.example.com", "192.0.2.1", Options{}, "yes"},
		{"name of hexadecimal digits", "cafe.de", "cafe.de", "192.0.2.1", Options{}, "yes"},
		{"dot", ".example.com", "host.example.com", "192.0.2.1", Options{}, "yes"},
		{"parent", "example.com", "host.example.com", "192.0.2.1", Options{Subdomains: ParentSubdomains}, "yes"},
		{"name excluded", "!bad.example.com 192.0.2.0/24", "bad.example.com", "192.0.2.1", Options{}, "no"},
		{"address excluded", "!10.1.0.0/16 10.0.0.0/8", "", "10.1.2.3", Options{}, "no"},
		{"address excluded too late", "10.0.0.0/8 !10.1.0.0/16", "", "10.1.2.3", Options{}, "yes"},
		{"name before a network", "good.example.com !192.0.2.0/24", "good.example.com", "192.0.2.1", Options{}, "yes"},

		{"table of addresses", "inline:{192.0.2.1=x}", "", "192.0.2.1", Options{}, "yes"},
		{"table of names", "inline:{host.example.com=x}", "host.example.com", "192.0.2.1", Options{}, "yes"},
		{"table, neither", "inline:{192.0.2.1=x}", "host.example.com", "192.0.2.2", Options{}, "no"},
		{"table fails", "fail:oops 192.0.2.1", "", "192.0.2.1", Options{}, "error: fail:oops: table lookup problem"},

		{"file", nets, "", "10.1.1.1", Options{}, "yes"},
		{"file, second line", nets, "", "2001:db8::1", Options{}, "yes"},
		{"file excluded", "!" + nets + " 0.0.0.0/0", "", "10.1.1.1", Options{}, "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := ParseAddrList(splitList(tt.elems), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var addr netip.Addr
			if tt.addr != "" {
				addr = netip.MustParseAddr(tt.addr)
			}
			ok, err := l.Match(context.Background(), tt.host, addr)
			if got := verdict(ok, err); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q: Match(%q, %s) = %s, want %s", tt.elems, tt.host, tt.addr, got, tt.want)
			}
		})
	}
}

func TestListErrors(t *testing.T) {
	dir := t.TempDir()
	bad := write(t, filepath.Join(dir, "bad"), "# nets\n10.0.0.0/8\n10.0.0.1/8\n")
	loop := filepath.Join(dir, "loop")
	write(t, loop, "a.example\n"+loop+"\n")
	domains := func(e []string) error { _, err := ParseDomainList(e, Options{}); return err }
	addrs := func(e []string) error { _, err := ParseAddrList(e, Options{}); return err }
	tests := []struct {
		name, elems string
		parse       func([]string) error
		want        string
	}{
		{"no pattern", "a.example !", domains, "no pattern after '!'"},
		{"missing file", dir + "/nosuch", domains, "open file " + dir + "/nosuch: No such file or directory"},
		{"directory", dir, domains, "read " + dir + ": Is a directory"},
		{"unknown type", "foo:/x", domains, "unsupported dictionary type: foo"},
		{"missing table", "static:x hash:" + dir + "/nosuch", domains, "open database " + dir + "/nosuch.db: No such file or directory; run"},
		{"file names itself", loop, domains, loop + ", line 2: " + loop + ", line 2: "},
		{"not UTF-8", "a\xff.example", domains, "\"a\xff.example\" is not UTF-8"},
		{"host bits", "10.0.0.1/8", addrs, `non-null host address bits in "10.0.0.1/8", perhaps you should use "10.0.0.0/8" instead`},
		{"host bits, IPv6", "[2001:db8::1]/32", addrs, `non-null host address bits in "2001:db8::1/32", perhaps you should use "2001:db8::/32" instead`},
		{"host bits in a file", bad, addrs, bad + `, line 3: non-null host address bits in "10.0.0.1/8"`},
		{"short network", "10/8", addrs, `bad network value in "10/8"`},
		{"mask too long", "10.0.0.0/33", addrs, `bad mask length in "10.0.0.0/33"`},
		{"mask no number", "10.0.0.0/a", addrs, `bad mask value in "10.0.0.0/a"`},
		{"empty mask", "10.0.0.0/", addrs, `bad mask value in "10.0.0.0/"`},
		{"open bracket", "[::1", addrs, `missing ']' character after "[::1"`},
		{"behind the bracket", "[::1]1", addrs, `garbage after "[::1]"`},
		{"bad address", "[cafe]", addrs, `bad address pattern: "cafe"`},
		{"unknown type, addresses", "foo:/x", addrs, "unsupported dictionary type: foo"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.parse(splitList(tt.elems)); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%q: error %v, want %q", tt.elems, err, tt.want)
			}
		})
	}
}

func TestCommentBehindText(t *testing.T) {
	var w warnings
	file := write(t, filepath.Join(t.TempDir(), "list"), "a.example # b.example\nc.example\n")
	l, err := ParseDomainList([]string{file}, w.options())
	if err != nil {
		t.Fatal(err)
	}
	wantSaid(t, &w, file+`, line 1: #comment after other text is not allowed: "# b.example"`)
	for domain, want := range map[string]bool{"a.example": true, "b.example": false, "c.example": true} {
		if got, err := l.Match(context.Background(), domain); got != want || err != nil {
			t.Errorf("Match(%s) = %t, %v", domain, got, err)
		}
	}
}

// FuzzAddrList: parsing never panics, and a network that is accepted matches its own
// address.
func FuzzAddrList(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "[2001:db8::]/32", "[::1]", "2001:db8::/32", "10/8", "[", "!x", "::ffff:1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		network, ok, err := parseNetwork(s)
		if s == "" || err != nil || !ok {
			if ok && err != nil {
				t.Errorf("%q: both a network and an error %v", s, err)
			}
			return
		}
		if network != network.Masked() || !network.Contains(network.Addr()) {
			t.Errorf("%q is the network %s", s, network)
		}
	})
}
