package alias

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// fakeTable is a table in memory that can fail, and that may call itself anything.
type fakeTable struct {
	name    string
	entries map[string]string
	broken  map[string]bool // keys that it cannot answer; "*" for all
	asked   []string
}

func (f *fakeTable) Lookup(_ context.Context, key string) (string, bool, error) {
	f.asked = append(f.asked, key)
	key = strings.ToLower(key)
	if f.broken[key] || f.broken["*"] {
		return "", false, errors.New("no answer")
	}
	value, ok := f.entries[key]
	return value, ok, nil
}

func (f *fakeTable) Name() string { return f.name }
func (f *fakeTable) Close() error { return nil }

// fake makes a table of "key value" lines.
func fake(name string, lines ...string) *fakeTable {
	f := &fakeTable{name: name, entries: map[string]string{}, broken: map[string]bool{}}
	for _, l := range lines {
		key, value, _ := strings.Cut(l, " ")
		f.entries[strings.ToLower(key)] = value
	}
	return f
}

func domains(t testing.TB, elems ...string) *table.DomainList {
	t.Helper()
	list, err := table.ParseDomainList(elems, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// newTestResolver has Postfix's defaults, virt.example as virtual alias domain, and a
// fake table of the given lines; change may then do what it likes.
func newTestResolver(t testing.TB, lines []string, change func(*Options)) *Resolver {
	t.Helper()
	o := Options{
		MyHostname: "mx.example.com", MyDomain: "example.com",
		VirtualAliasDomains:          domains(t, "virt.example"),
		VirtualAliasMaps:             table.Maps{fake("fake:virtual", lines...)},
		OwnAddresses:                 []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		LocalTransport:               "error:local mail delivery is disabled",
		AppendAtMyOrigin:             true,
		AllowPercentHack:             true,
		SwapBangpath:                 true,
		PropagateUnmatchedExtensions: []string{"canonical", "virtual"},
		EnableOriginalRecipient:      true,
	}
	if change != nil {
		change(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fromConfig makes a Resolver of main.cf parameters and files, as far as the recorded
// cases use them.
func fromConfig(t testing.TB, cf, files map[string]string) *Resolver {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	get := func(name string) string {
		return strings.NewReplacer("{dir}", dir, "$myhostname", "mx.example.com", "$mydomain", "example.com",
			"${mydomain}", "example.com").Replace(cf[name])
	}
	elems := func(name string) []string {
		var list []string
		depth := 0
		field := ""
		for _, c := range get(name) + " " {
			if depth == 0 && strings.ContainsRune(", \t\n", c) {
				if field != "" {
					list = append(list, field)
				}
				field = ""
				continue
			}
			switch c {
			case '{':
				depth++
			case '}':
				depth--
			}
			field += string(c)
		}
		return list
	}
	maps := func(name string) table.Maps {
		m, err := table.OpenMaps(elems(name), table.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(get(name))
		return n
	}
	list := func(name string) *table.DomainList {
		if _, set := cf[name]; !set && name == "virtual_alias_domains" {
			name = "virtual_alias_maps"
		}
		return domains(t, elems(name)...)
	}
	propagate := []string{"canonical", "virtual"}
	if _, set := cf["propagate_unmatched_extensions"]; set {
		propagate = elems("propagate_unmatched_extensions")
	}
	r, err := New(Options{
		MyHostname: "mx.example.com", MyDomain: "example.com", MyOrigin: get("myorigin"),
		MyDestination: list("mydestination"), VirtualAliasDomains: list("virtual_alias_domains"),
		RelayDomains:       list("relay_domains"),
		OwnAddresses:       []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		VirtualAliasMaps:   maps("virtual_alias_maps"),
		LocalRecipientMaps: maps("local_recipient_maps"), RelayRecipientMaps: maps("relay_recipient_maps"),
		RecursionLimit:     number("virtual_alias_recursion_limit"),
		ExpansionLimit:     number("virtual_alias_expansion_limit"),
		AddressLengthLimit: number("virtual_alias_address_length_limit"),
		AppendAtMyOrigin:   cf["append_at_myorigin"] != "no", AppendDotMyDomain: cf["append_dot_mydomain"] == "yes",
		AllowPercentHack: true, SwapBangpath: true,
		RecipientDelimiter: get("recipient_delimiter"), PropagateUnmatchedExtensions: propagate,
		SplitOwnerRequest:       cf["owner_request_special"] == "no",
		UnknownVirtualAliasCode: number("unknown_virtual_alias_reject_code"),
		HideTableName:           cf["show_user_unknown_table_name"] == "no",
		RelayHost:               "[127.0.0.1]:2525", RelayTransport: get("relay_transport"), LocalTransport: get("local_transport"),
		EmptyAddressRecipient:   get("empty_address_recipient"),
		DuplicateFilterLimit:    number("duplicate_filter_limit"),
		EnableOriginalRecipient: cf["enable_original_recipient"] != "no",
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// address reads what stands between the brackets of RCPT TO, as smtpd(8) does.
func address(t testing.TB, s string) mail.Address {
	t.Helper()
	if strings.HasPrefix(s, "@") {
		if _, rest, ok := strings.Cut(s, ":"); ok {
			s = rest
		}
	}
	parsed := parseList(s)
	if len(parsed) != 1 {
		t.Fatalf("%q is not one address", s)
	}
	return toAddress(parsed[0])
}

func finals(rcpts []mail.Recipient) string {
	var list []string
	for _, r := range rcpts {
		list = append(list, external(r.Final))
	}
	return strings.Join(list, ", ")
}

// answer is what Expand says, in a line.
func answer(r *Resolver, addr mail.Address) string {
	rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: addr})
	if err != nil {
		return mail.StatusOf(err).Error()
	}
	return finals(rcpts)
}
