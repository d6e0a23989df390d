package screen

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseSites(t *testing.T) {
	answer := func(texts ...string) (list []netip.Addr) {
		for _, s := range texts {
			list = append(list, netip.MustParseAddr(s))
		}
		return list
	}
	for _, c := range []struct {
		text    string
		answers []netip.Addr
		weight  int
	}{
		{"bl.example", answer("127.0.0.2"), 1},
		{"bl.example", nil, 0},
		{"bl.example*3", answer("127.0.0.2"), 3},
		{"bl.example*-3", answer("127.0.0.2"), -3},
		{"bl.example=127.0.0.2", answer("127.0.0.2"), 1},
		{"bl.example=127.0.0.3", answer("127.0.0.2"), 0},
		{"bl.example=127.0.0.3", answer("127.0.0.2", "127.0.0.3"), 1},
		{"bl.example=127.0.0.[2..11]*2", answer("127.0.0.11"), 2},
		{"bl.example=127.0.0.[2..11]*2", answer("127.0.0.12"), 0},
		{"bl.example=127.0.0.2*2 bl.example=127.0.0.[3;4]*4 bl.example*8", answer("127.0.0.2", "127.0.0.4"), 14},
	} {
		list, err := ParseSites(strings.Fields(c.text))
		if err != nil || len(list) != 1 {
			t.Errorf("%s: %v, %v", c.text, list, err)
			continue
		}
		r := &rank{pending: 2}
		r.weigh(&list[0], c.answers, 0)
		if r.total != c.weight {
			t.Errorf("%s: weight of %v is %d, want %d", c.text, c.answers, r.total, c.weight)
		}
	}
	if list, err := ParseSites([]string{"b.example*2", "a.example", "b.example=127.0.0.1"}); err != nil || len(list) != 2 || len(list[0].ways) != 2 {
		t.Errorf("a site that is named twice: %v, %v", list, err)
	}
	for text, want := range map[string]string{
		"bl.example*":            `bad DNSBL weight factor "" in "bl.example*"; write a number such as 2 or -5`,
		"bl.example*x":           `bad DNSBL weight factor "x"`,
		"bl.example*1*2":         `bad DNSBL weight factor "1*2"`,
		"bl.example*99999999999": "bad DNSBL weight factor",
		"bl.example=":            "bad address pattern",
		"bl.example=127.0.0":     "bad address pattern",
		"=127.0.0.1":             `bad DNSBL domain name ""`,
		"bl..example":            `bad DNSBL domain name "bl..example"`,
		"127.0.0.1":              `bad DNSBL domain name "127.0.0.1"`,
		"*2":                     "bad DNSBL domain name",
	} {
		if _, err := ParseSites([]string{"a.example", text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// What is taken says where to ask and how much that weighs, as a naive reader sees it.
func FuzzParseSites(f *testing.F) {
	for _, text := range []string{"bl.example", "bl.example=127.0.0.[2..4;9]*-3", "a=b*c", "bl.example*+5", "b.example=1.2.3.4"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseSites([]string{text})
		if err != nil {
			return
		}
		if len(list) != 1 || len(list[0].ways) != 1 {
			t.Fatalf("%q: %v", text, list)
		}
		w := list[0].ways[0]
		if w.weight > maxWeight || w.weight < -maxWeight {
			t.Errorf("%q: weight %d", text, w.weight)
		}
		if (w.filter != nil) != strings.Contains(text, "=") || !strings.Contains(text, "*") && w.weight != 1 {
			t.Errorf("%q: filter %v, weight %d", text, w.filter, w.weight)
		}
		if end := strings.IndexAny(text+"=", "=*"); list[0].Domain != text[:end] {
			t.Errorf("%q: domain %q", text, list[0].Domain)
		}
		twice, err := ParseSites([]string{text, text})
		if err != nil || len(twice) != 1 || len(twice[0].ways) != 2 {
			t.Errorf("%q twice: %v, %v", text, twice, err)
		}
	})
}
