package stshost

import (
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mtasts"
)

func TestNewPolicy(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for _, c := range []struct {
		name, mode string
		mx         []string
		maxAge     time.Duration
		want       string // the policy, or part of the error
	}{
		{"usual", "enforce", []string{"mx.example.com"}, week, "version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 604800\r\n"},
		{"case", "TESTING", []string{"MX.Example.com", "*.Example.net"}, week, "version: STSv1\r\nmode: testing\r\nmx: mx.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"},
		{"none", "none", nil, time.Second, "version: STSv1\r\nmode: none\r\nmax_age: 1\r\n"},
		{"no host", "enforce", nil, week, "no mx"},
		{"short name", "enforce", []string{"mx"}, week, `"mx" is neither`},
		{"star in it", "enforce", []string{"a.*.example"}, week, "is neither"},
		{"star alone", "enforce", []string{"*"}, week, "is neither"},
		{"address", "enforce", []string{"192.0.2.1"}, week, "is neither"},
		{"in brackets", "enforce", []string{"[192.0.2.1]"}, week, "is neither"},
		{"U-labels", "enforce", []string{"mx.grün.example"}, week, "is neither"},
		{"line end", "enforce", []string{"mx.example.com\r\nmode: none"}, week, "is neither"},
		{"mode", "strict", []string{"mx.example.com"}, week, "strict"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := NewPolicy(c.mode, c.mx, c.maxAge)
			got := p.String()
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// The record is one that senders can read, and its id changes with the policy alone.
func TestID(t *testing.T) {
	ids := map[string]bool{}
	for _, mode := range []string{"none", "testing", "enforce"} {
		for _, mx := range []string{"a.example", "b.example"} {
			for _, age := range []time.Duration{time.Hour, time.Minute} {
				p, err := NewPolicy(mode, []string{mx}, age)
				if err != nil {
					t.Fatal(err)
				}
				id, err := mtasts.ParseRecord([]string{Record(p)})
				if err != nil || id != ID(p) || ids[id] {
					t.Errorf("%+v: record %q is read as %q, %v", p, Record(p), id, err)
				}
				ids[id] = true
			}
		}
	}
	one, _ := NewPolicy("enforce", []string{"A.example"}, time.Hour)
	two, _ := NewPolicy("Enforce", []string{"a.example"}, time.Hour)
	if ID(one) != ID(two) {
		t.Error("one policy has two ids")
	}
}
