package mail

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRoute(t *testing.T) {
	away := errors.New("away")
	expand := func(r RcptRequest) ([]Recipient, error) {
		var list []Recipient
		switch {
		case r.Addr.Local == "away":
			return nil, away
		case r.Sender.Local != "from":
			return nil, errors.New("from somebody else")
		}
		for target := range strings.SplitSeq(r.Addr.Local, "+") {
			list = append(list, Recipient{Final: Address{target, r.Addr.Domain}, Orig: r.Addr, Notify: r.Notify, Dest: "smtp:next"})
		}
		return list, nil
	}
	for _, tc := range []struct {
		name string
		h    Handling
		want string
		err  error
	}{
		{"nothing", Handling{}, "a@x 0 smtp:x, b 0 smtp:y", nil},
		{"filter", Handling{Filter: "scan:[::1]:10025"}, "a@x 0 scan:[::1]:10025, b 0 scan:[::1]:10025", nil},
		{"filter without next hop", Handling{Filter: "scan:"}, "a@x 0 scan:x, b 0 scan:me", nil},
		{"filter without colon", Handling{Filter: "scan"}, "a@x 0 scan:x, b 0 scan:me", nil},
		{"copies", Handling{BCC: []string{"c+d@z", "c@z"}}, "a@x 0 smtp:x, b 0 smtp:y, c@z 1 smtp:next, d@z 1 smtp:next", nil},
		{"copies are filtered", Handling{BCC: []string{"c@z"}, Filter: "f:n"}, "a@x 0 f:n, b 0 f:n, c@z 1 f:n", nil},
		{"redirect", Handling{Redirect: "c+d@z", Filter: "f:n", BCC: []string{"e@z"}}, "c@z 0 smtp:next, d@z 0 smtp:next", nil},
		{"redirect nobody knows", Handling{Redirect: "away@z"}, "", away},
		{"copy nobody knows", Handling{BCC: []string{"away@z"}}, "", away},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rcpts := []Recipient{{Final: Address{"a", "x"}, Orig: Address{"o", "x"}, Dest: "smtp:x"}, {Final: Address{"b", ""}, Dest: "smtp:y"}}
			seen := NewDuplicates(0, false)
			for i := range rcpts {
				seen.Seen(&rcpts[i])
			}
			got, err := tc.h.Route(rcpts, Address{"from", "x"}, seen, Filters{MyHostname: "me"}, expand)
			var list []string
			for _, r := range got {
				list = append(list, fmt.Sprintf("%s %d %s", r.Final, r.Notify, r.Dest))
				if tc.h.Redirect != "" && r.Orig != (Address{"o", "x"}) {
					t.Errorf("%s: the report is about %s", r.Final, r.Orig)
				}
			}
			if text := strings.Join(list, ", "); text != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %s, %v; want %s, %v", text, err, tc.want, tc.err)
			}
		})
	}
	if got := (Filters{DefaultNextHop: "def"}).Dest("scan:", Address{"a", "x"}); got != "scan:def" {
		t.Errorf("default_filter_nexthop: %s", got)
	}
}

func TestAddHandling(t *testing.T) {
	h := Handling{Redirect: "a@b", Filter: "x:y", BCC: []string{"1@b"}, Prepend: []string{"A: 1"}}
	h.Add(Handling{Hold: true, Filter: "z:", BCC: []string{"2@b"}, Prepend: []string{"B: 2"}})
	h.Add(Handling{Discard: true})
	want := Handling{Hold: true, Discard: true, Redirect: "a@b", Filter: "z:", BCC: []string{"1@b", "2@b"}, Prepend: []string{"A: 1", "B: 2"}}
	if fmt.Sprint(h) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", h, want)
	}
}

func TestSplitEnhanced(t *testing.T) {
	for _, tc := range []struct {
		in   string
		code Enhanced
		text string
	}{
		{"5.7.1 no", Code(5, 7, 1), "no"}, {"  4.999.0\tlater", Code(4, 999, 0), "later"}, {"2.0.0", Code(2, 0, 0), ""},
		{"no", Enhanced{}, "no"}, {"3.1.1 x", Enhanced{}, "3.1.1 x"}, {"5.1 x", Enhanced{}, "5.1 x"}, {"5.1.1000 x", Enhanced{}, "5.1.1000 x"},
		{"5.+1.1 x", Enhanced{}, "5.+1.1 x"}, {"5.1.1x", Enhanced{}, "5.1.1x"}, {"", Enhanced{}, ""},
	} {
		if code, text := SplitEnhanced(tc.in); code != tc.code || text != tc.text {
			t.Errorf("%q: %v %q, want %v %q", tc.in, code, text, tc.code, tc.text)
		}
	}
}
