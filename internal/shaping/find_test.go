package shaping

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// lines is a Table, and notes what it was asked. "away" fails.
type lines struct {
	name  string
	of    map[string]string
	asked *[]string
}

func (l lines) Lookup(_ context.Context, key string) (line, where string, found bool, err error) {
	if l.asked != nil {
		*l.asked = append(*l.asked, l.name+"/"+key)
	}
	line, found = l.of[key]
	if line == "away" {
		return "", "", false, errors.New("away")
	}
	return line, l.name, found, nil
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name           string
		maps, defaults map[string]string
		domain, hosts  string
		want           string // "where key: line", or the error
	}{
		{"nothing", nil, nil, "a.example", "mx.example", ""},
		{"by domain", map[string]string{"a.example": "concurrency=1", "mx.example": "concurrency=2"}, nil, "A.example", "mx.example", "maps a.example: concurrency=1"},
		{"by host", map[string]string{"mx.example": "concurrency=2", ".example": "concurrency=3"}, nil, "a.example", "MX.example", "maps mx.example: concurrency=2"},
		{"by a domain above", map[string]string{".b.example": "concurrency=2", ".example": "concurrency=3"}, nil, "a.example", "mx.a.b.example", "maps .b.example: concurrency=2"},
		{"not by the domain above the domain", map[string]string{".example": "concurrency=2"}, nil, "a.example", "mx.test", ""},
		{"the best host first", map[string]string{".two.test": "concurrency=2", ".one.test": "concurrency=1"}, nil, "a.example", "mx.one.test mx.two.test", "maps .one.test: concurrency=1"},
		{"a later host", map[string]string{"mx.two.test": "concurrency=2"}, nil, "a.example", "mx.one.test mx.two.test", "maps mx.two.test: concurrency=2"},
		{"maps before defaults", map[string]string{".test": "concurrency=2"}, map[string]string{"a.example": "concurrency=1"}, "a.example", "mx.test", "maps .test: concurrency=2"},
		{"defaults", map[string]string{".other": "concurrency=2"}, map[string]string{".test": "concurrency=1 slow=4.7.28"}, "a.example", "mx.test", "defaults .test: concurrency=1 slow=4.7.28"},
		{"alone", map[string]string{".test": "concurrency=2"}, map[string]string{".test": "site=s initial=1"}, "a.example", "mx.test", "maps .test: concurrency=2"},
		{"with defaults", map[string]string{".test": "defaults concurrency=2"}, map[string]string{".test": "site=s concurrency=9 initial=1 slow=4.7."}, "a.example", "mx.test", "maps .test: site=s concurrency=2 initial=1 slow=4.7."},
		{"with defaults that there are not", map[string]string{".test": "defaults concurrency=2"}, nil, "a.example", "mx.test", "maps .test: concurrency=2"},
		{"an address", map[string]string{".2.1": "concurrency=2"}, nil, "192.0.2.1", "192.0.2.1", ""},
		{"a group", nil, map[string]string{".test": "site=s"}, "a.example", "mx1.test mx2.test", "defaults .test: site=s"},
		{"of a group by one host", nil, map[string]string{".test": "site=s concurrency=1"}, "a.example", "mx1.test mx.example", "defaults .test: concurrency=1"},
		{"a group behind somebody's own", nil, map[string]string{".test": "site=s concurrency=1"}, "a.example", "mx.example mx1.test", "defaults .test: concurrency=1"},
		{"two groups", nil, map[string]string{".test": "site=s", ".net": "site=n"}, "a.example", "mx1.test mx2.net", "defaults .test: "},
		{"a group with two names", nil, map[string]string{".test": "site=s", ".net": "site=s"}, "a.example", "mx1.test mx2.net", "defaults .test: site=s"},
		{"a group by domain", map[string]string{"a.example": "site=s"}, nil, "a.example", "mx1.test mx2.net", "maps a.example: site=s"},
		{"a group taken apart", map[string]string{"mx2.test": "concurrency=1"}, map[string]string{".test": "site=s"}, "a.example", "mx1.test mx2.test", "maps mx2.test: concurrency=1"},
		{"away", map[string]string{"a.example": "away"}, map[string]string{"a.example": "concurrency=1"}, "a.example", "mx.test", "away"},
		{"broken", map[string]string{".test": "concurrency=x"}, nil, "a.example", "mx.test", "maps: .test: concurrency=x: not a number from 1 on; leave it out for no limit"},
	} {
		tables := &Tables{Maps: lines{name: "maps", of: c.maps}, Defaults: lines{name: "defaults", of: c.defaults}}
		a, found, err := tables.Find(t.Context(), c.domain, strings.Fields(c.hosts))
		got := ""
		if found {
			got = fmt.Sprintf("%s %s: %s", a.Where, a.Key, a.Line)
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	if _, found, err := (&Tables{}).Find(t.Context(), "a.example", nil); found || err != nil {
		t.Errorf("without tables: %v %v", found, err)
	}
}

// The order is that of the documentation, and however many hosts somebody lists, under
// however long names: there is a bound to what is asked.
func TestOrderAndBound(t *testing.T) {
	var asked []string
	tables := &Tables{Maps: lines{name: "m", asked: &asked}, Defaults: lines{name: "d", asked: &asked}}
	tables.Find(t.Context(), "a.example", []string{"mx.b.test", "192.0.2.1"})
	want := "m/a.example m/mx.b.test m/.b.test m/.test m/192.0.2.1 d/a.example d/mx.b.test d/.b.test d/.test d/192.0.2.1"
	if got := strings.Join(asked, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	asked = nil
	var hosts []string
	for i := range 1000 {
		hosts = append(hosts, fmt.Sprintf("mx%d.%stest", i, strings.Repeat("a.", 100)))
	}
	tables.Find(t.Context(), "a.example", hosts)
	if len(asked) > 2*(1+hostsMost*(1+parentsMost)) {
		t.Errorf("%d questions", len(asked))
	}
}
